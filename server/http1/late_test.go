package http1

import (
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"poosh/server/loop"
)

// TestAnswerWith: the head is what is known when the answer is given, and nothing that was set
// before; what comes behind goes on.
func TestAnswerWith(t *testing.T) {
	eachWay(t, func(t *testing.T, cfg Config) {
		l := newLater()
		var bounds counts
		cfg.Handler, cfg.Bounds = l, &bounds
		_, addr := start(t, cfg)
		p := dial(t, addr)
		for i, status := range []int{503, 0, 200, 404, 201} {
			p.say("POST /send HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab")
			pending := <-l.pending
			header := http.Header{"Retry-After": {"1"}, "Content-Type": {"application/json"}, "Content-Length": {"7"}}
			go pending.AnswerWith(status, header, []byte(`{"error":"away"}`))
			res, body := p.hear()
			want := status
			if want == 0 {
				want = 200
			}
			if res.StatusCode != want || body != `{"error":"away"}` || res.Header.Get("Retry-After") != "1" || res.Header.Get("Content-Type") != "application/json" || res.Header.Get("X-Path") != "" {
				t.Fatalf("%d: got %d %v %q", status, res.StatusCode, res.Header, body)
			}
			pending.Answer([]byte("a second time"))
			if proven := bounds.proven.Load(); proven != int64(min(i, 1)) {
				t.Errorf("behind %d: proven %d times", status, proven)
			}
		}
		p.say("POST /send HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab")
		(<-l.pending).AnswerWith(204, http.Header{"Connection": {"close"}}, nil)
		if res, body := p.hear(); res.StatusCode != 204 || body != "" || !res.Close {
			t.Errorf("got %d %v %q", res.StatusCode, res.Header, body)
		}
		if _, err := p.r.ReadByte(); err != io.EOF {
			t.Errorf("behind the last answer: %v", err)
		}
	})
}

// TestAnswerWithWaitsForNoFlusher: who gives an answer writes it, so that it does not wait for a flusher
// that is on its way round a room of thousands.
func TestAnswerWithWaitsForNoFlusher(t *testing.T) {
	l := newLater()
	served := newLoop(t, loop.Config{})
	_, addr := start(t, Config{Handler: l, Loop: served})
	p := dial(t, addr)
	for range 100 {
		p.say(plainGet)
		(<-l.pending).AnswerWith(200, nil, []byte("late"))
		if _, body := p.hear(); body != "late" {
			t.Fatalf("got %q", body)
		}
	}
	if n := served.Stats().ByFlushers; n > 0 {
		t.Errorf("the flusher wrote %d answers", n)
	}
}

// TestAnswerWithAtOnce gives the answer before the handler has returned, with a request behind it.
func TestAnswerWithAtOnce(t *testing.T) {
	eachWay(t, func(t *testing.T, cfg Config) {
		var bounds counts
		cfg.Bounds = &bounds
		cfg.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			AnswerLater(w, r, func(answer func(int, http.Header, []byte)) {
				answer(http.StatusServiceUnavailable, http.Header{"Retry-After": {"1"}}, []byte("away"))
			})
		})
		_, addr := start(t, cfg)
		p := dial(t, addr)
		p.say(plainGet + plainGet)
		for range 2 {
			if res, body := p.hear(); res.StatusCode != 503 || body != "away" || res.Header.Get("Retry-After") != "1" {
				t.Errorf("got %d %v %q", res.StatusCode, res.Header, body)
			}
		}
		if bounds.proven.Load() != 0 {
			t.Error("a refusal proves a sender")
		}
	})
}

// TestAnswerLater: a handler is the same wherever its requests are served.
func TestAnswerLater(t *testing.T) {
	for _, place := range []Where{Here, Separately, Elsewhere} {
		answers := make(chan func(int, http.Header, []byte), 1)
		_, addr := start(t, Config{Where: everything(place), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Early", "1")
			AnswerLater(w, r, func(answer func(int, http.Header, []byte)) { answers <- answer })
		})})
		p := dial(t, addr)
		for range 2 {
			p.say(plainGet)
			answer := <-answers
			go answer(http.StatusAccepted, http.Header{"X-Poosh-Nodes": {"3"}}, []byte("late"))
			if res, body := p.hear(); res.StatusCode != 202 || body != "late" || res.Header.Get("X-Poosh-Nodes") != "3" || res.Header.Get("X-Early") != "" {
				t.Errorf("place %d: got %d %v %q", place, res.StatusCode, res.Header, body)
			}
		}
		p.say(plainGet)
		answer := <-answers
		_ = p.Close()
		answer(200, nil, []byte("nobody hears it")) // must not block
	}
}

