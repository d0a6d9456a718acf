package socketio

import (
	"strings"
	"testing"
	"time"

	"poosh/server/websocket"
)

// wait is how long publishers wait for a client at a time, and between two times nobody does;
// see loop.Loop.Press.
const wait = 20 * time.Millisecond

// pressure is the outbox of clients in these tests, and piece an event of a quarter of it.
const pressure = 64 << 10

var piece = EventFrame("e", []byte(`"`+strings.Repeat("x", pressure/4)+`"`))

// held is how long a publisher has to wait now.
func (s *site) held() time.Duration {
	began := time.Now()
	for again := s.server.loop.CaughtUp(); again != nil; again = s.server.loop.CaughtUp() {
		<-again
	}
	return time.Since(began)
}

// inside polls until a client of protocol 3 is in its namespace.
func (s *site) inside() (*poller, *Session) {
	s.Helper()
	p := s.poll("EIO=3")
	p.want("40")
	return p, take(s.T, s.connected, "the client")
}

// Publishers wait for a client that polls and has more than half of what may wait for it,
// until it comes for that, moves to a WebSocket or is gone.
func TestPublishersWaitForWhoPolls(t *testing.T) {
	for name, relieve := range map[string]func(p *poller, session *Session){
		"it comes":  func(p *poller, _ *Session) { p.want(`42["e"...`, `42["e"...`, `42["e"...`) },
		"it leaves": func(p *poller, s *Session) { s.end(reasonClosed) },
		"it is slow": func(p *poller, s *Session) {
			for s.Deliver(piece) {
			}
			take(p.T, p.closed, "the end")
		},
		"it has a WebSocket": func(p *poller, _ *Session) {
			ws := p.dial("EIO=3&sid=" + p.sid)
			ws.say("2probe", "5")
			ws.want("3probe", `42["e"...`, `42["e"...`, `42["e"...`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			still(t, Config{Outbox: pressure}, func(s *site) {
				p, session := s.inside()
				session.Deliver(piece)
				if s.held() != 0 {
					s.Error("publishers wait for a quarter of an outbox")
				}
				session.Deliver(piece)
				session.Deliver(piece)
				again := s.server.loop.CaughtUp()
				if again == nil {
					s.Fatal("publishers do not wait")
				}
				began := time.Now()
				relieve(p, session)
				select {
				case <-again:
				default:
					s.Error("publishers are not told")
				}
				if s.server.loop.CaughtUp() != nil || time.Since(began) >= wait {
					s.Errorf("publishers wait still after %v", time.Since(began))
				}
			})
		})
	}
}

// It is the same where polls wait on the loop.
func TestPublishersWaitForWhoPollsOnTheLoop(t *testing.T) {
	s := serve(t, Config{Outbox: pressure})
	p, session := s.inside()
	eventually(t, "publishers to wait", func() bool { // a machine that stands still may miss one round
		session.Deliver(piece)
		session.Deliver(piece)
		session.Deliver(piece)
		behind := s.server.loop.CaughtUp() != nil
		p.get()
		session.Deliver(EventFrame("e", nil))
		p.get() // so all that came before was read, and there is room for as much again
		return behind
	})
	if eventually(t, "publishers to go on", func() bool { return s.server.loop.CaughtUp() == nil }); !session.isOpen() {
		t.Error("the client is gone")
	}
}

// What a client asked for itself has nobody wait.
func TestNobodyWaitsForAnswers(t *testing.T) {
	each(t, Config{Outbox: pressure}, func(s *site) {
		of := func(session *Session, frame []byte) bool { // as the library has it, without the engine's type
			session.written(websocket.Payload(frame)[1:])
			return session.isOpen()
		}
		for name, give := range map[string]func(*Session, []byte) bool{"answers": (*Session).Answer, "replays": (*Session).Replay, "packets of the library": of} {
			p, session := s.inside()
			for range 3 {
				if !give(session, piece) {
					s.Fatalf("%s: refused", name)
				}
				if s.server.loop.CaughtUp() != nil {
					s.Errorf("publishers wait for %s", name)
				}
			}
			session.Deliver(EventFrame("e", nil)) // which is not much
			if s.server.loop.CaughtUp() != nil {
				s.Errorf("publishers wait for an event behind %s", name)
			}
			p.get()
			session.Deliver(EventFrame("e", nil))
			if s.server.loop.CaughtUp() != nil {
				s.Errorf("publishers wait for an event behind %s that were given", name)
			}
		}
	})
}

