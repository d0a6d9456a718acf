package cluster

import (
	"slices"
	"strconv"
	"time"

	"poosh/server/hub"
)

// knownMost is of how many happenings in a sixteenth of the rooms a node remembers that it has told the applications of them.
// The oldest go.
const knownMost = 4096

// erasKept is how many logs are known by their order.
const erasKept = 16

// knownFor is for how long what they were told may be news to an engine that has forgotten everything: nodes may be cut
// off for as long, and what a node has not heard of by then is told twice or not at all.
const knownFor = time.Minute

// A wasTold is what the applications were told by this node of a user or a room, the last time that it did. An
// engine that has forgotten everything does not know that, and one with older data, from its disk or by a replica that
// lagged, may not.
type wasTold struct {
	there bool
	since time.Time    // when this node was done with it
	taken string       // when it was taken, by the engine's clock; of two nodes the later one holds
	at    hub.Position // how far the log was when the engine had it that they were told; none before
}

// An arrived is when somebody was let in.
type arrived struct {
	since time.Time
	noted time.Time    // when the engine had answered
	known bool         // the applications knew of it by then
	at    hub.Position // of the log by then
}

// A before is the log before the one that a seat is in, as far as the engine knows of it.
type before struct {
	young  bool // its data were there as the log began, a while ago
	log    hub.Position
	ended  time.Time            // for this node
	caught map[string]time.Time // when nothing was due in it that no node had taken, by apps
}

// knows notes that the applications were told. mu is held.
func (d *desk) knows(h happening, t *taken) {
	if d.known == nil {
		d.known = make(map[parted]wasTold)
	}
	if len(d.known) >= d.p.c.share(knownMost) {
		d.dropOldestKnown()
	}
	d.known[h.who()] = wasTold{there: h.There, since: time.Now(), taken: t.at}
	if !h.There {
		delete(d.left, h.who())
	}
}

// engineKnows notes that the engine knows it too, and where its log was then. mu is held.
func (d *desk) engineKnows(h happening, at hub.Position) {
	if k, ok := d.known[h.who()]; ok && k.there == h.There && k.at.Epoch == 0 {
		k.at = at
		d.known[h.who()] = k
	}
}

// took notes that the engine has what it was told anew, and where its log was then: older data may have it or not,
// whatever they had of the log before. mu is held.
func (d *desk) took(s *step) {
	e, at := &s.entry, s.place()
	who := parted{at, e.User}
	b := d.book[at]
	switch {
	case s.kind == stepDone:
		d.engineKnows(s.happening(), s.at)
	case s.kind == stepKnown:
		if k, ok := d.known[who]; ok && k.taken == e.Socket && k.at.Epoch == 0 {
			k.at = s.at
			d.known[who] = k
		}
	case b == nil:
	case s.kind == stepCount && b.at.Epoch == 0:
		b.at = s.at
	case s.kind == stepUser:
		if m, ok := b.users[e.User]; ok && m.at.Epoch == 0 {
			m.at = s.at
			b.users[e.User] = m
		}
	}
}

// who is the user, or the room, to which it happened.
func (h *happening) who() parted { return parted{place{h.app, h.Room}, h.User} }

// dropOldestKnown makes room for some more. mu is held.
func (d *desk) dropOldestKnown() {
	all := make([]string, 0, len(d.known))
	for _, k := range d.known {
		all = append(all, k.taken)
	}
	slices.SortFunc(all, laterMoment)
	limit := all[len(all)/4]
	for who, k := range d.known {
		if laterMoment(k.taken, limit) <= 0 {
			delete(d.known, who)
		}
	}
}

// laterMoment compares two times of the engine, which are digits.
func laterMoment(a, b string) int {
	x, _ := strconv.ParseUint(a, 10, 64)
	y, _ := strconv.ParseUint(b, 10, 64)
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}

// tellKnown has a log that has just begun know what the applications were told by this node: all that older data may
// not have, or, without any, what others may not have heard of when the log before ended. mu is held.
func (d *desk) tellKnown() {
	young, recent := d.seat.before.young, d.seat.before.ended.Add(-max(knownFor, 3*d.p.c.cfg.Lease))
	for who, k := range d.known {
		if !young && k.since.Before(recent) && k.since.Before(d.sure(who.at.app)) {
			continue
		}
		// As long as nothing is numbered the log does not tell what was done.
		if young && k.at.Epoch != 0 && d.hasHad(hub.Position{Epoch: k.at.Epoch, Number: k.at.Number + 1}) {
			continue
		}
		d.tellOne(who, k.there, "", k.taken)
		k.at = hub.Position{} // until it has taken it
		k.since = time.Now()  // it may forget once more
		d.known[who] = k
	}
	for h, t := range d.telling {
		if !t.over {
			d.tellOne(h.who(), h.There, "p", t.at)
		}
	}
}

// isNewer reports that nobody may know whether the applications know of somebody. That is so if the data beside which
// a log began do not have who was there for so long that they were told: whoever told them may have ended since, and
// with it what it knew. Without such data it is so of who came when it was not sure yet that they were told. mu is held.
func (d *desk) isNewer(a *arrived, app string) bool {
	switch before := &d.seat.before; {
	case !d.seat.silent || before.young && d.hasHad(a.at):
		return false
	case !before.young:
		newer := !a.known && !a.noted.Before(d.sure(app))
		if newer {
			a.noted = time.Now() // it begins once more
		}
		return newer
	}
	a.at = hub.Position{} // until the engine has taken it
	return a.since.Add(d.p.c.cfg.Timeout).Before(d.seat.before.ended)
}

// sure is who of an app came before what time has been told of, as the log before ended: by that time a node had taken
// it to tell of it, and since then it did, or was given up so that another one has taken it. mu is held.
func (d *desk) sure(app string) time.Time {
	return d.seat.before.caught[app].Add(-d.p.c.cfg.Lease - d.p.c.cfg.Timeout)
}

func (d *desk) tellOne(who parted, there bool, doing, at string) {
	s := &step{kind: stepKnown, silent: true}
	s.entry.App, s.entry.Room, s.entry.User, s.entry.Socket = who.at.app, who.at.room, who.user, at
	s.entry.Info, s.entry.Hold = []byte(doing+"0"), d.holds[who.at.app]
	if !d.seat.before.young { // who is there by a node that is cut off is not gone before that is given up
		s.entry.Hold = max(s.entry.Hold, d.p.c.cfg.Lease)
	}
	if there {
		s.entry.Info = []byte(doing + "1")
	}
	d.steps = append(d.steps, s)
}

// hasHad reports whether the data beside which the log began have what was done by a place in one of the logs
// before. mu is held.
func (d *desk) hasHad(at hub.Position) bool {
	end := d.seat.before.log
	last, this := slices.Index(d.eras, end.Epoch), slices.Index(d.eras, at.Epoch)
	switch {
	case last < 0 || this < 0:
		return false
	case last == this:
		return at.Number <= end.Number
	}
	return this < last
}

// begins notes of which log a seat is. mu is held.
func (d *desk) begins(epoch uint64) {
	if n := len(d.eras); n > 0 && d.eras[n-1] == epoch {
		return
	}
	if d.eras = append(d.eras, epoch); len(d.eras) > erasKept {
		d.eras = slices.Delete(d.eras, 0, 1)
	}
}
