package cluster

import "time"

// partingsKept is how many are known of at the most; the oldest go.
const partingsKept = 4096

// A parting is a user who went, or a room that was vacated for an empty one, of which the applications are
// told a while later. An engine that forgets everything until then would have nobody told.
type parting struct {
	at    place
	user  string
	hold  time.Duration
	since time.Time // when it was told of here
	until time.Time // the applications have been told by then
}

// parts notes one in a room that this node is in. mu is held.
func (d *desk) parts(at place, user string) {
	b := d.book[at]
	if b == nil || !b.told {
		return
	}
	if len(d.left) == partingsKept {
		d.left = append(d.left[:0], d.left[partingsKept/4:]...)
	}
	// Who is to tell of it looks when it is time, and is quick unless it is busy.
	now := time.Now()
	d.left = append(d.left, parting{at, user, b.hold, now, now.Add(b.hold + d.p.c.cfg.Timeout/2)})
}

// isWell notes that the engine has what it was told: of what is over nobody need be told again. mu is held.
func (d *desk) isWell() {
	d.wellAt, d.endedAt = time.Now(), time.Time{}
	n := 0
	for n < len(d.left) && d.left[n].until.Before(d.wellAt) {
		n++
	}
	if d.left = d.left[n:]; len(d.left) == 0 {
		d.left = nil
	}
}

// isIll notes that the engine may have forgotten what it was told. mu is held.
func (d *desk) isIll() {
	if d.endedAt.IsZero() {
		d.endedAt = time.Now()
	}
}

// tellParted has a log that has just begun know of those who had just gone, before anybody comes back. Where
// it was too soon to tell the applications, they take those for there, and are told after the same time if
// they are not. Otherwise nobody knows, and they are told what is so. mu is held.
func (d *desk) tellParted() {
	now := time.Now()
	for i := range d.left {
		g := &d.left[i]
		if g.until.Before(d.wellAt) {
			continue
		}
		s := &step{kind: stepGone}
		s.entry.App, s.entry.Room, s.entry.User, s.entry.Hold = g.at.app, g.at.room, g.user, g.hold
		if d.endedAt.After(g.since.Add(g.hold)) {
			s.entry.Info = []byte("?")
		}
		d.steps = append(d.steps, s)
		g.until = now.Add(g.hold + d.p.c.cfg.Timeout/2) // it may forget once more
	}
}
