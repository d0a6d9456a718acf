package pushsocket

import (
	"time"

	"poosh/server/guard"
	"poosh/server/pushsocket/store"
)

// expire removes messages, identities and contacts that are too old, until the dialect ends.
func (d *Dialect) expire() {
	tick := time.NewTicker(d.cfg.ExpireEvery)
	defer tick.Stop()
	cal := newCalendar()
	for {
		now, sure := cal.now()
		if !sure {
			d.count(clockJumps, 1)
			d.log.Warn("push socket: the clock went ahead at once: for a day nothing expires earlier than it would have", "clock", time.Now())
		}
		guard.Call(d.log, "removing what is too old of the push socket", func() { d.expireAt(now) })
		select {
		case <-d.ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (d *Dialect) expireAt(now time.Time) {
	l := d.store.Limits()
	n, err := d.store.Expire(d.ctx, now.Add(-l.MaxAge))
	d.count(messagesExpired, n)
	if n > 0 {
		d.log.Info("push socket: old messages removed", "messages", n)
	}
	d.expireFailed(err)
	d.stillUsed()
	r, err := d.store.ExpireIdentities(d.ctx, now.Add(-l.UnusedAge), now.Add(-l.IdleAge))
	d.removed(r, identitiesExpired, reasonNotRegistered)
	d.expireFailed(err)
	n, err = d.store.ExpireContacts(d.ctx, now.Add(-l.IdleAge))
	d.count(contactsExpired, n)
	d.expireFailed(err)
}

// expireFailed says that one kind was not removed. The others are nevertheless.
func (d *Dialect) expireFailed(err error) {
	if err != nil {
		d.failed("removing what is too old", "", err)
	}
}

// removed counts identities that went and ends what their devices have here.
func (d *Dialect) removed(r store.Removed, what happening, why reason) {
	d.count(what, r.Identities)
	if r.Identities > 0 {
		d.log.Info("push socket: "+happeningNames[what], "identities", r.Identities)
	}
	for _, device := range r.Devices {
		d.evictEverywhere(device, why)
	}
}

// stillUsed tells the store, once a day for each, of devices that have been
// connected for long: they use the service without saying anything.
func (d *Dialect) stillUsed() {
	var list []store.Device
	d.mu.Lock()
	for id, m := range d.mailboxes {
		if time.Since(m.used) >= usedEvery && len(list) < usedAtOnce {
			m.used = time.Now()
			list = append(list, store.Device{ID: id})
		}
	}
	d.mu.Unlock()
	d.store.Used(list...)
}

// How often a connected device counts as used, and how many do in one change of
// the store.
const (
	usedEvery  = 24 * time.Hour
	usedAtOnce = 1000
)

// A calendar tells the time by which stored things expire. A clock that was set
// ahead is not believed at once, or a mistaken one would remove everything: until it
// has stayed there for trustAfter, time goes on as measured since before.
type calendar struct {
	wall    func() time.Time     // as the machine's clock shows it
	elapsed func() time.Duration // since some moment, whatever happens to the clock

	base   time.Time     // what the clock showed at the moment since
	since  time.Duration // by elapsed
	jumped time.Duration // when it was first seen ahead, by elapsed; 0 when it is not
}

// trustAfter is how long a clock must stay ahead to be believed, and tolerance what
// is no jump.
const (
	trustAfter = 24 * time.Hour
	tolerance  = time.Minute
)

func newCalendar() *calendar {
	start := time.Now()
	c := &calendar{
		wall:    func() time.Time { return time.Now().Round(0) }, // without the monotonic reading
		elapsed: func() time.Duration { return time.Since(start) + 1 },
	}
	c.base, c.since = c.wall(), c.elapsed()
	return c
}

// now returns the time, never later than the clock's. sure is false when the clock
// was just seen to have jumped ahead.
func (c *calendar) now() (now time.Time, sure bool) {
	wall, elapsed := c.wall(), c.elapsed()
	measured := c.base.Add(elapsed - c.since)
	if wall.Sub(measured) <= tolerance {
		c.jumped = 0
		if wall.Before(measured) {
			return wall, true
		}
		return measured, true
	}
	first := c.jumped == 0
	if first {
		c.jumped = elapsed
	}
	if elapsed-c.jumped >= trustAfter {
		c.base, c.since, c.jumped = wall, elapsed, 0
		return wall, true
	}
	return measured, !first
}
