package http1

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"poosh/server/loop"
)

// waiter notes what it is told.
type waiter chan struct{}

func (w waiter) Abandoned() { w <- struct{}{} }

// later is a handler whose answers are given by the test, but for those to /now and
// to what is not plain.
type later struct {
	pending chan *Pending
	gone    waiter
	early   bool // answer before returning
}

func newLater() *later { return &later{pending: make(chan *Pending, 2000), gone: make(waiter, 2000)} }

func (l *later) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/now" {
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "now %d", n)
		return
	}
	w.Header().Set("X-Path", r.URL.Path)
	p, ok := Later(w, l.gone)
	if !ok {
		http.Error(w, "passed on", http.StatusTeapot)
		return
	}
	if l.early {
		p.Answer([]byte("early"))
	}
	l.pending <- p
}

const getNow = "GET /now HTTP/1.1\r\nHost: h\r\n\r\n"

// eachWay runs a test with requests served by the loop's reader, and on goroutines.
func eachWay(t *testing.T, test func(t *testing.T, cfg Config)) {
	t.Run("here", func(t *testing.T) { test(t, Config{Where: everything(Here)}) })
	t.Run("separately", func(t *testing.T) { test(t, Config{Where: everything(Separately)}) })
}

func TestLater(t *testing.T) {
	eachWay(t, func(t *testing.T, cfg Config) {
		l := newLater()
		cfg.Handler = l
		_, addr := start(t, cfg)
		p := dial(t, addr)
		for i := range 50 {
			p.say(fmt.Sprintf("GET /%d HTTP/1.1\r\nHost: h\r\n\r\n", i))
			pending := <-l.pending
			go pending.Answer([]byte("late"))
			res, body := p.hear()
			if res.StatusCode != 200 || body != "late" || res.Header.Get("X-Path") != fmt.Sprintf("/%d", i) || res.Header.Get("Date") == "" {
				t.Fatalf("%d: got %v %q", i, res.Header, body)
			}
			pending.Answer([]byte("a second time"))
			p.say(getNow)
			if _, body := p.hear(); body != "now 0" {
				t.Fatalf("%d: then %q", i, body)
			}
		}
		if len(l.gone) > 0 {
			t.Error("told that the peer is gone")
		}
	})
}

// TestLaterAtOnce gives the answer before the handler returns.
func TestLaterAtOnce(t *testing.T) {
	eachWay(t, func(t *testing.T, cfg Config) {
		l := newLater()
		l.early = true
		cfg.Handler = l
		_, addr := start(t, cfg)
		p := dial(t, addr)
		for range 50 {
			p.say(plainGet)
			if _, body := p.hear(); body != "early" {
				t.Fatalf("got %q", body)
			}
		}
	})
}

// TestLaterLarge answers with more than a socket takes at once.
func TestLaterLarge(t *testing.T) {
	eachWay(t, func(t *testing.T, cfg Config) {
		l := newLater()
		cfg.Handler = l
		_, addr := start(t, cfg)
		p := dial(t, addr)
		p.say(plainGet)
		large := strings.Repeat("0123456789abcdef", 1<<20)
		(<-l.pending).Answer([]byte(large))
		time.Sleep(50 * time.Millisecond)
		if _, body := p.hear(); body != large {
			t.Errorf("got %d bytes", len(body))
		}
		p.say(getNow)
		if _, body := p.hear(); body != "now 0" {
			t.Errorf("then %q", body)
		}
	})
}

// TestLaterPipelined sends on while an answer is pending: everything is answered in
// order, also what is not plain.
func TestLaterPipelined(t *testing.T) {
	eachWay(t, func(t *testing.T, cfg Config) {
		for _, beforehand := range []bool{false, true} { // answered once before, or not
			l := newLater()
			cfg.Handler = l
			_, addr := start(t, cfg)
			p := dial(t, addr)
			if beforehand {
				p.say(plainGet)
				(<-l.pending).Answer([]byte("zero"))
				p.hear()
			}
			p.say(strings.Replace(plainGet, "/x", "/1", 1))
			first := <-l.pending
			p.say(strings.Replace(plainGet, "/x", "/2", 1) + getNow + "DELETE /3 HTTP/1.1\r\nHost: h\r\n\r\n")
			select {
			case <-l.pending:
				t.Fatal("served before the first was answered")
			case <-time.After(300 * time.Millisecond):
			}
			first.Answer([]byte("one"))
			(<-l.pending).Answer([]byte("two"))
			for _, want := range []string{"one", "two", "now 0", "passed on\n"} {
				if _, body := p.hear(); body != want {
					t.Fatalf("got %q, want %q", body, want)
				}
			}
		}
	})
}

