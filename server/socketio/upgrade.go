package socketio

import (
	"bytes"
	"errors"
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
	asked bool          // 2probe came: the client waits for its GET to be answered
	moved bool          // 5 came while the session was ending
	timer loop.Timer
}

// pace is how long a GET waits, for something to say, before it is answered with
// nothing while a WebSocket is about to take over, as in engine.io 1.5.1: a client that
// hears nothing on its WebSocket polls again at once.
const pace = 100 * time.Millisecond

// openProbe opens a WebSocket that may take over a polling session.
func (srv *Server) openProbe(w http.ResponseWriter, r *http.Request, s *Session) {
	s.mu.Lock()
	free := s.mayProbe()
	s.mu.Unlock()
	if !free {
		srv.fail(w, r, badRequest)
		return
	}
	conn, err := srv.loop.Accept(w, r, srv.connOptions(), peer{s})
	if err != nil {
		if errors.Is(err, websocket.ErrHandshake) {
			srv.fail(w, r, badRequest)
		}
		return
	}
	p := &probe{conn: conn, until: srv.uptime() + srv.cfg.UpgradeTimeout}
	p.timer.Fire = func() { s.free(p) }
	s.mu.Lock()
	free = s.mayProbe()
	if free {
		s.probe = p
		s.used()
		srv.loop.Schedule(&p.timer, srv.cfg.UpgradeTimeout)
	}
	s.mu.Unlock()
	if !free {
		conn.Close(websocket.ClosePolicy, "the session has a WebSocket already")
	}
	conn.Start()
}

// mayProbe reports whether a WebSocket may try to take over. s.mu is held.
func (s *Session) mayProbe() bool { return s.state == stateOpen && s.poll != nil && s.probe == nil }

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
	if p.asked {
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
		p.conn.Push(frameProbe)
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.probe == p && !p.asked {
			p.asked = true
			s.server.loop.Schedule(&p.timer, pace)
		}
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
	if s.state != stateOpen {
		p.moved = true
		s.lastOnProbe()
		return
	}
	s.server.loop.Cancel(&p.timer)
	waiting := s.poll.upgrade()
	s.conn, s.probe, s.poll = p.conn, nil, nil
	for _, frame := range waiting {
		s.conn.Push(frame)
	}
	if !s.holding {
		s.direct.Store(s.conn)
	}
}

// lastOnProbe says the last words of a session that has ended to a client that has
// moved to its WebSocket. s.mu is held.
func (s *Session) lastOnProbe() {
	if s.state != stateLast || s.probe == nil || !s.probe.moved {
		return
	}
	for _, frame := range s.poll.take() {
		s.probe.conn.Push(frame)
	}
	go s.lastWords() // closes the WebSocket; a lock is held here
}
