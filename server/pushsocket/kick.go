package pushsocket

import (
	"poosh/server/dialect"
	"poosh/server/socketio"
)

// kick closes connections for an operator; see [dialect.Running]. There are no rooms, and
// the id is that of the connection: what belongs to its device stays.
func (d *Dialect) kick(whom dialect.Whom) int {
	if !whom.Has(hubApp) {
		return 0
	}
	return d.sockets.KickAll(func(s *socketio.Session) bool {
		return whom.Is(s.ID(), s.RemoteAddr(), func(string) bool { return false })
	})
}