// TestLaterAndOthers mixes requests that wait with all others on one connection.
func TestLaterAndOthers(t *testing.T) {
	eachWay(t, func(t *testing.T, cfg Config) {
		l := newLater()
		cfg.Handler = l
		_, addr := start(t, cfg)
		p := dial(t, addr)
		wait := func() {
			t.Helper()
			p.say(plainGet)
			(<-l.pending).Answer([]byte("late"))
			if _, body := p.hear(); body != "late" {
				t.Fatalf("got %q", body)
			}
		}
		post := func(n int) string {
			return fmt.Sprintf("POST /now HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", n, strings.Repeat("x", n))
		}
		for i, tt := range []struct {
			pieces []string
			want   string
		}{
			{[]string{post(5)}, "now 5"},
			{[]string{post(60_000)}, "now 60000"},
			{[]string{getNow[:20], getNow[20:]}, "now 0"},
			{strings.Split(getNow, ""), "now 0"},
			{[]string{post(3000)[:2000], post(3000)[2000:]}, "now 3000"},
		} {
			wait()
			for _, piece := range tt.pieces {
				p.say(piece)
				time.Sleep(time.Millisecond)
			}
			if _, body := p.hear(); body != tt.want {
				t.Fatalf("%d: got %q, want %q", i, body, tt.want)
			}
		}
		wait()
		p.say(post(200_000)) // net/http has it from here on
		if _, body := p.hear(); body != "now 200000" {
			t.Errorf("got %q", body)
		}
	})
}

// TestLaterAbandoned cuts connections whose answer is pending.
func TestLaterAbandoned(t *testing.T) {
	test := func(t *testing.T, cfg Config) {
		l := newLater()
		cfg.Handler = l
		s, addr := start(t, cfg)
		for _, cut := range map[string]func(p *peer){
			"closed":      func(p *peer) { p.Close() },
			"half closed": func(p *peer) { _ = p.Conn.(*net.TCPConn).CloseWrite() },
			"reset":       func(p *peer) { _ = p.Conn.(*net.TCPConn).SetLinger(0); p.Close() },
		} {
			p := dial(t, addr)
			p.say(plainGet)
			pending := <-l.pending
			cut(p)
			<-l.gone
			pending.Answer([]byte("to nobody"))
		}
		// One that takes nothing.
		p := dial(t, addr)
		_ = p.Conn.(*net.TCPConn).SetReadBuffer(4 << 10)
		p.say(plainGet)
		(<-l.pending).Answer(make([]byte, 32<<20))
		<-l.gone
		for end := time.Now().Add(patience); len(s.all()) > 0; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d connections are left", len(s.all()))
			}
		}
		if len(l.gone) > 0 {
			t.Error("told twice")
		}
	}
	stalls := loop.Config{WriteTimeout: 200 * time.Millisecond}
	eachWay(t, func(t *testing.T, cfg Config) {
		cfg.Loop = newLoop(t, stalls)
		test(t, cfg)
	})
	t.Run("too large", func(t *testing.T) {
		l := newLater()
		_, addr := start(t, Config{Handler: l, MaxAnswer: 1000})
		p := dial(t, addr)
		p.say(plainGet)
		(<-l.pending).Answer(make([]byte, 2000))
		<-l.gone
		p.ends()
	})
}

// TestLaterReadAtOnce: a client that reads its whole answer and closes the
// connection at once has been answered.
func TestLaterReadAtOnce(t *testing.T) {
	l := newLater()
	s, addr := start(t, Config{Handler: l})
	for range 300 {
		p := dial(t, addr)
		p.say(plainGet)
		go (<-l.pending).Answer([]byte("late")) // ends at once
		p.hear()
		p.Close()
	}
	eventually(t, "all are gone", func() bool { return len(s.all()) == 0 })
	if len(l.gone) > 0 {
		t.Errorf("%d times told that an answer did not arrive", len(l.gone))
	}
}

// TestLaterClose: the connection ends with the answer, be it given early or late,
// on a first request or a later one.
func TestLaterClose(t *testing.T) {
	eachWay(t, func(t *testing.T, cfg Config) {
		var servers [2]struct {
			*later
			addr string
		}
		for i := range servers {
			l := newLater()
			l.early = i == 0
			cfg.Handler = l
			_, addr := start(t, cfg)
			servers[i].later, servers[i].addr = l, addr
		}
		for i := range 100 {
			l := servers[i%2]
			p := dial(t, l.addr)
			if i%4 < 2 {
				p.say(plainGet)
				(<-l.pending).Answer([]byte("stay"))
				p.hear()
			}
			p.say("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
			want := "early"
			if !l.early {
				want = "bye"
			}
			(<-l.pending).Answer([]byte("bye")) // the second counts for nothing
			if res, body := p.hear(); !res.Close || body != want {
				t.Fatalf("%d: got %v %q", i, res.Close, body)
			}
			p.ends()
		}
	})
}

// TestLaterPanics: a handler that panics behind Later leaves nobody waiting.
func TestLaterPanics(t *testing.T) {
	eachWay(t, func(t *testing.T, cfg Config) {
		for _, answered := range []bool{false, true} {
			gone := make(waiter, 2)
			cfg.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				p, ok := Later(w, gone)
				if !ok || r.URL.Path == "/ok" {
					p.Answer(nil)
					return
				}
				if answered {
					p.Answer([]byte("never sent"))
				}
				panic("a bug")
			})
			_, addr := start(t, cfg)
			p := dial(t, addr)
			p.say(strings.Replace(plainGet, "/x", "/ok", 1))
			p.hear()
			p.say(plainGet)
			p.ends()
			<-gone
			if len(gone) > 0 {
				t.Error("told twice")
			}
		}
	})
}

