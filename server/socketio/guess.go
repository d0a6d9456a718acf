package socketio

// Released clients of socket.io 1.x in other languages, C++ before 2.0 and some game
// engines among them, open a WebSocket with EIO=4 and speak protocol 3: they wait for
// 40, and ping. Clients of protocol 4 send 40 before anything else. So what a client
// does counts, not what it says: a ping or an event before any 40 means protocol 3,
// and so does silence.
//
// Silence alone proves nothing: a page may be busy for a second, and a network slow.
// So the 40 that a silent client is given names its id, as protocol 4 has it, which
// clients of protocol 3 do not look at. A 40 of the client's own then makes it what it
// said it was, and a ping what it was taken for; events, which either may send now, say
// nothing.

// guess takes a client that has said nothing for one of protocol 3.
func (s *Session) guess() {
	s.in.mu.Lock()
	defer s.in.mu.Unlock()
	if s.settle(3) {
		s.setGuessed(true)
		s.join()
	}
}

// settle notes which protocol a client turns out to speak, and reports whether that
// was not known before. in.mu is held.
func (s *Session) settle(protocol int32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.settled || s.life != lifeOpen {
		return false
	}
	s.settled = true
	s.protocol.Store(protocol)
	s.recount()
	return true
}

// setGuessed notes whether protocol 3 was chosen for a client that said 4.
func (s *Session) setGuessed(yes bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.guessed.Store(yes)
	s.recount()
}

// promote makes a silent client that was taken for one of protocol 3 what it says it
// is. in.mu is held.
func (s *Session) promote() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.guessed.Store(false)
	s.protocol.Store(4)
	s.recount()
	s.beat = s.opened // it is due a ping
	s.plan()
}

// greeting is the library's connect packet as the client is to see it.
func (s *Session) greeting(packet []byte) []byte {
	if string(packet) == "0" && s.guessed.Load() {
		return []byte(`0{"sid":"` + s.engineID + `"}`)
	}
	return packet
}
