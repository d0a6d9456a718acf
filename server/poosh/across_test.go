package poosh

import (
	"net/http"
	"strings"
	"testing"

	"poosh/server/hub"
	"poosh/server/idempotency"
	"poosh/server/sends"
)

// In one of several processes a send is answered once it is known what became of it.
func TestSendAcross(t *testing.T) {
	for name, tt := range map[string]struct {
		handed           hub.Handed
		code             int
		nodes, retry, in string
		again            int // status of the next one with the key; 0 where it may be used again
	}{
		"sent":         {hub.Handed{Took: -1, Nodes: 3}, http.StatusOK, "3", "", "", 200},
		"asked twice":  {hub.Handed{Took: -1, Nodes: -1}, http.StatusOK, "", "", "", 200},
		"here alone":   {hub.Handed{Took: 2, Nodes: 1}, http.StatusOK, "1", "", "", 200},
		"away":         {hub.Handed{Err: hub.ErrAway}, http.StatusServiceUnavailable, "", "1", "cannot be reached", 0},
		"too much":     {hub.Handed{Err: hub.ErrFull}, http.StatusServiceUnavailable, "", "1", "too much waits", 0},
		"nobody knows": {hub.Handed{Err: hub.ErrUncertain}, http.StatusServiceUnavailable, "", "", "may have been published", 503},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, Config{})
			ask := func() (int, http.Header, string) {
				w := s.do(keyed("k", "/send", `{"room":"r","event":"e","payload":1}`, "1"))
				return w.Code, w.Header(), w.Body.String()
			}
			s.API.hub = hub.NewWith(answering{tt.handed}, nil)
			code, header, body := ask()
			if code != tt.code || header.Get(sends.NodesHeader) != tt.nodes || header.Get("Retry-After") != tt.retry || !strings.Contains(body, tt.in) ||
				header[sends.DeliveredHeader] != nil || (header.Get(sends.Header) == "") == (code == http.StatusOK) {
				t.Errorf("%d %v %s", code, header, body)
			}
			s.API.hub = hub.NewWith(answering{hub.Handed{Took: -1, Nodes: 2}}, nil)
			code, header, body = ask()
			if replayed := header.Get(idempotency.Replayed) != ""; replayed != (tt.again != 0) || code != max(tt.again, 200) && replayed ||
				replayed && (header.Get(sends.NodesHeader) != tt.nodes || !strings.Contains(body, tt.in)) {
				t.Errorf("the second with the key: %d %v %s", code, header, body)
			}
		})
	}
}

// answering joins processes, and answers the same to all.
type answering struct{ handed hub.Handed }

// Publish implements [hub.Broker].
func (a answering) Publish(_ *hub.Publication, done func(hub.Handed)) { done(a.handed) }

// Occupied and Vacated implement [hub.Broker].
func (answering) Occupied(string, string, bool) {}
func (answering) Vacated(string, string, bool)  {}

// Ids of both kinds name their node.
func TestNodeOf(t *testing.T) {
	for id, want := range map[string]string{
		newStreamID("aB-_09"): "aB-_09", newStreamID(""): "", "aB-_09" + strings.Repeat("x", 20): "aB-_09",
		"": "", strings.Repeat("x", 25): "", strings.Repeat("x", 27): "", "aB-_09 " + strings.Repeat("x", 19): "",
	} {
		if got := NodeOf(id); got != want && (want != "" || len(id) != 26) {
			t.Errorf("%q is of %q, want %q", id, got, want)
		}
	}
}
