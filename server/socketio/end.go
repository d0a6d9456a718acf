package socketio

import (
	"time"

	"poosh/server/closed"
	"poosh/server/guard"
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
// a closed transport and connects anew. It counts under why; text is what a WebSocket's
// close frame says, at most 123 bytes. It returns at once.
func (s *Session) Close(why closed.Reason, text string) { s.shut(websocket.CloseNormal, why, text) }

// Leave ends the session as [Session.Close] does, since the server goes away: in the way
// after which each client connects anew. It is never packet 41, after which none does.
func (s *Session) Leave() {
	s.shut(websocket.CloseGoingAway, reasonShutdown, reasonShutdown.String())
}

// Missed ends the session as [Session.Close] does, since events may have passed it by; see [hub.Misser].
func (s *Session) Missed() { s.Close(closed.Missed, closed.Missed.String()) }

// Guard calls f for the handler on a goroutine that is none of the session's: a panic in
// it ends the session, and not the program.
func (s *Session) Guard(f func()) {
	if !s.survives(f) {
		go s.end(closed.Panic) // not here: the handler may have called, or hold a lock
	}
}

// survives calls f, and reports whether it returned; the log says what else it did.
func (s *Session) survives(f func()) (ok bool) {
	return guard.Call(s.server.log, "a session is handled", f, "remote", s.remote, "session", s.engineID)
}

// left tells the handler that the client is gone.
func (s *Session) left(reason string) {
	s.Guard(func() { s.server.handler.Closed(s, reason) })
}

// shut ends the session in order, and reports whether nothing had before.
func (s *Session) shut(code int, why closed.Reason, text string) (first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shutInOrder(code, why, text)
}

// shutInOrder is shut with s.mu held.
func (s *Session) shutInOrder(code int, why closed.Reason, text string) (first bool) {
	if s.cause == closed.None {
		s.cause = why
	}
	if first = s.life == lifeOpen; first {
		s.release() // which may be too much for it
	}
	if s.live(lifeShut)&lifeHang == 0 {
		return first
	}
	s.goesAway = code == websocket.CloseGoingAway && !s.jsonp
	switch {
	case s.conn == nil:
		go s.end(reasonForced) // not here: the caller may hold a lock
	case s.goesAway && s.speaks() != 4:
		// Without a close frame, as when the Node server had gone: a Python client for 1.x
		// does not survive one.
		s.conn.HangUp()
	default:
		s.conn.Close(code, text) // its end is the session's
	}
	return first
}

// last says whether what waits for a polling client, and then a close packet, is
// kept for it when its session ends for a reason. It is not where the client itself
// is gone, and not where too much waits already. It is never packet 41: a client
// that gets it does not connect anew.
func last(reason closed.Reason) bool { return reason == reasonPacket || reason == reasonForced }

// end is where every session ends, once: its transports are closed, the library and
// the handler are told. It must not be called with a lock held, nor by the handler.
func (s *Session) end(reason closed.Reason) {
	s.mu.Lock()
	if s.life.over() {
		s.mu.Unlock()
		return
	}
	if s.life == lifeOpen {
		s.release()
	}
	waiting := s.waiting()
	s.held, s.size, s.why = nil, 0, reason
	s.relieve()
	life, way := lifeEnd, wayEnd
	if s.poll != nil && s.farewell(reason) {
		life, way = lifeKeep, wayKeep
	}
	do := s.live(life)
	if do&lifeLinger != 0 {
		s.linger()
	} else {
		s.server.loop.Cancel(&s.timer)
	}
	moved := s.carry(way)
	if moved&waySay != 0 {
		s.lastOnProbe()
	}
	s.unpair(moved)
	tell := s.move(spaceEnd)&spaceTell != 0
	conn := s.conn
	left := departure{s.countedAs(reason), s.id, waiting}
	s.mu.Unlock()

	if conn != nil {
		finish(conn, reason)
	}
	if do&lifeTell != 0 {
		s.ended(reason, left, tell)
	}
	if do&lifeForget != 0 {
		s.server.remove(s)
	}
}

// A departure is what is known of a session that has ended.
type departure struct {
	why     closed.Reason // as it is counted
	id      string        // what the namespace knew it by
	waiting int           // what waited for its client
}

// countedAs is what an end counts as: a server that closes in order has said why before,
// and of the transport it is told no more than that. s.mu is held.
func (s *Session) countedAs(reason closed.Reason) closed.Reason {
	if s.cause != closed.None && (reason == closed.ByServer || reason == reasonForced) {
		return s.cause
	}
	return reason
}

// waiting is what waits for the client, in bytes of loop.Cost. s.mu is held.
func (s *Session) waiting() int {
	n := s.size
	if s.poll != nil {
		n += int(s.poll.size)
	}
	if s.conn != nil {
		n += s.conn.Waiting()
	}
	return n
}

// ended tells the library of the session's end, and the handler if the client was there.
func (s *Session) ended(reason closed.Reason, left departure, tell bool) {
	s.lib.disconnect(reason.String(), true)
	if tell {
		s.in.mu.Lock() // an event may be with the handler
		s.left(reason.String())
		s.in.mu.Unlock()
	}
	s.server.ended(s, left)
}

// finish closes the WebSocket of a session that ends.
func finish(c *websocket.Conn, reason closed.Reason) {
	switch reason {
	case reasonTimeout:
		c.Abort(reason) // it would not answer
	case reasonPacket:
		c.Close(websocket.CloseProtocol, reason.String())
	default:
		c.Close(websocket.CloseNormal, reason.String())
	}
}

// farewell ends polling with the session: the waiting GET is always answered, with
// a close packet, or with nothing when the client closed the session itself. Without
// one the next is, where that makes sense, and farewell reports that this is kept; a
// client that was told that its WebSocket works may come there instead, and never poll
// again. s.mu is held.
//
// A server that goes away sends no close packet, which clients in Python and Rust take
// for the end of all: the client is told by the next GET, whose session is unknown, as
// it was when the Node server had gone. Scripts of JSONP do get one: a page does not
// notice that their session is unknown.
func (s *Session) farewell(reason closed.Reason) (kept bool) {
	p := s.poll
	waits := p.get != nil // so nothing is queued
	switch {
	case reason == reasonClosed, waits && s.goesAway:
		p.yield()
	case waits:
		p.answer([][]byte{frameClose})
	case last(reason) && !(s.goesAway && len(p.frames) == 0):
		return true
	}
	p.forget()
	p.read()
	return false
}

// linger sets for how long last words are kept. s.mu is held.
func (s *Session) linger() {
	linger := lingerIdle
	if len(s.poll.frames) > 0 && s.via != viaHandshake {
		linger = lingerFull
	}
	s.until = s.server.uptime() + linger
	s.server.loop.Schedule(&s.timer, linger)
}

// forget ends the wait for somebody who fetches the last words of a session that has
// ended.
func (s *Session) forget() {
	s.mu.Lock()
	_, ok := s.fetch()
	s.mu.Unlock()
	if ok {
		s.server.remove(s)
	}
}

// fetch returns the last words of a session that has ended, for its last GET; the caller
// has to remove the session then. ok is false when they are kept for nobody. s.mu is held.
func (s *Session) fetch() (frames [][]byte, ok bool) {
	if s.live(lifeFetch)&lifeForget == 0 {
		return nil, false
	}
	s.poll.read()
	frames = s.poll.take()
	s.poll.forget() // marks: who writes these last words does not tell
	if !s.goesAway {
		frames = append(frames, frameClose)
	}
	s.server.loop.Cancel(&s.timer)
	s.unpair(s.carry(wayFetch))
	return frames, true
}
