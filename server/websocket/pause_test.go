package websocket

import (
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"poosh/server/loop"
)

// A connection that is paused hears nothing more than what was read already, and all
// the rest when it resumes. One that costs a goroutine says that it cannot.
func TestPause(t *testing.T) {
	both(t, loop.Config{}, func(t *testing.T, s *site) {
		ws, c := s.dial(t)
		paused := c.Pause()
		if paused != c.OnLoop() {
			t.Fatalf("paused %v, on the loop %v", paused, c.OnLoop())
		}
		for _, text := range []string{"1", "2"} {
			if err := ws.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
				t.Fatal(err)
			}
		}
		if paused {
			select {
			case m := <-s.handler.messages:
				t.Errorf("heard %q in a pause", m)
			case <-time.After(50 * time.Millisecond):
			}
		}
		c.Resume()
		for _, want := range []string{"1", "2"} {
			if got := receive(t, s.handler.messages, "a message"); !strings.HasSuffix(got, want) {
				t.Errorf("heard %q, want %q", got, want)
			}
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
