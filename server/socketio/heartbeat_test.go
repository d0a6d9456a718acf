package socketio

import (
	"strings"
	"testing"
	"time"
)

// The time in which nothing is read from a client is not one in which it was silent.
func TestWhoIsNotHeardIsNotSilent(t *testing.T) {
	for query, ping := range map[string]string{"EIO=3": "2", "EIO=4": "3"} {
		t.Run(query, func(t *testing.T) {
			s := serve(t, Config{PingInterval: 300 * time.Millisecond, PingTimeout: 300 * time.Millisecond, Outbox: 32 << 20})
			ws := s.dial(query)
			ws.want("0...")
			if ping == "3" {
				ws.say("40")
			}
			session := take(t, s.connected, "the client")
			if !session.conn.OnLoop() {
				t.Skip("connections with goroutines are always heard")
			}
			event := EventFrame("e", []byte(`"`+strings.Repeat("x", 60_000)+`"`))
			for session.conn.Waiting() < 4<<20 { // beyond what sockets hold
				if !session.Deliver(event) {
					t.Fatal("refused")
				}
			}
			session.conn.Owe(1 << 20)
			ws.say(ping)
			time.Sleep(1500 * time.Millisecond)
			if !session.Deliver(EventFrame("last", nil)) {
				t.Fatal("it was ended")
			}
			for heard := ""; !strings.Contains(heard, "last"); {
				var code int
				var err error
				if heard, code, err = ws.next(); code != 0 || err != nil {
					t.Fatalf("ended by %d, %v", code, err)
				}
			}
			// It is silent from then on.
			if reason := take(t, s.closed, "the end"); reason != reasonTimeout.Error() {
				t.Errorf("ended for %q", reason)
			}
		})
	}
}
