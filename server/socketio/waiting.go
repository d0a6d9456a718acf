package socketio

// Waiting returns how many bytes of Config.Outbox are taken by what the client
// has not been written yet.
func (s *Session) Waiting() int {
	if c := s.direct.Load(); c != nil {
		return c.Waiting()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, frame := range s.held {
		n += len(frame)
	}
	switch {
	case s.conn != nil:
		n += s.conn.Waiting()
	case s.poll != nil:
		n += s.poll.size
	}
	return n
}
