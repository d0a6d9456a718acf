package api_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"poosh/server/admission"
	"poosh/server/pusher"
	"poosh/server/pusher/pushertest"
	"poosh/server/stalltest"
)

// A backlog is one that a test says of whether the server keeps up with it.
type backlog struct {
	mu    sync.Mutex // guards what follows
	again chan struct{}
}

// Late implements [admission.Backlog].
func (b *backlog) Late() bool { return b.CaughtUp() != nil }

// CaughtUp implements [admission.Backlog].
func (b *backlog) CaughtUp() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.again == nil {
		return nil
	}
	return b.again
}

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

// TestBackPressure has a server that does not keep up. Whoever publishes is held
// back, and refused in the end, at every address that publishes; nobody waits whose
// request would be refused anyway, and what only asks is answered.
func TestBackPressure(t *testing.T) {
	b, stalled := new(backlog), stalltest.Watch(t)
	s := pushertest.New(t, pusher.Config{Gate: admission.New(b, 800*time.Millisecond)})
	p := s.Dial()
	p.Join("c", "private-c")
	other := s.Dial()
	other.Join("private-c")
	b.behind()
	const event = `{"name":"e","channel":"c","data":"1"}`
	tests := []struct {
		name, method, path, body string
		status                   int
		want                     string
		waits                    bool
	}{
		{"an event", "POST", "/events", event, 503, `"code":"backpressure"`, true},
		{"a batch", "POST", "/batch_events", `{"batch":[` + event + `,` + event + `]}`, 503, `"code":"backpressure"`, true},
		{"a user's event", "POST", "/users/1/events", `{"name":"e","data":"1"}`, 503, `"code":"backpressure"`, true},
		{"an event that is wrong", "POST", "/events", `{"name":"e","channel":"c"}`, 400, "data is missing", false},
		{"a batch that is wrong", "POST", "/batch_events", `{"batch":[{}]}`, 400, "name is missing", false},
		{"a question", "GET", "/channels/c", "", 200, "occupied", false},
	}
	for _, tt := range tests {
		start, before := time.Now(), stalled()
		status, text, h := s.Raw(tt.method, pushertest.Sign(tt.method, "/apps/"+pushertest.ID+tt.path, nil, tt.body), tt.body)
		if status != tt.status || !strings.Contains(text, tt.want) || (h.Get("Retry-After") == "1") != (status == 503) {
			t.Errorf("%s: %d %s, retry %q", tt.name, status, text, h.Get("Retry-After"))
		}
		waited := time.Since(start)
		if !tt.waits {
			waited -= stalled() - before
		}
		if (waited >= 700*time.Millisecond) != tt.waits {
			t.Errorf("%s: waited %v", tt.name, waited)
		}
	}
	if status, _, _ := s.Raw("POST", "/apps/"+pushertest.ID+"/events", event); status != 401 {
		t.Errorf("a stranger: %d", status)
	}

	// A client is told at once: its reader reads for others too.
	p.Send(`{"event":"client-x","channel":"private-c","data":1}`)
	p.Expect(`{"event":"pusher:error","channel":"private-c","data":{"code":4301,"message":"server is overloaded, try again"}}`)
	other.Quiet()
	p.Quiet()
	if n := s.Dialect.Stats().Counts["client event refused"]; n != 1 {
		t.Errorf("%d client events are counted as refused", n)
	}

	// One that waits goes on as soon as it may.
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Trigger("c", "e", "late")
	}()
	time.Sleep(50 * time.Millisecond)
	b.caughtUp()
	<-done
	if f := p.Read(); f.Text() != "late" {
		t.Errorf("received %s", f)
	}
	p.Send(`{"event":"client-x","channel":"private-c","data":"1"}`)
	other.Expect(`{"event":"client-x","channel":"private-c","data":"1"}`)
}

// TestClosedGate has the server end: what was judged good is refused as it is
// while the dialect itself ends.
func TestClosedGate(t *testing.T) {
	gate := admission.New(new(backlog), 0)
	s := pushertest.New(t, pusher.Config{Gate: gate})
	p := s.Dial()
	p.Join("private-c")
	if err := gate.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	status, text := s.Call("POST", "/events", nil, `{"name":"e","channel":"c","data":"1"}`)
	if status != 503 || !strings.Contains(text, "service_unavailable") {
		t.Errorf("%d %s", status, text)
	}
	p.Send(`{"event":"client-x","channel":"private-c","data":1}`)
	p.Expect(`{"event":"pusher:error","channel":"private-c","data":{"code":4301,"message":"server is shutting down"}}`)
}

// TestLargeRequestIsPaced publishes to many channels in one request, to a server that
// falls behind with each of them and catches up a little later.
func TestLargeRequestIsPaced(t *testing.T) {
	pushertest.Alone(t, "its gate is in the way of one hub")
	b := new(backlog)
	s := pushertest.New(t, pusher.Config{Gate: admission.New(b, 0)})
	p := s.Dial()
	p.Join("a", "b", "c")
	at := make(chan time.Time, 3)
	watcher := s.Hub.Register(pusher.HubApp(pushertest.ID), "watcher", 3, nil, receiverFunc(func([]byte) bool { // runs for each publication
		at <- time.Now()
		b.behind()
		time.AfterFunc(50*time.Millisecond, b.caughtUp)
		return true
	}))
	defer s.Hub.Unregister(watcher)
	for _, channel := range []string{"a", "b", "c"} {
		if err := s.Hub.Join(watcher, channel); err != nil {
			t.Fatal(err)
		}
	}
	if status, text := s.Call("POST", "/events", nil, `{"name":"e","channels":["a","b","c"],"data":"1"}`); status != 200 {
		t.Fatalf("%d %s", status, text)
	}
	first := <-at
	for i := range 2 {
		next := <-at
		if next.Sub(first) < 40*time.Millisecond {
			t.Errorf("publication %d follows %s after the one before", i+2, next.Sub(first))
		}
		first = next
	}
	for range 3 {
		p.Read()
	}
	pushertest.Eventually(t, "the server to catch up", func() bool { return b.CaughtUp() == nil })
}

type receiverFunc func([]byte) bool

func (f receiverFunc) Deliver(frame []byte) bool { return f(frame) }
