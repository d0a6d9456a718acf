package loop

import (
	"io"
	"net"
	"testing"
	"time"
)

// TestEndings: what was pushed arrives, and what follows is what was asked for.
func TestEndings(t *testing.T) {
	const wait = 200 * time.Millisecond
	for name, tt := range map[string]struct {
		how    Ending
		last   string
		again  bool // CloseSocket follows
		answer bool // the peer closes once it has read all
		ends   bool // the peer sees the end without having closed
	}{
		"close":                     {how: CloseSocket, ends: true},
		"close with a last word":    {how: CloseSocket, last: "bye", ends: true},
		"half-close":                {how: HalfClose, last: "bye", ends: true},
		"half-close, answered":      {how: HalfClose, ends: true, answer: true},
		"await a peer":              {how: AwaitPeer, last: "bye", answer: true},
		"await a silent peer":       {how: AwaitPeer, last: "bye", ends: true},
		"await, then close":         {how: AwaitPeer, last: "bye", again: true, ends: true},
		"half-close, then closed":   {how: HalfClose, last: "bye", again: true, ends: true},
		"close, and close it again": {how: CloseSocket, again: true, ends: true},
	} {
		t.Run(name, func(t *testing.T) {
			both(t, Config{CloseTimeout: wait}, func(t *testing.T, s *site) {
				nc, c := s.dial(t)
				c.Push([]byte("all "))
				var last []byte
				if tt.last != "" {
					last = []byte(tt.last)
				}
				if c.Ending() {
					t.Error("ends before it was told to")
				}
				c.End(tt.how, last, ErrTooMuch)
				if !c.Ending() || c.Push([]byte("late")) {
					t.Error("does not end")
				}
				c.End(HalfClose, []byte("late"), ErrClosed) // is too late
				if tt.again {
					c.Finish()
				}
				want := "all " + tt.last
				got := make([]byte, len(want))
				if _, err := io.ReadFull(nc, got); err != nil || string(got) != want {
					t.Fatalf("got %q, %v; want %q", got, err, want)
				}
				if tt.answer {
					_ = nc.Close()
				}
				if tt.ends {
					if n, err := nc.Read(make([]byte, 1)); n != 0 || !tt.answer && err != io.EOF {
						t.Errorf("read %d bytes, %v", n, err)
					}
				}
				if reason := receive(t, s.recorder.closed, "the end"); reason != ErrTooMuch {
					t.Errorf("reason %v", reason)
				}
				if c.Truncated() {
					t.Error("something is said not to have left")
				}
			})
		})
	}
}

// TestPanic of a protocol ends its connection and no other.
func TestPanic(t *testing.T) {
	both(t, Config{}, func(t *testing.T, s *site) {
		nc, _ := s.dial(t)
		other, _ := s.dial(t)
		_, _ = nc.Write([]byte("panic"))
		if got := receive(t, s.recorder.closed, "the end"); got != ErrPanic {
			t.Errorf("reason %v", got)
		}
		_, _ = other.Write([]byte("still here"))
		if got := receive(t, s.recorder.heard, "another connection"); got != "still here" {
			t.Errorf("heard %q", got)
		}
	})
}

// TestDetachOfOneThatEnds: whoever waits for a connection is told when it ends before.
func TestDetachOfOneThatEnds(t *testing.T) {
	s := newSite(t, Config{Outbox: 64 << 20, WriteTimeout: 200 * time.Millisecond})
	if s.loop.shards[0].poll == nil {
		t.Skip("connections with goroutines are not detached")
	}
	_, c := s.dial(t)
	c.Push(make([]byte, 30<<20)) // which nobody reads
	c.Detach(func(nc net.Conn) {
		_ = nc.Close()
		t.Error("detached with bytes that have not left")
	})
	c.Detach(func(net.Conn) { t.Error("detached twice") })
	if got := receive(t, s.recorder.closed, "the end"); got != ErrWriteTimeout {
		t.Errorf("reason %v", got)
	}
	_, ended := s.dial(t)
	ended.Finish()
	ended.Detach(func(net.Conn) { t.Error("detached after its end") })
	receive(t, s.recorder.closed, "the other end")
}
