package socketio

import (
	"time"

	"poosh/server/loop"
)

// reading is for how long publishers wait for a client that polls beside the loop and has
// more than half of what may wait for it, from when it came or was written to: it reads
// that, and comes again. One that takes longer is slow.
const reading = 200 * time.Millisecond

// A pressed is what has publishers wait for a client that polls. Answers on the loop are in
// outboxes there, which are seen to; what net/http writes, such as all over TLS, is not.
// The session's mu guards it.
type pressed struct {
	aside  bool          // the last GET was served beside the loop
	counts bool          // publishers wait
	since  time.Duration // the server's uptime when the client last came, or had been written to
	timer  *loop.Timer   // ends the wait; nil until it is needed
}

// progress notes that a client that polls came, or was written to. s.mu is held.
func (s *Session) progress() {
	if s.poll != nil {
		s.poll.pressed.since = s.server.uptime()
		s.press(s.poll)
	}
}

// press has publishers wait, or not any more, by what waits for a client. Whoever changes
// that calls it. s.mu is held.
func (s *Session) press(p *polling) {
	k := &p.pressed
	if !k.aside {
		return
	}
	left := k.since + reading - s.server.uptime()
	counts := p.size+p.given > s.server.cfg().Outbox/2 && left > 0
	if counts == k.counts {
		return
	}
	k.counts = counts
	if !counts {
		s.server.loop.HoldUp(-1)
		s.server.loop.Cancel(k.timer)
		return
	}
	s.server.loop.HoldUp(1)
	if k.timer == nil {
		k.timer = &loop.Timer{Fire: func() { s.relieve(p) }}
	}
	s.server.loop.Schedule(k.timer, left)
}

// relieve looks whether the time of a client is over.
func (s *Session) relieve(p *polling) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.press(p); p.pressed.counts { // it came again meanwhile
		s.server.loop.Schedule(p.pressed.timer, p.pressed.since+reading-s.server.uptime())
	}
}
