package loop

import (
	"io"
	"strings"
	"sync"
	"testing"
	"time"
)

// A loop at work is found to be right at every moment: clients that read, one that
// takes nothing, and connections that come and go.
func TestCheckAtWork(t *testing.T) {
	both(t, Config{Outbox: 1 << 20}, func(t *testing.T, s *site) {
		var conns []*Conn
		var readers sync.WaitGroup
		for i := range 8 {
			nc, c := s.dial(t)
			conns = append(conns, c)
			if i > 0 { // or it takes nothing
				readers.Go(func() { _, _ = io.Copy(io.Discard, nc) }) // ends with its connection
			}
		}
		stop := make(chan struct{})
		var senders sync.WaitGroup
		senders.Go(func() { // ends with stop
			frame := make([]byte, 1000)
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				for _, c := range conns {
					if n%3 == 0 {
						c.PushNow(frame)
					} else {
						c.Push(frame)
					}
				}
				caughtUp(t, s.loop)
			}
		})
		for end := time.Now().Add(500 * time.Millisecond); time.Now().Before(end); {
			_, c := s.dial(t)
			c.Push([]byte("x"))
			if err := s.loop.Check(); err != nil {
				t.Fatal(err)
			}
			c.Abort(ErrTooMuch)
		}
		close(stop)
		senders.Wait()
		for _, c := range conns {
			c.Abort(ErrTooMuch)
		}
		readers.Wait()
		waitFor(t, "the loop to agree", func() bool { return s.loop.differences() == sums{} })
	})
}

// Each thing that a check is for is found.
func TestCheckFinds(t *testing.T) {
	for _, test := range []struct {
		name, want string
		spoil      func(l *Loop, c *Conn) (mend func())
	}{
		{"bytes that nobody counts", "counts 5 bytes that wait, and 0 do", func(_ *Loop, c *Conn) func() {
			c.size += 5
			return func() { c.size -= 5 }
		}},
		{"bytes that nobody writes", "has 67 bytes waiting, and nobody will write them", func(_ *Loop, c *Conn) func() {
			c.queue = [][]byte{[]byte("abc")}
			c.size += 67
			return func() { c.queue, c.size = nil, c.size-67 }
		}},
		{"an outbox that fills up unseen", "is not as it counts", func(_ *Loop, c *Conn) func() {
			c.flags ^= strained
			return func() { c.flags ^= strained }
		}},
		{"an end that nobody sees to", "has ended and nobody lets it go", func(_ *Loop, c *Conn) func() {
			c.flags |= dead
			return func() { c.flags &^= dead }
		}},
		{"a connection that is lost", "+1 connections, +0 with goroutines", func(l *Loop, _ *Conn) func() {
			l.conns.Add(1)
			return func() { l.conns.Add(-1) }
		}},
		{"bytes that stay counted", "+7 bytes that wait, -3 for sockets that take none, +1 outboxes", func(l *Loop, c *Conn) func() {
			s := c.shard
			s.queued.Add(7)
			s.stuck.Add(-3)
			s.strained.Add(1)
			return func() { s.queued.Add(-7); s.stuck.Add(3); s.strained.Add(-1) }
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSite(t, Config{})
			_, c := s.dial(t)
			if err := s.loop.Check(); err != nil {
				t.Fatalf("before: %v", err)
			}
			c.mu.Lock()
			mend := test.spoil(s.loop, c)
			c.mu.Unlock()
			if err := s.loop.Check(); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
			c.mu.Lock()
			mend()
			c.mu.Unlock()
			if err := s.loop.Check(); err != nil {
				t.Errorf("after: %v", err)
			}
		})
	}
}
