package cluster

import "poosh/server/hub"

// news tells of who came and went, by a frame of the log.
func (d *desk) news(n *news, in hub.Position) {
	at := place{n.app, n.room}
	d.mu.Lock()
	b := d.book[at]
	here := b != nil && b.entered > 0
	switch n.kind {
	case newsWent, newsVacated:
		if n.info == newsUntold {
			d.returns(at, n.user) // as the applications know of neither
		} else {
			d.parts(at, n.user, in)
		}
	case newsCame, newsOccupied:
		d.returns(at, n.user)
	}
	d.mu.Unlock()
	mirror, l := d.p.c.opt.Mirror, d.p.c.listener(n.app)
	switch n.kind {
	case newsCame:
		m := hub.Member{ID: n.user, Info: []byte(n.info)}
		if (mirror == nil || mirror.MemberIn(n.app, n.room, m)) && here && l != nil {
			l.Came(n.room, m, n.socket)
		}
	case newsWent:
		if (mirror == nil || mirror.MemberOut(n.app, n.room, n.user)) && here && l != nil {
			l.Went(n.room, n.user)
		}
	case newsOccupied:
		if l != nil {
			l.Occupied(n.room)
		}
	case newsVacated:
		if l != nil {
			l.Vacated(n.room)
		}
	}
}
