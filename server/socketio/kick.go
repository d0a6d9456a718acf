package socketio

import (
	"poosh/server/closed"
	"poosh/server/websocket"
)

// frameDisconnect is the packet with which a server of Socket.IO leaves a namespace
// (socket.io-protocol, DISCONNECT): the same in all versions. Clients that get it do not
// connect anew by themselves.
var frameDisconnect = websocket.TextFrame([]byte("41"))

// Kick ends the session as [Session.Close] does, behind a word that has its client stay
// away. It reports whether it was this that ended it.
func (s *Session) Kick() bool {
	s.mu.Lock()
	defer s.mu.Unlock() // only here: a client that has read the word may be gone before it is closed
	if s.life != lifeOpen {
		return false
	}
	s.kicked = true
	s.deliver(frameDisconnect) // which may be too much for it and so end it
	s.shutInOrder(websocket.CloseNormal, closed.Kicked, closed.Kicked.String())
	return true
}

// Kicked reports whether the client was told to stay away, whatever its end counts as.
func (s *Session) Kicked() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kicked
}

// KickAll kicks the sessions that is says yes to, and returns how many it has ended. The id
// of a session that has not joined the namespace yet is empty.
func (srv *Server) KickAll(is func(s *Session) bool) (n int) {
	for _, s := range srv.all() {
		if s.isOpen() && is(s) && s.Kick() {
			n++
		}
	}
	return n
}
