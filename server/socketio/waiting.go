package socketio

// Waiting returns how much of Config.Outbox is taken by what the client has not been
// written yet, or may not have read.
func (s *Session) Waiting() int {
	if c := s.direct.Load(); c != nil {
		return c.Waiting()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.occupied()
}

// occupied is [Session.Waiting] with s.mu held.
func (s *Session) occupied() int {
	switch {
	case s.conn != nil:
		return s.size + s.conn.Waiting()
	case s.poll != nil:
		return s.size + s.poll.occupied()
	}
	return s.size
}
