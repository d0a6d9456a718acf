package poosh

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"poosh/server/admission"
	"poosh/server/http1/http1test"
	"poosh/server/hub"
	"poosh/server/idempotency"
	"poosh/server/sends"
)

// keyed is a send with an idempotency key, signed over its payload.
func keyed(key, path, body, payload string) *http.Request {
	r := post(path, body, payload)
	r.Header.Set(idempotency.Header, key)
	return r
}

// outcome is what an answer says.
func outcome(w *httptest.ResponseRecorder) string {
	h := w.Header()
	return strings.Join([]string{http.StatusText(w.Code), h.Get(sends.DeliveredHeader), h.Get(sends.Header), h.Get(idempotency.Replayed), w.Body.String()}, "|")
}

// A backlog is one that a test says of whether the server keeps up with it.
type backlog struct {
	mu    sync.Mutex // guards what follows
	again chan struct{}
}

// CaughtUp implements [admission.Backlog].
func (b *backlog) CaughtUp() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.again == nil {
		return nil
	}
	return b.again
}

// Late implements [admission.Backlog].
func (b *backlog) Late() bool { return b.CaughtUp() != nil }

func (b *backlog) behind() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.again = make(chan struct{})
}

func (b *backlog) caughtUp() {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.again)
	b.again = nil
}

// A second request with a key sends nothing and is answered as the first.
func TestSentOnce(t *testing.T) {
	s := newStage(t, Config{})
	const body = `{"room":"r","event":"e","payload":{"a":1}}`
	first := s.do(keyed("k", "/send", body, `{"a":1}`))
	id := first.Header().Get(sends.Header)
	if got := outcome(first); got != "OK|2|"+id+"||" || id == "" {
		t.Fatal(got)
	}
	if got := s.received(); got != `e {"a":1}|e {"a":1}|` {
		t.Fatal(got)
	}
	for range 3 {
		if got := outcome(s.do(keyed("k", "/send", body, `{"a":1}`))); got != "OK|2|"+id+"|true|" {
			t.Error(got)
		}
	}
	// With other blanks it is the same, and with another key, or none, another send.
	if got := outcome(s.do(keyed("k", "/SEND/", `{ "payload": {"a": 1}, "event":"e", "room":"r"}`, `{"a":1}`))); got != "OK|2|"+id+"|true|" {
		t.Error(got)
	}
	if got := s.received(); got != "||" {
		t.Errorf("sent again: %s", got)
	}
	for _, r := range []*http.Request{keyed("K", "/send", body, `{"a":1}`), post("/send", body, `{"a":1}`)} {
		if w := s.do(r); w.Code != 200 || w.Header().Get(sends.Header) == id || w.Header()[idempotency.Replayed] != nil {
			t.Error(outcome(w))
		}
		if got := s.received(); got != `e {"a":1}|e {"a":1}|` {
			t.Error(got)
		}
	}
	if st := s.Stats(); st.Sent != 3 {
		t.Errorf("%d sent", st.Sent)
	}
}

// A panic behind the fan-out does not have the event go out again.
func TestPanicBehindTheFanOut(t *testing.T) {
	const body = `{"room":"r","event":"e","payload":{"a":1}}`
	for _, path := range []string{"/send", "/send?explain=1"} {
		s := newStage(t, Config{})
		good := s.API.log
		s.API.log = slog.New(brokenLog{good.Handler(), "sent"})
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", path)
				}
			}()
			s.do(keyed("k", path, body, `{"a":1}`))
		}()
		s.API.log = good
		if got := s.received(); got != `e {"a":1}|e {"a":1}|` {
			t.Errorf("%s: %s", path, got)
		}
		again := s.do(keyed("k", path, body, `{"a":1}`))
		if h := again.Header(); again.Code != 200 || h.Get(idempotency.Replayed) != "true" || h.Get(sends.DeliveredHeader) != "2" {
			t.Errorf("%s: %s", path, outcome(again))
		}
		if got := s.received(); got != "||" {
			t.Errorf("%s: sent again: %s", path, got)
		}
	}
}

// A brokenLog panics when it is told of one event.
type brokenLog struct {
	slog.Handler
	of string // its message
}

func (b brokenLog) Handle(ctx context.Context, r slog.Record) error {
	if r.Message == b.of {
		panic("a log that is broken")
	}
	return b.Handler.Handle(ctx, r)
}

