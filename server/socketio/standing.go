package socketio

import (
	"strconv"

	"poosh/server/closed"
	"poosh/server/loop"
)

// Describe says what kind of connection the client has, such as "EIO4 websocket", and
// whether what was last delivered waits for the client to ask for it. It never blocks,
// so it may be called with a room locked.
func (s *Session) Describe() (kind string, waits bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	carrier := "websocket"
	switch {
	case s.poll == nil:
	case s.jsonp:
		carrier = "jsonp"
	default:
		carrier = "polling"
	}
	waits = len(s.held) > 0 || s.poll != nil && len(s.poll.frames) > 0
	return "EIO" + strconv.Itoa(s.Protocol()) + " " + carrier, waits
}

// Ending says why the session takes nothing any more, empty while it does, and whether
// that is because too much waited for the client. It never blocks, so it may be called
// with a room locked.
func (s *Session) Ending() (why string, slow bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.why != closed.None:
		return s.countedAs(s.why).String(), s.why == reasonSlow || s.why == loop.ErrWriteTimeout
	case s.conn != nil:
		if why, slow = s.conn.Ending(); why != "" {
			return why, slow
		}
	}
	if s.life != lifeOpen {
		return s.countedAs(reasonForced).String(), false
	}
	return "", false
}
