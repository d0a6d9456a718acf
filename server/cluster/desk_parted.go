package cluster

import (
	"slices"
	"strconv"
	"time"

	"poosh/server/hub"
)

// partingsKept is how many are known of at the most in a sixteenth of the rooms; the oldest go.
const partingsKept = 4096

// A parting is a user who went, or a room that was vacated, of which the applications are told a while later.
// An engine that forgets everything until then would have nobody told.
type parting struct {
	hold  time.Duration
	since time.Time    // when it was told of here
	until time.Time    // the applications have been told by then
	at    hub.Position // of that in the log
}

// A parted is who went: a user, or the room itself for an empty one.
type parted struct {
	at   place
	user string
}

// parts notes one in a room that this node is in; of a room that no node is in any more nobody does, but who was
// the last. mu is held.
func (d *desk) parts(at place, user string, in hub.Position) {
	b := d.book[at]
	if b == nil || !b.told {
		return
	}
	if d.left == nil {
		d.left = make(map[parted]parting)
	}
	if len(d.left) >= d.p.c.share(partingsKept) {
		d.dropOldest()
	}
	// Who is to tell of it looks when it is time, and is quick unless it is busy.
	now := time.Now()
	d.left[parted{at, user}] = parting{b.hold, now, now.Add(b.hold + d.p.c.cfg.Timeout/2), in}
}

// leftInDoubt notes who leaves of whom nobody knows whether the engine has heard of it. mu is held.
func (d *desk) leftInDoubt(s *step) {
	b, e := d.book[s.place()], &s.entry
	if s.noted || b == nil || !e.Told {
		return
	}
	if e.User != "" && e.Only {
		d.parts(s.place(), e.User, hub.Position{})
	}
	if e.Counted && b.counted == 1 {
		d.parts(s.place(), "", hub.Position{})
	}
}

// dropOldest makes room for some more. mu is held.
func (d *desk) dropOldest() {
	all := make([]time.Time, 0, len(d.left))
	for _, g := range d.left {
		all = append(all, g.since)
	}
	slices.SortFunc(all, time.Time.Compare)
	limit := all[len(all)/4]
	for who, g := range d.left {
		if !g.since.After(limit) {
			delete(d.left, who)
		}
	}
}

// returns notes that somebody is back, before the engine has forgotten anything. mu is held.
func (d *desk) returns(at place, user string) { delete(d.left, parted{at, user}) }

// isWell notes that the engine has what it was told: of what is over nobody need be told again. mu is held.
func (d *desk) isWell() {
	d.wellAt, d.endedAt = time.Now(), time.Time{}
	if len(d.left) == 0 || d.wellAt.Before(d.trimAt) {
		return
	}
	d.trimAt = d.wellAt.Add(time.Second) // not at each answer: they may be many
	for who, g := range d.left {
		if g.until.Before(d.wellAt) {
			delete(d.left, who)
		}
	}
	if len(d.left) == 0 {
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
	now, late := time.Now(), d.p.c.cfg.Timeout/2
	for who, g := range d.left {
		// Data that have it have also what is to come of it.
		if g.until.Before(d.wellAt) || d.seat.before.young && d.hasHad(g.at) {
			continue
		}
		s := &step{kind: stepGone}
		s.entry.App, s.entry.Room, s.entry.User, s.entry.Hold = who.at.app, who.at.room, who.user, g.hold
		s.entry.Socket = strconv.FormatInt(now.Sub(g.since).Milliseconds(), 10)
		// Others may have heard of it somewhat sooner than this node. To be told once more is better than never.
		if d.endedAt.After(g.since.Add(g.hold - late)) {
			s.entry.Info = []byte("?")
		}
		d.steps = append(d.steps, s)
		g.until, g.at = now.Add(g.hold+late), hub.Position{} // it may forget once more
		d.left[who] = g
	}
}
