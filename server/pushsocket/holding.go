package pushsocket

import (
	"context"
	"time"

	"poosh/server/hub"
	"poosh/server/presence"
	"poosh/server/pushsocket/store"
)

// Among many processes that share a store a device's mail is pushed by the one where it authorized
// last, as a [presence.Holder] says. The others keep their connections and are silent, and go on
// when that one has none any more. What is stored rings all of them through the hub. While nobody
// can be asked each pushes to whom it has: what is not confirmed comes again in any case.

// What the hub carries to a device's room beside eventMessage.
const (
	eventFree  = "free"  // the process that pushed has no connection any more
	eventEvict = "evict" // the device was removed; the payload says why
)

// soonFree is when the others look whether the device is nobody's. The engine may hear of that
// behind the bell.
const soonFree = 500 * time.Millisecond

// A bell encodes what is carried for mailboxes.
type bell struct{}

// Encode implements [hub.Encoder].
func (bell) Encode(p *hub.Publication) []byte { return append([]byte(p.Event+" "), p.Data...) }

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
	d.hub.Publish(&hub.Publication{App: hubApp, Room: room(m.device), Event: eventFree})
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

// look has the mailbox looked at later, for what nobody rang for.
func (m *mailbox) look(in time.Duration) { m.dialect.loop.Schedule(&m.retry, in) }

// evictEverywhere is evict for all processes.
func (d *Dialect) evictEverywhere(device store.DeviceID, why reason) {
	d.evict(device, why)
	if d.cfg.Holder != nil {
		d.hub.Publish(&hub.Publication{App: hubApp, Room: room(device), Event: eventEvict, Data: []byte(why)})
	}
}
