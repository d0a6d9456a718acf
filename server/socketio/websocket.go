package socketio

import (
	"bytes"
	"errors"
	"net/http"

	"poosh/server/wire"
)

// peer is a session as its WebSocket sees it, or the one that may become it.
type peer struct{ s *Session }

// Message takes a message off a WebSocket.
func (p peer) Message(c *wire.Conn, isBinary bool, data []byte) {
	s := p.s
	s.mu.Lock()
	probing := c == s.probe
	s.mu.Unlock()
	if probing {
		s.probed(c, isBinary, data)
		return
	}
	if err := s.receive(s.unwrap(isBinary, data)); err != nil {
		s.fail(err)
	}
}

// unwrap makes a packet of a WebSocket message.
func (s *Session) unwrap(isBinary bool, data []byte) packet {
	switch {
	case isBinary && s.protocol != 4:
		// The first byte is the type: 4, a message, is the only one in use.
		if len(data) == 0 || data[0] != 4 {
			return packet{} // refused as empty
		}
		return packet{data[1:], true}
	case !isBinary && s.protocol == 2:
		// engine.io-client 1.2 encodes text frames twice; ASCII is not touched.
		if once, ok := undoUTF8(data); ok {
			data = once
		}
	}
	return packet{data, isBinary}
}

// Closed ends the session with its WebSocket.
func (p peer) Closed(c *wire.Conn, reason error) {
	s := p.s
	s.mu.Lock()
	if c == s.probe {
		s.probe = nil
		if s.poll != nil {
			s.poll.probed = false
		}
	}
	mine := c == s.conn
	s.mu.Unlock()
	if mine {
		why := reasonFailed
		errors.As(reason, &why)
		s.end(why)
	}
}

// openWebSocket opens a session on a WebSocket without polling before.
func (srv *Server) openWebSocket(w http.ResponseWriter, r *http.Request) {
	if srv.refuseHandshake(w, r) {
		return
	}
	s := srv.newSession(r)
	if !srv.add(s, w, r, false) {
		return
	}
	conn, err := srv.loop.Accept(w, r, srv.connOptions(), peer{s})
	if err != nil {
		srv.remove(s, reasonFailed)
		if errors.Is(err, wire.ErrHandshake) {
			srv.fail(w, r, badRequest)
		}
		return
	}
	s.mu.Lock()
	s.conn = conn
	s.mu.Unlock()
	s.open(srv.openPacket(s, false))
	conn.Start()
}

func (srv *Server) connOptions() wire.Options {
	return wire.Options{MaxMessage: srv.cfg.MaxPayload, Outbox: srv.cfg.Outbox}
}

// openProbe opens a WebSocket that may take over a polling session.
func (srv *Server) openProbe(w http.ResponseWriter, r *http.Request, s *Session) {
	s.mu.Lock()
	free := s.state == stateOpen && s.poll != nil && s.probe == nil
	s.mu.Unlock()
	if !free {
		srv.fail(w, r, badRequest)
		return
	}
	conn, err := srv.loop.Accept(w, r, srv.connOptions(), peer{s})
	if err != nil {
		if errors.Is(err, wire.ErrHandshake) {
			srv.fail(w, r, badRequest)
		}
		return
	}
	s.mu.Lock()
	free = s.state == stateOpen && s.poll != nil && s.probe == nil
	if free {
		s.probe = conn
		s.used()
	}
	s.mu.Unlock()
	if !free {
		conn.Close(wire.ClosePolicy, "the session has a WebSocket already")
	} else {
		// Its own timer, for the few seconds that a probe takes.
		t := &wire.Timer{Fire: func() { s.giveUp(conn) }}
		srv.loop.Schedule(t, srv.cfg.UpgradeTimeout)
	}
	conn.Start()
}

// giveUp closes a probe that has not taken over in time.
func (s *Session) giveUp(conn *wire.Conn) {
	s.mu.Lock()
	late := s.probe == conn
	s.mu.Unlock()
	if late {
		conn.Close(wire.ClosePolicy, "upgrade timeout")
	}
}

// probed handles what comes over a WebSocket before it takes over, engine.io
// 1.5.1, socket.js, maybeUpgrade: 2probe, the answer 3probe, and 5 once the
// client has stopped polling.
func (s *Session) probed(c *wire.Conn, isBinary bool, data []byte) {
	switch {
	case !isBinary && bytes.Equal(data, probe):
		s.alive()
		c.Push(frameProbe)
		s.mu.Lock()
		if s.poll != nil {
			// The client waits for its GET to be answered.
			s.poll.probed = true
			s.poll.wake()
		}
		s.mu.Unlock()
	case !isBinary && len(data) == 1 && data[0] == engineUpgrade:
		s.alive()
		s.takeOver(c)
	default:
		c.Close(wire.CloseProtocol, "not an upgrade")
	}
}

// takeOver moves the session to its WebSocket, with all that waits for a GET.
func (s *Session) takeOver(c *wire.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != stateOpen || s.probe != c {
		return
	}
	waiting := s.poll.upgrade()
	s.conn, s.probe, s.poll = c, nil, nil
	for _, frame := range waiting {
		c.Push(frame)
	}
	if !s.holding {
		s.direct.Store(c)
	}
}
