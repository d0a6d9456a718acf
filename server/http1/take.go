package http1

import (
	"net/netip"
	"time"

	"poosh/server/loop"
	"poosh/server/peers"
)

// Take has the server serve a connection that was another protocol's until here, as if it had
// accepted it from remote: a request that another process passes on with its connection. early is
// what has been read of that already, and is served before Take returns. The connection counts as
// one of remote's; where there is no place for it, where it is not on the loop, or once the server
// ends, Take reports false and has done nothing.
//
// It is called as [loop.Conn.Become] is: by the connection's reader, from within Data, and the
// last that is done there.
func (s *Server) Take(raw *loop.Conn, remote netip.AddrPort, early []byte) bool {
	if !raw.OnLoop() {
		return false
	}
	peer := remote.Addr().Unmap()
	var room Room
	if s.cfg.Bounds != nil {
		var ok bool
		if room, ok = s.cfg.Bounds.Passed(peer); !ok {
			return false
		}
	}
	c := &conn{srv: s, raw: raw, remote: remote.String(), peer: peer, network: peers.Network(peer), room: room, since: time.Now()}
	if !s.list(c) {
		s.closed(peer, room)
		return false
	}
	raw.Become(c, loop.Options{Outbox: int(s.maxAnswer.Load()), Cork: true})
	raw.Start()
	c.Data(raw, early)
	return true
}

// list puts a connection on the list, unless the server ends.
func (s *Server) list(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return false
	}
	s.conns[c] = struct{}{}
	return true
}
