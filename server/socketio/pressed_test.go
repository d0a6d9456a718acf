package socketio

import (
	"strings"
	"testing"
	"time"
)

// Publishers wait for a client that polls beside the loop and has more than half of what may
// wait for it, until it comes, has been silent for a moment, or is gone.
func TestPublishersWaitForWhoPollsBesideTheLoop(t *testing.T) {
	const outbox = 64 << 10
	large := EventFrame("e", []byte(`"`+strings.Repeat("x", outbox/4)+`"`))
	for name, row := range map[string]struct {
		relieve func(p *poller, session *Session)
		after   time.Duration // that nobody waits any more
	}{
		"it comes for what waits": {func(p *poller, _ *Session) { p.want(`42["e"...`, `42["e"...`, `42["e"...`); p.waiting() }, 0},
		"it is silent":            {func(*poller, *Session) {}, reading + 2*100*time.Millisecond},
		"its session ends":        {func(p *poller, s *Session) { s.end(reasonClosed) }, 0},
		"it leaves for a WebSocket": {func(p *poller, _ *Session) {
			ws := p.dial("EIO=3&sid=" + p.sid)
			ws.say("2probe", "5")
			ws.want("3probe", `42["e"...`, `42["e"...`, `42["e"...`)
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			still(t, Config{Outbox: outbox}, func(s *site) {
				p := s.poll("EIO=3")
				p.want("40")
				session := take(s.T, s.connected, "the client")
				loop := s.server.loop
				session.Deliver(large)
				if loop.Behind() || loop.CaughtUp() != nil {
					s.Error("publishers wait for a quarter of an outbox")
				}
				session.Deliver(large)
				session.Deliver(large)
				if !loop.Behind() {
					s.Fatal("publishers do not wait")
				}
				again := loop.CaughtUp()
				row.relieve(p, session)
				time.Sleep(row.after)
				if loop.Behind() {
					s.Error("publishers wait still")
				}
				select {
				case <-again:
				default:
					s.Error("publishers are not told")
				}
			})
		})
	}
}

// For one that polls on the loop its connection's outbox says how it is.
func TestNobodyWaitsForWhatIsFetchedOnTheLoop(t *testing.T) {
	s := serve(t, Config{Outbox: 64 << 10})
	p := s.poll("EIO=3")
	p.want("40")
	session := take(s.T, s.connected, "the client")
	for range 3 {
		session.Deliver(EventFrame("e", []byte(`"`+strings.Repeat("x", 16<<10)+`"`)))
	}
	if s.server.loop.Behind() {
		s.Error("publishers wait for a client that may be gone")
	}
}
