package websocket

import (
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"poosh/server/loop"
)

// A connection that is paused hears nothing more than what was read already, and all
// the rest when it resumes, whatever it costs.
func TestPause(t *testing.T) {
	both(t, loop.Config{}, func(t *testing.T, s *site) {
		ws, c := s.dial(t)
		c.Pause()
		for _, text := range []string{"1", "2"} {
			if err := ws.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
				t.Fatal(err)
			}
		}
		select {
		case m := <-s.handler.messages:
			t.Errorf("heard %q in a pause", m)
		case <-time.After(50 * time.Millisecond):
		}
		c.Resume()
		for _, want := range []string{"1", "2"} {
			if got := receive(t, s.handler.messages, "a message"); !strings.HasSuffix(got, want) {
				t.Errorf("heard %q, want %q", got, want)
			}
		}
	})
}

// A connection that is paused ends all the same.
func TestPausedEnds(t *testing.T) {
	both(t, loop.Config{}, func(t *testing.T, s *site) {
		ws, c := s.dial(t)
		c.Pause()
		if err := ws.WriteMessage(websocket.TextMessage, []byte("unheard")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond) // so that a reader has it in hand
		c.Abort(loop.ErrTooMuch)
		if got := receive(t, s.handler.closed, "the end"); got != loop.ErrTooMuch {
			t.Errorf("reason %v", got)
		}
	})
}

// A panic of a handler on another goroutine than the loop's ends its connection and not
// the program.
func TestGuard(t *testing.T) {
	both(t, loop.Config{}, func(t *testing.T, s *site) {
		_, c := s.dial(t)
		done := make(chan struct{})
		go func() {
			defer close(done)
			c.Guard(func() { panic("asked to") })
		}()
		<-done
		if got := receive(t, s.handler.closed, "the end"); got != loop.ErrPanic {
			t.Errorf("reason %v", got)
		}
	})
}
