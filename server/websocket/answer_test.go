package websocket

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"poosh/server/loop"
)

// Who asks on and on and does not read its answers is not heard for so long, and is
// answered everything, in order, once it reads.
func TestWhoDoesNotReadItsAnswersWaits(t *testing.T) {
	both(t, loop.Config{}, func(t *testing.T, s *site) {
		s.handler.answers = true
		ws, c := s.dial(t)
		const total = 30_000
		padding := strings.Repeat("x", 1000)
		said := make(chan error, 1)
		go func() { // ends with the last message, or with the connection
			for i := range total {
				if err := ws.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, "%d %s", i, padding)); err != nil {
					said <- err
					return
				}
			}
			said <- nil
		}()
		select {
		case err := <-said:
			t.Fatalf("30 MB were heard of a client that reads nothing: %v", err)
		case reason := <-s.handler.closed:
			t.Fatalf("closed: %v", reason)
		case <-time.After(time.Second):
		}
		if n := c.Waiting(); n > 512<<10 {
			t.Errorf("%d bytes wait for it", n)
		}
		for i := range total {
			_, got, err := ws.ReadMessage()
			if n, _, _ := strings.Cut(string(got), " "); err != nil || n != fmt.Sprint(i) {
				t.Fatalf("answer %d is %.20q, %v", i, got, err)
			}
		}
		if err := <-said; err != nil {
			t.Error(err)
		}
	})
}

// Events that nobody asked for keep nobody from being heard, and who is too slow for them
// is closed, though it waits for answers too.
func TestWhoIsSlowForEventsIsHeardAndClosed(t *testing.T) {
	s := newSite(t, loop.Config{Outbox: 8 << 20})
	ws, c := s.dial(t)
	event := TextFrame([]byte(strings.Repeat("x", 100<<10)))
	for c.Waiting() < 4<<20 { // beyond what sockets hold
		if !c.Push(event) {
			t.Fatal("refused")
		}
	}
	if err := ws.WriteMessage(websocket.TextMessage, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, s.handler.messages, "a message"); got != "false hello" {
		t.Errorf("heard %q", got)
	}
	if c.OnLoop() {
		c.Owe(1 << 20) // it is not heard any more
		if err := ws.WriteMessage(websocket.TextMessage, []byte("not heard")); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(patience); !c.raw().Unread(); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("what it said has not come, or was read")
			}
		}
		time.Sleep(50 * time.Millisecond)
		if len(s.handler.messages) != 0 {
			t.Error("heard though much is owed")
		}
	}
	for c.Push(event) {
	}
	if reason := receive(t, s.handler.closed, "the end"); reason != loop.ErrSlow {
		t.Errorf("reason %v", reason)
	}
	if len(s.handler.messages) != 0 {
		t.Error("heard though much is owed")
	}
}
