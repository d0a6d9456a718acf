package socketio

import (
	"fmt"
	"testing"
	"time"
)

// A client that says EIO=4 on a WebSocket and then speaks protocol 3 is spoken to in
// protocol 3, in its heartbeat too.
func TestProtocol4ThatIsNone(t *testing.T) {
	for name, first := range map[string]struct{ say, hear []string }{
		"a ping":              {[]string{"2"}, []string{"3", "40"}},
		"an event":            {[]string{`42["room","x"]`}, []string{"40"}},
		"an event, and pings": {[]string{`42["room","x"]`, "2", "2"}, []string{"3", "3", "40"}},
		"nothing":             {nil, []string{`40{"sid":"...`}},
	} {
		t.Run(name, func(t *testing.T) {
			still(t, Config{PingInterval: 400 * time.Millisecond, PingTimeout: 1600 * time.Millisecond}, func(s *site) {
				t := s.T
				ws := s.dial("EIO=4")
				ws.want("0{...")
				began := time.Now()
				ws.say(first.say...)
				var heard []string
				for len(heard) < len(first.hear) {
					m, _, err := ws.next()
					if err != nil {
						t.Fatalf("%v; heard %q", err, heard)
					}
					heard = append(heard, m)
				}
				if last := first.hear[len(first.hear)-1]; !contains(heard, last) {
					t.Fatalf("heard %q, want %q", heard, first.hear)
				}
				if first.say == nil && time.Since(began) < 900*time.Millisecond {
					t.Errorf("silence was broken after %v", time.Since(began))
				}
				session := take(t, s.connected, "the client to be connected")
				if want := map[bool]int{true: 4, false: 3}[first.say == nil]; session.Protocol() != want {
					t.Errorf("protocol %d, want %d", session.Protocol(), want)
				}
				// For longer than a client of protocol 4 would get without being pinged,
				// and than one of 3 would last without pinging.
				for range 8 {
					ws.say("2")
					ws.want("3")
					time.Sleep(350 * time.Millisecond)
				}
				if session.Protocol() != 3 {
					t.Errorf("protocol %d after its pings", session.Protocol())
				}
				ws.say(`42["later"]`, "40", "2")
				ws.want("40", "3")
				if got := s.heard(); !contains(got, "later") {
					t.Errorf("the dialect heard %q", got)
				}
				session.Deliver(EventFrame("e", []byte("1")))
				ws.want(`42["e",1]`)
			})
		})
	}
}

// contains is slices.Contains for packets that are wanted as matches compares them.
func contains(list []string, want string) bool {
	for _, got := range list {
		if matches(got, want) {
			return true
		}
	}
	return false
}

// A client of protocol 4 that is slow with its 40 is connected, told its id once, and
// pinged.
func TestProtocol4ThatIsSlow(t *testing.T) {
	still(t, Config{PingInterval: 300 * time.Millisecond, PingTimeout: 5 * time.Second}, func(s *site) {
		t := s.T
		ws := s.dial("EIO=4")
		ws.want("0{...", `40{"sid":"...`)
		session := take(t, s.connected, "the client to be connected")
		ws.silent(600 * time.Millisecond)           // no ping of protocol 4 to a client of 3
		ws.say(`42["room","x"]`, `40{"token":"x"}`) // it was told that it is connected
		ws.want("2")
		ws.say("3")
		ws.want("2")
		if session.Protocol() != 4 || !contains(s.heard(), `room"x"`) {
			t.Errorf("protocol %d, the dialect heard %q", session.Protocol(), s.heard())
		}
		if want := session.engineID; session.ID() != want {
			t.Errorf("the socket's id is %q, want what the client was told, %q", session.ID(), want)
		}
		// A ping is still nothing that it may send.
		ws.say("2")
		if _, code := ws.ended(); code != 1002 {
			t.Errorf("close code %d, want 1002", code)
		}
	})
}

// A client of protocol 4 that wants another namespace only is left in peace.
func TestProtocol4ElsewhereIsNotGuessed(t *testing.T) {
	still(t, Config{}, func(s *site) {
		t := s.T
		ws := s.dial("EIO=4")
		ws.want("0{...")
		ws.say("40/admin,")
		ws.want(`44/admin,{"message":"Invalid namespace"}`)
		ws.silent(1500 * time.Millisecond)
		if len(s.connected) > 0 {
			t.Error("it was connected to the default namespace")
		}
	})
}

// Over polling nobody has to guess: a ping of a client of protocol 4 is an error, and
// silence is not.
func TestProtocol4OverPolling(t *testing.T) {
	still(t, Config{}, func(s *site) {
		t := s.T
		p := s.poll("EIO=4")
		done := p.waiting()
		select {
		case got := <-done:
			t.Fatalf("the GET was answered %q", got)
		case <-time.After(1500 * time.Millisecond):
		}
		if a := p.post("2"); a.status != 400 {
			t.Errorf("a ping was answered %d %s", a.status, a.body)
		}
		if got := take(t, done, "the GET"); fmt.Sprint(got) != "[1]" {
			t.Errorf("the GET was answered %q", got)
		}
	})
}

// A client that leaves the namespace and comes back in one payload is in it.
func TestRejoin(t *testing.T) {
	s := serve(t, Config{})
	for _, query := range []string{"EIO=3", "EIO=4"} {
		for range 20 {
			ws := s.dial(query)
			ws.want("0{...")
			if query == "EIO=4" {
				ws.say("40")
			}
			ws.want("40...")
			ws.say("41", "40", "41", "40", `42["again"]`)
			ws.want("40...", "40...")
			session := take(t, s.connected, "the client")
			take(t, s.connected, "the client again")
			take(t, s.connected, "the client once more")
			session.Deliver(EventFrame("e", nil))
			ws.want(`42["e",null]`)
			eventually(t, "its event", func() bool { return contains(s.heard(), "again") })
			_ = ws.Close()
			for range 3 {
				take(t, s.closed, "its end")
			}
		}
	}
}