// A client that is late is waited for in a few rounds between two of its GETs, and anew when it
// has come.
func TestWhoIsLateIsNotWaitedForAgain(t *testing.T) {
	still(t, Config{Outbox: pressure}, func(s *site) {
		p, session := s.inside()
		session.Deliver(piece)
		session.Deliver(piece)
		event := EventFrame("e", nil)
		for _, what := range []string{"is silent", "came late, and may not have read"} {
			var waited time.Duration
			for range 20 {
				session.Deliver(event)
				waited += s.held()
				time.Sleep(wait)
			}
			if waited != maxPresses*wait {
				s.Errorf("publishers waited %v for one that %s, want %v", waited, what, maxPresses*wait)
			}
			p.get()
		}
		session.Deliver(event)
		if got := s.held(); got != 0 {
			s.Errorf("publishers wait %v for one that has read most", got)
		}
		p.get()
		session.Deliver(piece)
		session.Deliver(piece)
		session.Deliver(piece)
		if got := s.held(); got != wait {
			s.Errorf("publishers wait %v for one that has read all, want %v", got, wait)
		}
	})
}

// Strangers in the room of a sender, who poll as they like, take half of his time at the most,
// and a moment at once, however many they are.
func TestStrangersWhoPollHoldUpLittle(t *testing.T) {
	const strangers, events = 8, 1000
	event := EventFrame("e", []byte(`"`+strings.Repeat("x", 2000)+`"`))
	for name, row := range map[string]struct {
		every   time.Duration // they send a GET; 0 for never
		asks    bool          // they ask for as much themselves
		waitFor bool
	}{
		"they never come":             {0, false, true},
		"they come slowly":            {40 * time.Millisecond, false, true},
		"they come when it is time":   {19 * time.Millisecond, false, true},
		"they ask, and never come":    {0, true, false},
		"they ask, and come slowly":   {40 * time.Millisecond, true, false},
		"they ask, and come at times": {19 * time.Millisecond, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			still(t, Config{Outbox: pressure}, func(s *site) {
				type stranger struct {
					*poller
					session *Session
					next    time.Time
				}
				var crowd [strangers]stranger
				began := time.Now()
				var waited, worst time.Duration
				for n := range events {
					for i := range crowd {
						c := &crowd[i]
						if c.session == nil || !c.session.isOpen() { // they come back, one by one
							if c.session != nil {
								take(s.T, s.closed, "the end")
							}
							c.poller, c.session = s.inside()
							c.next = time.Now().Add(time.Duration(i) * time.Millisecond)
						}
						give := c.session.Deliver
						if row.asks {
							give = c.session.Answer
						}
						if give(event); row.every > 0 && n%2 == 0 && !time.Now().Before(c.next) && c.session.isOpen() {
							c.get()
							c.next = time.Now().Add(row.every)
						}
					}
					w := s.held()
					waited, worst = waited+w, max(worst, w)
					time.Sleep(time.Millisecond) // what publishing costs
				}
				all := time.Since(began)
				switch {
				case !row.waitFor && waited > 0:
					s.Errorf("a sender waited %v of %v for who asks for much", waited, all)
				case row.waitFor && (waited == 0 || waited > all/2 || worst > wait):
					s.Errorf("a sender waited %v of %v, and %v at once; want some, half and %v at the most", waited, all, worst, wait)
				}
				if most := 8 * events * time.Millisecond; all > most { // nothing else has him wait
					s.Errorf("all took %v", all)
				}
			})
		})
	}
}
