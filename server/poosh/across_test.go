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
		again            bool // the key may be used again
	}{
		"sent":         {hub.Handed{Took: -1, Nodes: 3}, http.StatusOK, "3", "", "", false},
		"asked twice":  {hub.Handed{Took: -1, Nodes: -1}, http.StatusOK, "", "", "", false},
		"here alone":   {hub.Handed{Took: 2, Nodes: 1}, http.StatusOK, "1", "", "", false},
		"away":         {hub.Handed{Err: hub.ErrAway}, http.StatusServiceUnavailable, "", "1", "cannot be reached", true},
		"too much":     {hub.Handed{Err: hub.ErrFull}, http.StatusServiceUnavailable, "", "1", "too much waits", true},
		"nobody knows": {hub.Handed{Err: hub.ErrUncertain}, http.StatusServiceUnavailable, "", "", "may have been published", true},
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
			code, header, _ = ask()
			if again := header.Get(idempotency.Replayed) == ""; code != http.StatusOK || again != tt.again {
				t.Errorf("the second with the key: %d %v", code, header)
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