// TestPendingSenderStays: who waits for the answer to a send does not have to make room for
// others, though it has proven nothing so far; who waits for a poll's may have to.
func TestPendingSenderStays(t *testing.T) {
	l := newLater()
	s, addr := start(t, Config{Handler: l, Proves: func(r *http.Request) Proof {
		if r.URL.Path == "/poll" {
			return Client
		}
		return Sender
	}})
	for path, want := range map[string]int{"/poll": 1, "/send": 0} {
		p := dial(t, addr)
		p.say("GET " + path + " HTTP/1.1\r\nHost: h\r\n\r\n")
		pending := <-l.pending
		eventually(t, "the answer is pending", func() bool { return waiting(s) == 1 })
		if n := len(s.Candidates(0)); n != want {
			t.Errorf("%s: %d candidates, want %d", path, n, want)
		}
		pending.Answer(nil)
		p.hear()
		_ = p.Close()
		eventually(t, "it is gone", func() bool { return len(s.all()) == 0 })
	}
}

// waiting counts answers that are pending.
func waiting(s *Server) (n int) {
	for _, c := range s.all() {
		c.mu.Lock()
		if c.state == pending {
			n++
		}
		c.mu.Unlock()
	}
	return n
}

// relay is a protocol that reads a line and gives the connection to a server.
type relay struct {
	server *Server
	from   netip.AddrPort
	took   chan bool
}

func (r *relay) Data(c *loop.Conn, data []byte) {
	_, early, found := strings.Cut(string(data), "\n")
	if !found {
		return
	}
	ok := r.server.Take(c, r.from, []byte(early))
	if !ok {
		c.Push([]byte("no\n"))
		c.Finish()
	}
	r.took <- ok
}
func (r *relay) Closed(*loop.Conn, error) {}
func (r *relay) RemoteAddr() string       { return "relay" }

// TestTake: a connection that another process passes on is served as the client's, with what was
// read of it already, and counts; whoever passes it on may say more than one request.
func TestTake(t *testing.T) {
	l := newLoop(t, loop.Config{})
	if l.Shards() == 0 {
		t.Fatal("no loop")
	}
	var bounds counts
	s, _ := start(t, Config{Loop: l, Bounds: &bounds, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.RemoteAddr)
	})})
	r := &relay{server: s, from: netip.MustParseAddrPort("192.0.2.7:1234"), took: make(chan bool, 1)}
	front := passer(t, l, r)
	p := dial(t, front)
	p.say("hello\n" + plainGet)
	if _, body := p.hear(); body != "192.0.2.7:1234" || !<-r.took {
		t.Fatalf("served as %q", body)
	}
	p.say(plainGet)
	if _, body := p.hear(); body != "192.0.2.7:1234" {
		t.Errorf("then served as %q", body)
	}
	_ = p.Close()
	eventually(t, "it is closed", func() bool { return bounds.closed.Load() == 1 })
	bounds.refuse.Store(true)
	p = dial(t, front)
	p.say("hello\n" + plainGet)
	if <-r.took {
		t.Error("taken where there is no place")
	}
	if line, err := p.r.ReadString('\n'); line != "no\n" {
		t.Errorf("got %q, %v", line, err)
	}
	bounds.refuse.Store(false)
	_ = s.Close()
	p = dial(t, front)
	p.say("hello\n" + plainGet)
	if <-r.took {
		t.Error("taken by a server that has ended")
	}
	eventually(t, "its place is given back", func() bool { return bounds.closed.Load() == 2 })
}

// passer has connections to an address begin with a protocol.
func passer(t *testing.T, l *loop.Loop, p loop.Protocol) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() { // ends with the listener
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			if c, err := l.AttachConn(nc, loop.Options{}, p); err == nil {
				c.Start()
			}
		}
	}()
	return ln.Addr().String()
}
