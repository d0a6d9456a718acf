package loop

import (
	"io"
	"strings"
	"testing"
)

// A greeter becomes a recorder once it was greeted, and says so.
type greeter struct{ next *recorder }

func (g *greeter) Data(c *Conn, data []byte) {
	if len(data) == 0 {
		return
	}
	c.Push([]byte("changing "))
	c.Become(g.next, Options{Outbox: 500})
	c.Push([]byte("changed"))
	c.Start()
	g.next.Data(c, data) // as a protocol does that was handed what had come too early
}
func (*greeter) Closed(*Conn, error) {}
func (*greeter) RemoteAddr() string  { return "greeter" }

// TestBecome: from the next byte on the other protocol is told, with bounds of its own.
func TestBecome(t *testing.T) {
	both(t, Config{}, func(t *testing.T, s *site) {
		s.protocol.Store(&greeter{s.recorder})
		nc, c := s.dial(t)
		if _, ok := c.Protocol().(*greeter); !ok {
			t.Errorf("speaks %T", c.Protocol())
		}
		_, _ = io.WriteString(nc, "hello")
		want := "changing changed"
		got := make([]byte, len(want))
		if _, err := io.ReadFull(nc, got); err != nil || string(got) != want {
			t.Errorf("got %q, %v", got, err)
		}
		if got := receive(t, s.recorder.heard, "what came early"); got != "hello" {
			t.Errorf("heard %q", got)
		}
		for _, text := range strings.Split("one two three", " ") {
			_, _ = io.WriteString(nc, text)
			if got := receive(t, s.recorder.heard, "what comes then"); got != text {
				t.Errorf("heard %q, want %q", got, text)
			}
		}
		if c.Push(make([]byte, 501)) {
			t.Error("more than the new bound is taken")
		}
		if got := receive(t, s.recorder.closed, "the end"); got != ErrSlow {
			t.Errorf("reason %v", got)
		}
	})
}
