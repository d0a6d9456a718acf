package socketio

import (
	"time"

	"poosh/server/closed"
)

// silence is how long a client that says it speaks protocol 4 may say nothing on
// its WebSocket before it is taken for one that speaks 3; see [Session.guess].
const silence = time.Second

// A deed is what a session's clock does.
type deed uint8

const (
	deedNone  deed = iota
	deedPing       // protocol 4: the server asks for a sign of life
	deedGuess      // nothing came from a client that says 4
	deedForget
	deedTimeout
	deedUnfinished
	deedUnjoined // the client did not ask for the namespace
	deedFailed   // the library did not connect it
)

// reasons is why a deed ends the session; the others do not.
var reasons = [...]closed.Reason{
	deedTimeout:    reasonTimeout,
	deedUnfinished: reasonUnfinished,
	deedUnjoined:   reasonForced,
	deedFailed:     reasonFailed,
}

// next is what the session's clock has to do next, and at what uptime. s.mu is held.
func (s *Session) next() (deed, time.Duration) {
	cfg := s.server.cfg()
	switch s.life {
	case lifeClosing, lifeClosed:
		return deedNone, 0
	case lifeKept:
		return deedForget, s.until
	}
	what, at := s.heartbeat()
	earlier := func(d deed, t time.Duration) {
		if t < at {
			what, at = d, t
		}
	}
	if s.via == viaHandshake {
		earlier(deedUnfinished, s.opened+cfg.UnfinishedTimeout)
	}
	switch {
	case s.space == spaceJoining:
		earlier(deedFailed, s.since+cfg.ConnectTimeout)
	case s.space == spaceNever: // protocol 4
		earlier(deedUnjoined, s.opened+cfg.ConnectTimeout)
		if !s.settled {
			earlier(deedGuess, s.opened+silence)
		}
	}
	return what, at
}

// heartbeat is next for signs of life. Clients of protocols 2 and 3 ping, and any
// packet is a sign; those of protocol 4 are pinged. s.mu is held.
func (s *Session) heartbeat() (deed, time.Duration) {
	cfg := s.server.cfg()
	heard := time.Duration(s.heard.Load())
	switch {
	case s.speaks() != 4 || !s.settled:
		return deedTimeout, heard + cfg.PingInterval + cfg.PingTimeout
	case s.awaited:
		return deedTimeout, max(heard, s.beat) + cfg.PingTimeout
	}
	return deedPing, s.beat + cfg.PingInterval
}

// plan sets the session's timer. s.mu is held.
func (s *Session) plan() {
	if what, at := s.next(); what != deedNone {
		s.server.loop.Schedule(&s.timer, max(0, at-s.server.uptime()))
	}
}

// check is the session's clock. It runs on the loop's wheel, so what may take its
// time goes to a goroutine that ends with it.
func (s *Session) check() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil && s.conn.Unheard() {
		s.alive() // a sign of life may wait unread
	}
	what, at := s.next()
	now := s.server.uptime()
	switch {
	case what == deedNone:
		return
	case now < at:
		s.server.loop.Schedule(&s.timer, at-now)
	case what == deedPing:
		s.awaited, s.beat = true, now
		s.deliver(framePing)
		s.plan()
	case what == deedGuess:
		go s.guess()
	case what == deedForget:
		go s.forget() // not here: a lock is held
	default:
		go s.end(reasons[what])
	}
}

// alive notes a sign of life.
func (s *Session) alive() { s.heard.Store(int64(s.server.uptime())) }

// pong is the answer to our ping.
func (s *Session) pong() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.awaited {
		s.awaited, s.beat = false, s.server.uptime()
		s.plan()
	}
}

// request lets a client's request happen to what carries the session. From the first
// after the handshake on it counts as begun. s.mu is held, and it has not ended.
func (s *Session) request(e transportEvent) transportEffect {
	do := s.carry(e)
	if do&wayBegun != 0 {
		s.server.begun(s)
		s.plan()
	}
	return do
}
