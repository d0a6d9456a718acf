package socketio

import "poosh/server/loop"

// maxPresses is in how many rounds publishers wait for a client that polls before it has come
// for all that waits: it reads that, and comes again. One that takes longer is slow, and waited
// for by nobody.
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

// came notes a GET: who comes in time is waited for again, and so is who has read so much that
// little is left. That a client comes late with much left changes nothing. s.mu is held.
func (s *Session) came() {
	if inTime := s.relieve(); inTime || !s.isPressed() {
		s.poll.presses = 0
	}
}

// relieve has nobody wait for a client any more, and reports whether somebody did. s.mu is
// held.
func (s *Session) relieve() (inTime bool) {
	if s.poll == nil || s.poll.round == 0 {
		return false
	}
	inTime = s.server.loop.Relieve(s.poll.round)
	s.poll.round = 0
	return inTime
}
