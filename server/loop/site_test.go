package loop

import (
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const patience = 60 * time.Second

// A recorder is a Protocol that notes what it is told: bytes, and how it ended.
type recorder struct {
	heard  chan string
	closed chan error
}

func (r *recorder) Data(c *Conn, data []byte) {
	switch {
	case strings.HasPrefix(string(data), "panic"):
		panic("asked to")
	case len(data) > 0:
		r.heard <- string(data)
	}
}
func (r *recorder) Closed(_ *Conn, reason error) { r.closed <- reason }
func (r *recorder) RemoteAddr() string           { return "a test" }

// A site is a loop that accepts connections.
type site struct {
	loop     *Loop
	addr     string
	recorder *recorder
	protocol atomic.Value // a *greeter, in place of recorder
	conns    chan *Conn
	tls      atomic.Pointer[tlsEnds]       // nil for connections without TLS; set before the first
	held     atomic.Pointer[chan struct{}] // connections start when it is closed; nil for at once
}

// both runs a test on both kinds of connection, and on the loop in both ways of waiting.
func both(t *testing.T, cfg Config, test func(t *testing.T, s *site)) {
	t.Run("epoll", func(t *testing.T) { test(t, newSite(t, cfg)) })
	t.Run("epoll, one processor", func(t *testing.T) {
		had := runtime.GOMAXPROCS(1)
		s := newSite(t, cfg)
		runtime.GOMAXPROCS(had)
		test(t, s)
	})
	t.Run("goroutines", func(t *testing.T) {
		cfg.Goroutines = true
		test(t, newSite(t, cfg))
	})
	t.Run("TLS", func(t *testing.T) {
		cfg.Goroutines = false
		s := newSite(t, cfg)
		s.tls.Store(newTLSEnds(t))
		test(t, s)
	})
}

// costs reports whether the site's connections have goroutines.
func (s *site) costs() bool { return s.loop.cfg.Goroutines || s.tls.Load().on() }

func newSite(t testing.TB, cfg Config) *site {
	t.Helper()
	l, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s := siteOn(t, l)
	t.Cleanup(func() {
		if err := l.Check(); err != nil {
			t.Error(err)
		}
		l.Close()
		if st := l.Stats(); st.Conns != 0 || st.Queued != 0 || st.Blocked != 0 {
			t.Errorf("left behind: %+v", st)
		}
	})
	return s
}

// siteOn is a site on a loop that the test closes.
func siteOn(t testing.TB, l *Loop) *site {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &site{loop: l, addr: ln.Addr().String(), conns: make(chan *Conn, 10000),
		recorder: &recorder{heard: make(chan string, 100), closed: make(chan error, 10000)}}
	ended := make(chan struct{})
	go func() { // ends with ln
		defer close(ended)
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			if s.tls.Load().on() {
				if nc, err = s.tls.Load().shake(nc); err != nil {
					t.Error(err)
					continue
				}
			}
			p := Protocol(s.recorder)
			if g, ok := s.protocol.Load().(*greeter); ok {
				p = g
			}
			c, err := l.AttachConn(nc, Options{Cork: p != s.recorder}, p)
			if err != nil {
				t.Error(err)
				continue
			}
			if held := s.held.Load(); held != nil {
				s.conns <- c
				<-*held
				c.Start()
				continue
			}
			c.Start()
			s.conns <- c
		}
	}()
	t.Cleanup(func() {
		_ = ln.Close()
		<-ended
	})
	return s
}

// hold keeps connections from starting until release is called.
func (s *site) hold() (release func()) {
	held := make(chan struct{})
	s.held.Store(&held)
	return func() { close(held) }
}

// dial returns both ends of a new connection.
func (s *site) dial(t testing.TB) (net.Conn, *Conn) {
	t.Helper()
	nc, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(patience))
	if s.tls.Load().on() {
		nc = s.tls.Load().dialled(nc)
	}
	return nc, receive(t, s.conns, "a connection")
}

func receive[T any](t testing.TB, ch <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatalf("waited in vain for %s", what)
		panic("unreachable")
	}
}
