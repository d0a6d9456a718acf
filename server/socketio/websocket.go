package socketio

import (
	"errors"
	"net/http"

	"poosh/server/closed"
	"poosh/server/websocket"
)

// peer is a session as its WebSocket sees it, or the one that may become it.
type peer struct{ s *Session }

// Message takes a message off a WebSocket.
func (p peer) Message(c *websocket.Conn, isBinary bool, data []byte) {
	s := p.s
	s.mu.Lock()
	probing := s.probe
	mine := c == s.conn
	s.mu.Unlock()
	switch {
	case probing != nil && c == probing.conn:
		s.probed(probing, isBinary, data)
	case mine:
		if err := s.receive(s.unwrap(isBinary, data)); err != nil {
			s.stop(err)
		}
	}
}

// unwrap makes a packet of a WebSocket message.
func (s *Session) unwrap(isBinary bool, data []byte) packet {
	switch {
	case isBinary && s.Protocol() != 4:
		// The first byte is the type: 4, a message, is the only one in use.
		if len(data) == 0 || data[0] != 4 {
			return packet{} // refused as empty
		}
		return packet{data[1:], true}
	case !isBinary && s.speaks() == 2:
		// engine.io-client 1.2 encodes text frames twice; ASCII is not touched.
		if once, ok := undoUTF8(data); ok {
			data = once
		}
	}
	return packet{data, isBinary}
}

// Outbox implements [websocket.Grower].
func (p peer) Outbox() int { return p.s.server.cfg().Outbox }

// Closed ends the session with its WebSocket.
func (p peer) Closed(c *websocket.Conn, reason error) {
	s := p.s
	s.mu.Lock()
	if s.probe != nil && c == s.probe.conn {
		s.unpair(s.carry(wayProbeEnd))
	}
	mine := c == s.conn
	s.mu.Unlock()
	if mine {
		s.end(closed.ReasonOf(reason))
	}
}

// openWebSocket opens a session on a WebSocket without polling before.
func (srv *Server) openWebSocket(w http.ResponseWriter, r *http.Request) {
	if srv.refuseHandshake(w, r) {
		return
	}
	s := srv.newSession(r)
	s.via = viaSocketOnly
	if !srv.reserve(s, w, r) {
		return
	}
	conn, err := srv.loop.Accept(w, r, srv.connOptions(), peer{s})
	if err != nil {
		srv.remove(s)
		srv.refused.Add(refusedHandshake, 1)
		srv.refuseWebSocket(w, r, err)
		return
	}
	conn.Push(srv.openPacket(s, false))
	s.mu.Lock()
	s.conn = conn
	s.mu.Unlock()
	s.begin()
	conn.Start()
}

// refuseWebSocket answers for a handshake that was not taken.
func (srv *Server) refuseWebSocket(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case errors.Is(err, websocket.ErrTooMany):
		srv.failStatus(w, r, http.StatusTooManyRequests, tooMany)
	case errors.Is(err, websocket.ErrHandshake):
		srv.fail(w, r, badRequest)
	}
}

// connOptions are those of every WebSocket. Keys and subprotocols are taken as the ws
// library of socket.io 1.x took them.
func (srv *Server) connOptions() websocket.Options {
	return websocket.Options{MaxMessage: srv.cfg().MaxPayload, Outbox: srv.cfg().Outbox, AnyKey: true, FirstProtocol: true}
}
