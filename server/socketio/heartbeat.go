package socketio

import "time"

// patience is how long until the session's clock looks again.
func (s *Session) patience() time.Duration {
	cfg := &s.server.cfg
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.poll != nil && !s.poll.used:
		return cfg.UnfinishedTimeout
	case s.protocol == 4 && s.awaited:
		return cfg.PingTimeout
	case s.protocol == 4:
		return cfg.PingInterval
	}
	return cfg.PingInterval + cfg.PingTimeout
}

// check is the session's clock. Clients of protocols 2 and 3 ping, and any
// packet is a sign of life; to those of protocol 4 the server pings.
func (s *Session) check() {
	s.mu.Lock()
	state := s.state
	unused := s.poll != nil && !s.poll.used
	awaited := s.awaited
	s.mu.Unlock()
	if state == stateClosed {
		return // the clock was set while it ended
	}
	quiet := s.server.uptime() - time.Duration(s.heard.Load())
	wait := s.patience()
	switch {
	case state == stateClosing:
		go s.end(reasonForced) // handlers may take their time; the wheel may not
		return
	case unused:
		go s.end(reasonUnfinished)
		return
	case s.protocol != 4 && quiet >= wait || s.protocol == 4 && awaited && quiet >= wait:
		go s.end(reasonTimeout)
		return
	case s.protocol != 4 || awaited:
		wait -= quiet
	default:
		s.mu.Lock()
		s.awaited = true
		s.mu.Unlock()
		s.Deliver(framePing)
		wait = s.server.cfg.PingTimeout
	}
	s.server.loop.Schedule(&s.timer, wait)
}

// alive notes a sign of life.
func (s *Session) alive() { s.heard.Store(int64(s.server.uptime())) }

// pong is the answer to our ping.
func (s *Session) pong() {
	s.mu.Lock()
	due := s.awaited
	s.awaited = false
	s.mu.Unlock()
	if due {
		s.server.loop.Schedule(&s.timer, s.server.cfg.PingInterval)
	}
}

// used notes the first request after the handshake of a polling session: from
// here on it counts as begun. s.mu is held.
func (s *Session) used() {
	if s.poll != nil && !s.poll.used && s.state != stateClosed {
		s.poll.used = true
		s.server.addresses.finished(s.address)
		s.server.loop.Schedule(&s.timer, s.server.cfg.PingInterval)
	}
}