// TestLaterTimes: an answer may take its time, and a connection that waits for a
// request may not.
func TestLaterTimes(t *testing.T) {
	const bound = 600 * time.Millisecond
	eachWay(t, func(t *testing.T, cfg Config) {
		l := newLater()
		cfg.Handler, cfg.FirstTimeout, cfg.IdleTimeout = l, bound, bound
		_, addr := start(t, cfg)
		p := dial(t, addr)
		p.say(plainGet)
		time.Sleep(2 * bound)
		began := time.Now()
		(<-l.pending).Answer([]byte("late"))
		if _, body := p.hear(); body != "late" {
			t.Errorf("got %q", body)
		}
		p.ends()
		if d := time.Since(began); d < bound {
			t.Errorf("closed after %v", d)
		}
	})
}

// TestLaterCrowd: on a loop those who wait cost no goroutine, and all connections
// are told of when they end, once.
func TestLaterCrowd(t *testing.T) {
	const n = 1000
	var bounds counts
	l := newLater()
	_, addr := start(t, Config{Handler: l, Bounds: &bounds})
	before := runtime.NumGoroutine()
	var peers []*peer
	for range n {
		p := dial(t, addr)
		p.say(plainGet)
		peers = append(peers, p)
	}
	for round := range 3 {
		var waiting []*Pending
		for range n {
			waiting = append(waiting, <-l.pending)
		}
		for end := time.Now().Add(patience); runtime.NumGoroutine() > before+10; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
			}
		}
		for _, p := range waiting {
			p.Answer(fmt.Appendf(nil, "round %d", round))
		}
		for _, p := range peers {
			if _, body := p.hear(); body != fmt.Sprintf("round %d", round) {
				t.Fatalf("got %q", body)
			}
			if round < 2 {
				p.say(plainGet)
			}
		}
	}
	for _, p := range peers {
		p.Close()
	}
	eventually(t, "all are closed", func() bool { return bounds.closed.Load() >= n })
	if bounds.opened.Load() != n || bounds.closed.Load() != n {
		t.Errorf("%d opened, %d closed", bounds.opened.Load(), bounds.closed.Load())
	}
}

// TestShutdown: who waits for an answer gets it, who waits for nothing is closed,
// and nobody else is accepted.
func TestShutdown(t *testing.T) {
	eachWay(t, func(t *testing.T, cfg Config) {
		l := newLater()
		cfg.Handler = l
		s, addr := start(t, cfg)
		idle := dial(t, addr)
		idle.say(getNow)
		idle.hear()
		idleOnce := dial(t, addr) // one that has waited before
		idleOnce.say(plainGet)
		(<-l.pending).Answer([]byte("first"))
		idleOnce.hear()
		waiting := dial(t, addr)
		waiting.say(plainGet)
		pending := <-l.pending
		justCame := dial(t, addr)
		for end := time.Now().Add(patience); len(s.all()) < 4; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("not accepted")
			}
		}
		ended := make(chan error, 1)
		go func() { ended <- s.Shutdown(context.Background()) }()
		idle.ends()
		idleOnce.ends()
		justCame.say(getNow)
		if res, body := justCame.hear(); body != "now 0" || !res.Close {
			t.Errorf("one that had just come got %q", body)
		}
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			t.Error("accepted during the shutdown")
		}
		select {
		case err := <-ended:
			t.Fatalf("ended while an answer was pending: %v", err)
		case <-time.After(50 * time.Millisecond):
		}
		pending.Answer([]byte("last"))
		if res, body := waiting.hear(); body != "last" || !res.Close {
			t.Errorf("got %q, and close is %v", body, res.Close)
		}
		waiting.ends()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// TestShutdownInTime gives up when its context ends.
func TestShutdownInTime(t *testing.T) {
	eachWay(t, func(t *testing.T, cfg Config) {
		l := newLater()
		cfg.Handler = l
		s, addr := start(t, cfg)
		p := dial(t, addr)
		p.say(plainGet)
		<-l.pending
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		_ = s.Close()
		<-l.gone
		p.ends()
	})
}

// TestShutdownAndHalfAHead: who has sent a part of a head alone, and sends no more, is
// waited for no longer than who has sent nothing.
func TestShutdownAndHalfAHead(t *testing.T) {
	s, addr := start(t, Config{Handler: newLater()})
	p := dial(t, addr)
	p.say("GET /now HT")
	eventually(t, "half a head", func() bool {
		for _, c := range s.all() {
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.state == partial
		}
		return false
	})
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	began := time.Now()
	if err := s.Shutdown(ctx); err != nil || time.Since(began) < newcomers {
		t.Errorf("%v after %v", err, time.Since(began))
	}
	p.ends()
}
