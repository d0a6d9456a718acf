package socketio

import (
	"time"

	"poosh/server/loop"
	"poosh/server/websocket"
)

// How long the last words of a polling session wait for its client to fetch them:
// the close packet alone, or events before it. Of a session that has done nothing but
// shake hands only the connect packet can wait, and many of these never come back.
const (
	lingerIdle = 2 * time.Second
	lingerFull = 30 * time.Second
)

// Close ends the session in order: what waits is written first. The client sees
// a closed transport and connects anew. It returns at once.
func (s *Session) Close(reason string) { s.shut(websocket.CloseNormal, reason) }

func (s *Session) shut(code int, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != stateOpen {
		return
	}
	s.release()
	if s.state != stateOpen { // that was too much for it
		return
	}
	s.direct.Store(nil)
	s.state = stateClosing
	s.goesAway = code == websocket.CloseGoingAway && !s.jsonp
	switch {
	case s.conn == nil:
	case s.goesAway && s.speaks() != 4:
		// Without a close frame, as when the Node server had gone: a Python client for 1.x
		// does not survive one.
		s.conn.HangUp()
		return
	default:
		s.conn.Close(code, reason) // its end is the session's
		return
	}
	go s.end(reasonForced) // not here: the caller may hold a lock
}

// last says whether what waits for a polling client, and then a close packet, is
// kept for it when its session ends for a reason. It is not where the client itself
// is gone, and not where too much waits already. It is never packet 41: a client
// that gets it does not connect anew.
func last(reason loop.Reason) bool { return reason == reasonPacket || reason == reasonForced }

// end is where every session ends, once: its transports are closed, the library and
// the handler are told. It must not be called with a lock held, nor by the handler.
func (s *Session) end(reason loop.Reason) {
	s.mu.Lock()
	if s.state >= stateLast {
		s.mu.Unlock()
		return
	}
	if s.state == stateOpen {
		s.release()
	}
	s.state, s.why = stateClosed, reason
	s.direct.Store(nil)
	s.holding, s.held, s.size, s.sock = false, nil, 0, nil
	wasInside := s.joined == inside
	if wasInside {
		s.joined = outside
	}
	conn := s.conn
	if s.poll != nil {
		s.farewell(reason)
	}
	lingers := s.state == stateLast
	var probing *probe
	if !lingers || s.probe != nil && !s.probe.asked {
		probing, s.probe = s.probe, nil
	}
	s.lastOnProbe()
	if !lingers {
		s.server.loop.Cancel(&s.timer)
	}
	s.mu.Unlock()

	if conn != nil {
		finish(conn, reason)
	}
	s.dismiss(probing)
	s.lib.disconnect(string(reason), true)
	if wasInside {
		s.in.mu.Lock() // an event may be with the handler
		s.server.handler.Closed(s, string(reason))
		s.in.mu.Unlock()
	}
	s.server.ended(s, reason)
	if !lingers {
		s.server.remove(s)
	}
}

// dismiss closes a WebSocket that will not take over any more, if there is one.
func (s *Session) dismiss(p *probe) {
	if p != nil {
		s.server.loop.Cancel(&p.timer)
		finish(p.conn, s.why) // which nobody changes after the end
	}
}

// finish closes the WebSocket of a session that ends.
func finish(c *websocket.Conn, reason loop.Reason) {
	switch reason {
	case reasonTimeout:
		c.Abort(reason) // it would not answer
	case reasonPacket:
		c.Close(websocket.CloseProtocol, string(reason))
	default:
		c.Close(websocket.CloseNormal, string(reason))
	}
}

// farewell ends polling with the session: the waiting GET is always answered, with
// a close packet, or with nothing when the client closed the session itself. Without
// one the next is, where that makes sense; a client that was told that its WebSocket
// works may come there instead, and never poll again. s.mu is held.
//
// A server that goes away sends no close packet, which clients in Python and Rust take
// for the end of all: the client is told by the next GET, whose session is unknown, as
// it was when the Node server had gone. Scripts of JSONP do get one: a page does not
// notice that their session is unknown.
func (s *Session) farewell(reason loop.Reason) {
	p := s.poll
	waits := p.get != nil // so nothing is queued
	switch {
	case reason == reasonClosed, waits && s.goesAway:
		p.yield()
	case waits:
		p.answer([][]byte{frameClose})
	case last(reason) && !(s.goesAway && len(p.frames) == 0):
		linger := lingerIdle
		if len(p.frames) > 0 && p.used {
			linger = lingerFull
		}
		s.state, s.until = stateLast, s.server.uptime()+linger
		s.server.loop.Schedule(&s.timer, linger)
		return
	}
	p.take()
	p.read()
}

// lastWords returns what the last GET of a session that has ended is answered with,
// and forgets the session. ok is false when there is nothing to say.
func (s *Session) lastWords() (frames [][]byte, ok bool) {
	s.mu.Lock()
	if s.state != stateLast {
		s.mu.Unlock()
		return nil, false
	}
	s.state = stateClosed
	s.poll.read()
	frames = s.poll.take()
	if !s.goesAway {
		frames = append(frames, frameClose)
	}
	s.server.loop.Cancel(&s.timer)
	probing := s.probe
	s.probe = nil
	s.mu.Unlock()
	s.dismiss(probing)
	s.server.remove(s)
	return frames, true
}