// A key is bound to all that says who gets what.
func TestKeyOfAnotherContent(t *testing.T) {
	s := newStage(t, Config{})
	if w := s.do(keyed("k", "/send", `{"room":"r","event":"e","payload":1}`, "1")); w.Code != 200 {
		t.Fatal(outcome(w))
	}
	s.received()
	for name, body := range map[string]string{
		"another room":      `{"room":"5","event":"e","payload":1}`,
		"everyone":          `{"event":"e","payload":1}`,
		"another event":     `{"room":"r","event":"f","payload":1}`,
		"another payload":   `{"room":"r","event":"e","payload":2}`,
		"no payload":        `{"room":"r","event":"e"}`,
		"somebody left out": `{"room":"r","event":"e","payload":1,"except":"r1-id"}`,
	} {
		payload := "1"
		switch {
		case strings.Contains(body, "2}"):
			payload = "2"
		case !strings.Contains(body, "payload"):
			payload = "undefined"
		}
		w := s.do(keyed("k", "/send", body, payload))
		if want := `{"error":"` + idempotency.ErrConflict.Error() + `"}`; w.Code != 409 || w.Body.String() != want || w.Header()[sends.Header] != nil {
			t.Errorf("%s: %s", name, outcome(w))
		}
		if got := s.received(); got != "||" {
			t.Errorf("%s was sent: %s", name, got)
		}
	}
	if n := s.Stats().Refused["idempotency_conflict"]; n != 6 {
		t.Errorf("%d conflicts", n)
	}
	// Everyone is not the room of no name.
	if w := s.do(keyed("l", "/send", `{"room":"","event":"e","payload":1}`, "1")); w.Code != 200 {
		t.Error(outcome(w))
	}
	if w := s.do(keyed("l", "/send", `{"event":"e","payload":1}`, "1")); w.Code != 409 {
		t.Error(outcome(w))
	}
}

// What is refused takes no key, whatever it is refused for.
func TestRefusedTakesNoKey(t *testing.T) {
	b := new(backlog)
	s := newStage(t, Config{Gate: admission.New(b, time.Millisecond)})
	good := func() *http.Request { return keyed("k", "/send", `{"room":"5","event":"e","payload":1}`, "1") }
	for name, r := range map[string]*http.Request{
		"a reserved name": keyed("k", "/send", `{"room":"5","event":"connect","payload":1}`, "1"),
		"no event":        keyed("k", "/send", `{"room":"5","payload":1}`, "1"),
		"a bad room":      keyed("k", "/send", `{"room":{},"event":"e","payload":1}`, "1"),
		"a wrong token":   keyed("k", "/send", `{"room":"5","event":"e","payload":1}`, "2"),
		"another path":    keyed("k", "/sent", `{"room":"5","event":"e","payload":1}`, "1"),
		"no JSON":         keyed("k", "/send", `{`, "1"),
	} {
		if w := s.do(r); w.Code < 400 {
			t.Errorf("%s: %s", name, outcome(w))
		}
	}
	b.behind()
	if w := s.do(good()); w.Code != 503 || w.Header().Get("Retry-After") != "1" {
		t.Errorf("while clients are behind: %s", outcome(w))
	}
	b.caughtUp()
	if got := s.received(); got != "||" {
		t.Errorf("sent: %s", got)
	}
	if w := s.do(good()); w.Code != 200 || w.Header()[idempotency.Replayed] != nil {
		t.Errorf("corrected: %s", outcome(w))
	}
	if w := s.do(good()); w.Code != 200 || w.Header()[idempotency.Replayed] == nil {
		t.Errorf("again: %s", outcome(w))
	}
	if got := s.received(); got != "e 1||" {
		t.Errorf("received %s", got)
	}
}

func TestBadKeys(t *testing.T) {
	s := newStage(t, Config{})
	const body = `{"room":"5","event":"e","payload":1}`
	twice := keyed("k", "/send", body, "1")
	twice.Header.Add(idempotency.Header, "k")
	for name, r := range map[string]*http.Request{
		"empty": keyed("", "/send", body, "1"), "long": keyed(strings.Repeat("k", 129), "/send", body, "1"), "twice": twice,
	} {
		if w := s.do(r); w.Code != 400 || !strings.Contains(w.Body.String(), "Idempotency-Key") {
			t.Errorf("%s: %s", name, outcome(w))
		}
	}
	if got, n := s.received(), s.Stats().Refused["idempotency_key"]; got != "||" || n != 3 {
		t.Errorf("received %s, %d refused", got, n)
	}
	if w := s.do(keyed(strings.Repeat("k", 128), "/send", body, "1")); w.Code != 200 {
		t.Error(outcome(w))
	}
}

// Whoever asks what became of a repetition is told so, with what became of the first as far
// as somebody asked that.
func TestExplainedReplay(t *testing.T) {
	const body = `{"room":"r","event":"e","payload":1}`
	for _, tt := range []struct {
		name, first, again string
		rooms              int
	}{
		{"both ask", "?explain=1", "?explain=1", 1},
		{"the second asks", "", "?explain=1", 0},
		{"the first asked", "?explain=1", "", 0},
	} {
		s := newStage(t, Config{})
		first := s.do(keyed("k", "/send"+tt.first, body, "1"))
		again := s.do(keyed("k", "/send"+tt.again, body, "1"))
		if first.Code != 200 || again.Code != 200 || again.Header().Get(sends.Header) != first.Header().Get(sends.Header) || again.Header().Get(idempotency.Replayed) != "true" ||
			again.Header().Get(sends.DeliveredHeader) != "2" {
			t.Errorf("%s: %s, then %s", tt.name, outcome(first), outcome(again))
		}
		if got := s.received(); got != "e 1|e 1|" {
			t.Errorf("%s: received %s", tt.name, got)
		}
		if tt.again == "" {
			if again.Body.Len() > 0 {
				t.Errorf("%s: %s", tt.name, again.Body)
			}
			continue
		}
		var a sends.Account
		if err := json.Unmarshal(again.Body.Bytes(), &a); err != nil || a.ID != first.Header().Get(sends.Header) || a.Event != "e" ||
			a.Replayed == nil || a.Replayed.Text == "" || len(a.Rooms) != tt.rooms {
			t.Errorf("%s: %s %v", tt.name, again.Body, err)
		}
		if tt.rooms > 0 && a.Handed != 2 {
			t.Errorf("%s: handed to %d", tt.name, a.Handed)
		}
	}
}

