package socketio

import (
	"sync"
	"testing"
)

// TestKickedAtOnce: of operators who kick a client at the same moment one has done it.
func TestKickedAtOnce(t *testing.T) {
	s := serve(t, Config{})
	ws := s.dial("EIO=4")
	ws.want("0...")
	ws.say("40")
	take(t, s.connected, "the client")
	const operators = 4
	var there sync.WaitGroup
	there.Add(operators)
	kicked := make(chan int, operators)
	for range operators {
		go func() { // ends with the kick
			kicked <- s.server.KickAll(func(*Session) bool {
				there.Done()
				there.Wait() // nobody ends it before all have found it
				return true
			})
		}()
	}
	sum := 0
	for range operators {
		sum += <-kicked
	}
	if sum != 1 {
		t.Errorf("%d kicks of one client", sum)
	}
}
