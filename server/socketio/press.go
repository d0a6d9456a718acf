package socketio

import "poosh/server/loop"

// maxPresses is in how many rounds publishers wait for a client that polls between two of its
// GETs: it reads what the former was answered with, and comes again. One that takes longer is
// slow, and waited for by nobody until it comes.
const maxPresses = 5

// press notes that a frame was taken that the client did not ask for, and has publishers wait
// where more than half of what may wait for a client that polls is taken by such, however it
// is served; see [loop.Loop.Press]. What it asked for itself never counts. It returns true.
// s.mu is held.
func (s *Session) press(frame []byte) bool {
	p := s.poll
	if p == nil || s.life != lifeOpen || s.space.holds() {
		return true
	}
	if cost := int32(loop.Cost(frame)); p.frames == nil { // a GET waited
		p.told += cost
	} else {
		p.news += cost
	}
	if p.presses >= maxPresses || !s.isPressed() {
		return true
	}
	if round := s.server.loop.Press(p.round); round != 0 && round != p.round {
		p.round = round
		p.presses++
	}
	return true
}

// isPressed reports whether more than half of what may wait is taken by what nobody asked
// for. s.mu is held, and poll not nil.
func (s *Session) isPressed() bool {
	return int(s.poll.news)+int(s.poll.told) > s.server.cfg().Outbox/2
}

// came notes a GET, which takes all that waits: who sent it is waited for anew. s.mu is held.
func (s *Session) came() {
	s.relieve()
	s.poll.presses = 0
}

// relieve has nobody wait for a client any more. s.mu is held.
func (s *Session) relieve() {
	if s.poll == nil || s.poll.round == 0 {
		return
	}
	s.server.loop.Relieve(s.poll.round)
	s.poll.round = 0
}
