package socktopus

import "poosh/server/dialect"

// kickAll closes clients for an operator; see [dialect.Running]. They are told CLOSE, and
// unlike those that their application kicks they may join again. The room of a client is
// its id.
func (d *Dialect) kickAll(whom dialect.Whom) (n int) {
	for _, a := range d.rules.Load().apps {
		if !whom.Has(a.name) {
			continue
		}
		for _, c := range a.all() {
			if whom.Is(c.id, c.conn.RemoteAddr(), func(room string) bool { return room == c.id }) && c.end(endKicked) {
				n++
			}
		}
	}
	return n
}