// In a cluster a repetition has the count that the first had, and none where that had none.
func TestExplainedReplayAcross(t *testing.T) {
	const body = `{"room":"r","event":"e","payload":1}`
	for _, tt := range []struct {
		handed        hub.Handed
		counted, path string
	}{
		{hub.Handed{Took: 2, Nodes: 1}, "2", "/send?explain=1"},
		{hub.Handed{Took: 0, Nodes: 1}, "0", "/send?explain=1"},
		{hub.Handed{Took: -1, Nodes: 3}, "", "/send?explain=1"},
		{hub.Handed{Took: 2, Nodes: 1}, "", "/send"},
	} {
		s := newStage(t, Config{})
		s.API.hub = hub.NewWith(answering{tt.handed}, nil)
		for n := range 2 {
			h := s.do(keyed("k", tt.path, body, "1")).Header()
			if h.Get(sends.DeliveredHeader) != tt.counted || h.Get(sends.NodesHeader) != strconv.Itoa(tt.handed.Nodes) || (h.Get(idempotency.Replayed) != "") != (n == 1) {
				t.Errorf("%s %+v, %d: %v", tt.path, tt.handed, n, h)
			}
		}
	}
}

// Who comes while the first is under way, and that takes long, is told to come again.
func TestUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := new(backlog)
		s := newStage(t, Config{Gate: admission.New(b, time.Minute)})
		send := func() *httptest.ResponseRecorder {
			return s.do(keyed("k", "/send", `{"room":"5","event":"e","payload":1}`, "1"))
		}
		b.behind()
		var first *httptest.ResponseRecorder
		var all sync.WaitGroup
		all.Go(func() { first = send() })
		synctest.Wait()
		if w := send(); w.Code != 503 || w.Header().Get("Retry-After") != "1" || w.Body.String() != `{"error":"`+idempotency.ErrUnderWay.Error()+`"}` {
			t.Error(outcome(w))
		}
		b.caughtUp()
		all.Wait()
		if first.Code != 200 || s.Stats().Refused["idempotency_under_way"] != 1 {
			t.Errorf("%s, %v", outcome(first), s.Stats().Refused)
		}
		if w := send(); w.Code != 200 || w.Header()[idempotency.Replayed] == nil {
			t.Error(outcome(w))
		}
		if got := s.received(); got != "e 1||" {
			t.Errorf("received %s", got)
		}
	})
}

// A request that comes while the first with its key waits for the server to keep up waits
// too, on the stack that ships, and is answered the same.
func TestSecondWhileFirstWaits(t *testing.T) {
	b := new(backlog)
	s := newStage(t, Config{Gate: admission.New(b, time.Minute)})
	s.API.log = slog.New(slog.DiscardHandler) // the stage's is one goroutine's
	server := http1test.Serve(t, http1test.NewSockets(t), s.Handler, where)
	const body = `{"room":"5","event":"e","payload":1}`
	send := func() (int, string, string) {
		r, err := http.NewRequest("POST", server.URL+"/send", strings.NewReader(body))
		if err != nil {
			t.Error(err)
			return 0, "", ""
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", sign("1"))
		r.Header.Set(idempotency.Header, "k")
		res, err := server.Client().Do(r)
		if err != nil {
			t.Error(err)
			return 0, "", ""
		}
		_ = res.Body.Close()
		return res.StatusCode, res.Header.Get(sends.Header), res.Header.Get(idempotency.Replayed)
	}
	b.behind()
	const n = 4
	var statuses [n]int
	var ids, again [n]string
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			// Where this machine stands still for long they are told to come again.
			for statuses[i] == 0 || statuses[i] == http.StatusServiceUnavailable {
				statuses[i], ids[i], again[i] = send()
				if t.Failed() {
					return
				}
			}
		})
	}
	time.Sleep(50 * time.Millisecond) // for most of them to be there; all is right without it
	b.caughtUp()
	all.Wait()
	replays := 0
	for i := range n {
		if statuses[i] != 200 || ids[i] == "" || ids[i] != ids[0] {
			t.Errorf("%d: %d, id %q", i, statuses[i], ids[i])
		}
		if again[i] == "true" {
			replays++
		}
	}
	if got := s.received(); got != "e 1||" || replays != n-1 {
		t.Errorf("received %s, %d replays", got, replays)
	}
}
