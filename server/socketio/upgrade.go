package socketio

import (
	"bytes"
	"net/http"
	"time"

	"poosh/server/loop"
	"poosh/server/websocket"
)

// probePing is the ping that an upgrade begins with. It alone has a text that is
// sent back, engine.io 1.5.1, socket.js.
var probePing = []byte("2probe")

// A probe is a WebSocket that may take over a polling session. Fields but the first
// are guarded by the session's mu.
type probe struct {
	conn  *websocket.Conn
	until time.Duration // the server's uptime at which it is given up
	timer loop.Timer
}

// pace is how long a GET waits, for something to say, before it is answered with
// nothing while a WebSocket is about to take over, as in engine.io 1.5.1: a client that
// hears nothing on its WebSocket polls again at once.
const pace = 100 * time.Millisecond

// openProbe opens a WebSocket that may take over a polling session.
func (srv *Server) openProbe(w http.ResponseWriter, r *http.Request, s *Session) {
	if !s.mayProbe() {
		srv.fail(w, r, badRequest)
		return
	}
	conn, err := srv.loop.Accept(w, r, srv.connOptions(), peer{s})
	if err != nil {
		srv.refuseWebSocket(w, r, err)
		return
	}
	p := &probe{conn: conn, until: srv.uptime() + srv.cfg().UpgradeTimeout}
	p.timer.Fire = func() { conn.Guard(func() { s.free(p) }) }
	if !s.pair(p) {
		conn.Close(websocket.ClosePolicy, "the session has a WebSocket already")
	}
	conn.Start()
}

// mayProbe reports whether a WebSocket may try to take over.
func (s *Session) mayProbe() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, do := s.via.on(wayProbe)
	return s.life == lifeOpen && do&wayPair != 0
}

// pair makes a WebSocket the probe, if it still may be.
func (s *Session) pair(p *probe) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.life != lifeOpen || s.request(wayProbe)&wayPair == 0 {
		return false
	}
	s.probe = p
	s.server.loop.Schedule(&p.timer, s.server.cfg().UpgradeTimeout)
	return true
}

// unpair carries out what has become of the probe. s.mu is held.
func (s *Session) unpair(do transportEffect) {
	if do&wayUnpair == 0 {
		return
	}
	p := s.probe
	s.probe = nil
	s.server.loop.Cancel(&p.timer)
	if do&wayDismiss != 0 {
		finish(p.conn, s.why)
	}
}

// free is the clock of a probe: it lets the waiting GET go, so that the client can
// finish its change, and in the end gives the probe up.
func (s *Session) free(p *probe) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.probe != p {
		return
	}
	left := p.until - s.server.uptime()
	if left <= 0 {
		p.conn.Close(websocket.ClosePolicy, "upgrade timeout")
		return
	}
	if s.via != viaProbing {
		s.poll.yield()
		left = min(left, pace)
	}
	s.server.loop.Schedule(&p.timer, left)
}

// probed handles what comes over a WebSocket before it takes over, engine.io
// 1.5.1, socket.js, maybeUpgrade: 2probe, the answer 3probe, and 5 once the
// client has stopped polling, with whatever behind it.
func (s *Session) probed(p *probe, isBinary bool, data []byte) {
	switch {
	case !isBinary && bytes.Equal(data, probePing):
		s.alive()
		s.mu.Lock()
		defer s.mu.Unlock()
		// Before the client is told: it may come to its WebSocket from then on.
		if s.probe == p && s.carry(wayAsk)&wayPace != 0 {
			s.server.loop.Schedule(&p.timer, pace)
		}
		p.conn.Answer(frameProbe)
	case !isBinary && len(data) > 0 && data[0] == engineUpgrade:
		s.alive()
		s.takeOver(p)
	default:
		p.conn.Close(websocket.CloseProtocol, "not an upgrade")
	}
}

// takeOver moves the session to its WebSocket, with all that waits for a GET. A
// session that has ended meanwhile says its last words there.
func (s *Session) takeOver(p *probe) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.probe != p {
		return
	}
	event := wayMove
	if s.life != lifeOpen {
		event = wayMoveLate
	}
	do := s.carry(event)
	if do&waySay != 0 {
		s.lastOnProbe()
	}
	if do&wayTakeOver != 0 {
		s.relieve()
		waiting, marks := s.poll.upgrade()
		s.poll = nil
		for _, frame := range waiting {
			p.conn.Push(frame)
		}
		marks.Move(p.conn)
		s.conn = p.conn
		s.recount()
		s.route()
	}
	s.unpair(do)
}

// lastOnProbe says the last words of a session that has ended to a client that has
// moved to its WebSocket. s.mu is held.
func (s *Session) lastOnProbe() {
	if s.life != lifeKept {
		return
	}
	waiting, marks := s.poll.takeMarked()
	for _, frame := range waiting {
		s.probe.conn.Push(frame)
	}
	marks.Move(s.probe.conn)
	s.fetch()             // what is left of them nobody gets, and the WebSocket closes
	go s.server.remove(s) // not here: a lock is held
}
