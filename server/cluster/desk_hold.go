package cluster

import (
	"slices"
	"time"
)

// In a log that has just begun nobody comes or goes by this desk until all the other nodes have
// told what they have: a room that is in use by them would seem to be new, and be told of twice.

// holdBack begins that, for no longer than a node that does not come may keep others waiting. mu is held.
func (d *desk) holdBack() {
	d.others = d.p.c.others()
	d.held = time.Now().Add(d.p.c.cfg.Timeout / 2)
}

// hurry has the others find out at once that a log has begun, which they would within a second.
func (d *desk) hurry(l *link) {
	for _, name := range d.p.c.others() {
		ctx, cancel := l.context()
		err := fenceScript.on(ctx, l.line.wire, []string{d.p.tag.state()}, append(l.args(), d.p.tag.node(name), "0")).Error()
		cancel()
		if err != nil {
			return // they find out by themselves
		}
	}
}

// letOn ends it once all the others have told, and reports whether it has ended.
func (d *desk) letOn(l *link) bool {
	d.mu.Lock()
	until := d.held
	d.mu.Unlock()
	if time.Now().Before(until) && !d.othersTold(l) {
		return false
	}
	d.mu.Lock()
	d.held = time.Time{}
	d.mu.Unlock()
	return true
}

// othersTold reports whether all the others have told.
func (d *desk) othersTold(l *link) bool {
	d.mu.Lock()
	key, others := d.p.tag.toldAll(d.seat.epoch), d.others
	d.mu.Unlock()
	ctx, cancel := l.context()
	told, err := l.line.do(ctx, "SMEMBERS", key).AsStrSlice()
	cancel()
	return err == nil && !slices.ContainsFunc(others, func(name string) bool { return !slices.Contains(told, name) })
}

// letTell is takeDue. In a log that has just begun that waits for the other nodes too: one of them may know that the
// applications were told what they seem to have to be told, or of what they seem to know nothing. Beside older data it
// waits for no longer than a lease: who is not there by then has gone, with what it knew.
func (d *desk) letTell(l *link) bool {
	d.mu.Lock()
	now, until, all := time.Now(), d.watched, d.seat.all && d.doubt == nil
	early := now.Before(until)
	wait := early && (!all || now.Before(d.watchAt)) || !d.held.IsZero()
	if early && !wait {
		d.watchAt = now.Add(50 * time.Millisecond) // not each time that somebody enters
	}
	d.mu.Unlock()
	if wait {
		return false
	}
	if !until.IsZero() {
		if early && !d.othersTold(l) {
			return false
		}
		d.mu.Lock()
		d.watched = time.Time{}
		d.mu.Unlock()
	}
	return d.takeDue(l)
}

// others are the other nodes that were there within a lease.
func (c *Cluster) others() (names []string) {
	c.table.mu.Lock()
	defer c.table.mu.Unlock()
	for name, at := range c.table.seen {
		if name != c.name && time.Since(at) < c.cfg.Lease {
			names = append(names, name)
		}
	}
	return names
}

// saw notes who is there. mu is held.
func (t *table) saw(nodes map[string]Node, lease time.Duration) {
	if t.seen == nil {
		t.seen = make(map[string]time.Time)
	}
	now := time.Now()
	for name, at := range t.seen {
		if now.Sub(at) > lease {
			delete(t.seen, name)
		}
	}
	for name := range nodes {
		t.seen[name] = now
	}
}

// goneSince has the applications told of a user who was not there any more as a room was looked at
// anew. Nothing else says so where the log has begun meanwhile: the engine knows of nobody before it.
func (d *desk) goneSince(app, room, user string) {
	s := &step{kind: stepGone}
	s.entry.App, s.entry.Room, s.entry.User = app, room, user
	d.mu.Lock()
	b := d.book[s.place()]
	told := b != nil && b.told
	d.mu.Unlock()
	if told {
		d.put(s)
	}
}
