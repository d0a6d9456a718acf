package pushsocket

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"poosh/server/presence"
	"poosh/server/pushsocket/store"
)

// Among many processes that share a store a device's mail is pushed by the one where it authorized
// last, as a [presence.Holder] says. The others keep their connections and are silent, and go on
// when that one has none any more. What is stored rings all of them through the hub. While nobody
// can be asked each pushes to whom it has: what is not confirmed comes again in any case.

// When who is silent looks whether the device is nobody's: as another process has told that it has none
// of its connections any more, of which the engine may hear behind the bell, and as one is gone,
// whose ids are free with its lease. Each look in vain doubles the time until the next, up to
// that of any other look.
const (
	soonFree = 500 * time.Millisecond
	soonGone = time.Second
)

// claimDevice asks for the device, unless that is done. It is asked for again by each connection that is the newest of
// all, so by none while this process has it.
func (m *mailbox) claimDevice() {
	holder := m.dialect.cfg.Holder
	if holder == nil {
		return
	}
	m.mu.Lock()
	if m.claim != nil || len(m.clients) == 0 {
		m.mu.Unlock()
		return
	}
	c := &presence.Claim{App: hubApp, ID: room(m.device)}
	c.Lost = func(presence.Lost) { m.lostDevice(c) }
	m.claim, m.silent = c, false
	m.mu.Unlock()
	holder.Claim(c, func(err error) { m.claimed(c, err) })
}

// claimed takes the answer to a claim. It may come with nobody here any more.
func (m *mailbox) claimed(c *presence.Claim, err error) {
	m.mu.Lock()
	current := m.claim == c
	if current && err != nil {
		m.claim = nil // until the next look
	}
	m.mu.Unlock()
	switch {
	case err == nil && !current:
		m.dialect.cfg.Holder.Release(c)
	case current:
		// From here on bells are heard; what was stored before may have rung for nobody.
		m.dialect.deliverer.wake(&m.push)
	}
}

// lostDevice has the mailbox be silent: the device authorized on another process.
func (m *mailbox) lostDevice(c *presence.Claim) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.claim == c {
		m.claim, m.silent = nil, true
	}
}

// release gives the device up, when nobody is here any more, and has the others look.
func (m *mailbox) release() {
	m.mu.Lock()
	c := m.claim
	m.claim = nil
	m.mu.Unlock()
	if c == nil {
		return
	}
	d := m.dialect
	d.cfg.Holder.Release(c)
	d.tellDevice(m.device, bell{event: eventFree})
}

// mayPush reports whether this process is to push, and claims the device if it is nobody's. A
// worker asks, so it may wait.
func (m *mailbox) mayPush() bool {
	d := m.dialect
	m.mu.Lock()
	silent, claimed, looks := m.silent, m.claim != nil, m.looks
	m.looks = false
	m.mu.Unlock()
	switch {
	case d.cfg.Holder == nil || claimed:
		return true
	case !silent: // it could not be asked for
		if looks {
			m.claimDevice()
		}
		return true
	case looks:
		ctx, cancel := context.WithTimeout(d.ctx, d.cfg.StoreTimeout)
		defer cancel()
		if there, err := d.cfg.Holder.Held(ctx, hubApp, []string{room(m.device)}); err == nil && !there[0] {
			m.claimDevice()
			return true
		}
	}
	return false
}

// mayBeFree has a mailbox look soon whether the device is nobody's, and again.
func (m *mailbox) mayBeFree(soon time.Duration) {
	m.mu.Lock()
	m.soon, m.waits = soon, true
	m.mu.Unlock()
	m.dialect.loop.Schedule(&m.retry, soon)
}

// lookLater has the mailbox looked at later, for what nobody rang for. One that waits for that goes on
// to: bells do not put it off.
func (m *mailbox) lookLater() {
	d := m.dialect
	if d.cfg.LookEvery == 0 {
		return
	}
	in := d.cfg.LookEvery/2 + rand.N(d.cfg.LookEvery)
	m.mu.Lock()
	if m.waits {
		m.mu.Unlock()
		return
	}
	m.waits = true
	if m.soon *= 2; !m.silent || m.soon >= in {
		m.soon = 0
	}
	if m.soon > 0 {
		in = m.soon
	}
	m.mu.Unlock()
	d.loop.Schedule(&m.retry, in)
}

// changed has who is silent look: a process may have gone that pushed.
func (d *Dialect) changed() {
	d.mu.Lock()
	all := slices.Collect(maps.Values(d.mailboxes))
	d.mu.Unlock()
	for _, m := range all {
		m.mu.Lock()
		silent := m.silent
		m.mu.Unlock()
		if silent {
			m.mayBeFree(soonGone/2 + rand.N(soonGone))
		}
	}
}

// isGone is why the device is no more; empty for one that is there. Who removed it tells all, but
// for those that could not be reached: so a look asks the store. A worker asks, so it may wait.
func (m *mailbox) isGone() reason {
	d := m.dialect
	m.mu.Lock()
	gone, due := m.gone, m.looks && d.cfg.LookEvery > 0 && time.Since(m.stood) >= d.cfg.LookEvery/2
	m.mu.Unlock()
	if gone != "" || !due {
		return gone
	}
	ctx, cancel := context.WithTimeout(d.ctx, d.cfg.StoreTimeout)
	defer cancel()
	device, err := d.store.Find(ctx, m.address)
	switch {
	case errors.Is(err, store.ErrRevoked):
		return reasonRevoked
	case errors.Is(err, store.ErrNotRegistered), err == nil && device.ID != m.device:
		return reasonNotRegistered
	case err == nil:
		m.mu.Lock()
		m.stood = time.Now()
		m.mu.Unlock()
	}
	return "" // nobody knows, until the next look
}

// evictEverywhere is evict for all processes.
func (d *Dialect) evictEverywhere(device store.DeviceID, why reason) {
	d.evict(device, why)
	if d.cfg.Holder != nil {
		d.tellDevice(device, bell{eventEvict, why})
	}
}
