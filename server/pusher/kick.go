package pusher

import (
	"poosh/server/closed"
	"poosh/server/dialect"
	"poosh/server/pusher/protocol"
)

// kick closes clients for an operator; see [dialect.Running]. They get the code that the
// API's terminate_connections gives, with which client libraries stay away.
func (d *Dialect) kick(whom dialect.Whom) (n int) {
	for a := range d.apps.All() {
		if !whom.Has(a.ID()) {
			continue
		}
		for _, c := range a.Connections() {
			if whom.Is(c.ID(), c.RemoteAddr(), c.In) &&
				c.Expel(closed.Kicked, protocol.CodeUnauthorized, "the operator has ended this connection") {
				n++
			}
		}
	}
	return n
}
