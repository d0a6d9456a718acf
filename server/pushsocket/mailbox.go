package pushsocket

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"poosh/auth"
	"poosh/server/hub"
	"poosh/server/loop"
	"poosh/server/presence"
	"poosh/server/pushsocket/store"
)

// How soon a mailbox looks again at a client with a full outbox, when all outboxes
// together are too full, and at a store that failed.
const (
	retryFull   = 100 * time.Millisecond
	retryBehind = time.Second
	retryFailed = time.Second
)

// A mailbox pushes a device's messages while it has connections here: to the one
// that authorized last. Each connection has a place of its own in the order of
// messages, so when the newest goes, the next goes on from where it stands itself:
// what is not confirmed and it was not given.
type mailbox struct {
	dialect *Dialect
	device  store.DeviceID
	address auth.Address    // the device's
	seat    *hub.Subscriber // set once, before anybody else has the mailbox
	push    task
	retry   loop.Timer

	used time.Time // when the store was told last that it is; guarded by Dialect.mu

	mu      sync.Mutex // guards what follows
	clients []*client  // by their last authorization, newest last
	// Among many processes, see holding.go:
	claim  *presence.Claim // of the device; nil for none
	silent bool            // another process pushes
	looks  bool            // it is looked at though nobody rang
	waits  bool            // for its next look
	soon   time.Duration   // until the next look of one that is silent, when it may be its turn; else 0
	gone   reason          // the device was removed elsewhere
	stood  time.Time       // when the device was seen in the store last; zero if it may be gone
}

// Deliver implements [hub.Receiver]: the device has mail, which is read from the
// store and not from the publication. The hub's locks are held.
func (m *mailbox) Deliver(rung []byte) bool {
	switch what, why, _ := strings.Cut(string(rung), " "); what {
	case eventFree:
		m.mayBeFree(soonFree)
		return true
	case eventEvict:
		m.mu.Lock()
		m.gone = reason(why)
		m.mu.Unlock()
	}
	m.dialect.deliverer.wake(&m.push)
	return true
}

// Missed implements [hub.Misser]: what the bell was not rung for is in the store, which knows
// too whether the device is there yet.
func (m *mailbox) Missed() {
	m.mu.Lock()
	m.looks, m.stood = true, time.Time{}
	m.mu.Unlock()
	m.dialect.deliverer.wake(&m.push)
}

// room is the hub's name for a device.
func room(d store.DeviceID) string { return strconv.FormatInt(int64(d), 10) }

// ring tells every process of the hub that a device has mail: this one also while the others
// cannot be reached. Who was not told sees it when it looks, see [Config].LookEvery.
func (d *Dialect) ring(device store.DeviceID) {
	if d.cfg.Holder != nil {
		d.mu.Lock()
		m := d.mailboxes[device]
		d.mu.Unlock()
		if m != nil {
			d.deliverer.wake(&m.push)
		}
	}
	d.tellDevice(device, bell{event: eventMessage})
}

// join puts a client that was authorized into its device's mailbox, as the newest,
// and has all that is unconfirmed pushed to it. Authorizing again on the same
// connection asks for all of it again.
func (d *Dialect) join(c *client, device store.DeviceID, address auth.Address) {
	if c.device != 0 && c.device != device {
		d.leave(c)
	}
	c.device = device
	d.mu.Lock()
	if d.ended {
		d.mu.Unlock()
		return
	}
	m := d.mailboxes[device]
	if m == nil {
		m = &mailbox{dialect: d, device: device, address: address, used: time.Now(), stood: time.Now()}
		m.push.do = m.run
		m.push.lost = m.lose
		m.retry.Fire = func() {
			m.mu.Lock()
			m.looks, m.waits = true, false
			m.mu.Unlock()
			d.deliverer.wake(&m.push)
		}
		m.seat = d.hub.Register(hubApp, "", 1, ringer{}, m)
		if err := d.hub.Join(m.seat, room(device)); err != nil {
			panic(err) // a new subscriber may be in one room
		}
		d.mailboxes[device] = m
	}
	m.mu.Lock()
	m.remove(c)
	m.clients = append(m.clients, c)
	c.cursor = 0
	c.turn++
	m.mu.Unlock()
	d.mu.Unlock()
	m.claimDevice()
	d.deliverer.wake(&m.push)
}

// leave takes a client out of its device's mailbox; the next newest takes over.
func (d *Dialect) leave(c *client) {
	device := c.device
	c.device = 0
	d.mu.Lock()
	m := d.mailboxes[device]
	if m == nil {
		d.mu.Unlock()
		return
	}
	m.mu.Lock()
	m.remove(c)
	empty := len(m.clients) == 0
	m.mu.Unlock()
	if empty {
		delete(d.mailboxes, device)
	}
	d.mu.Unlock()
	if empty {
		d.close(m)
		return
	}
	d.deliverer.wake(&m.push)
}

// evict ends the authorization of a device that was removed and tells its
// connections why.
func (d *Dialect) evict(device store.DeviceID, why reason) {
	d.mu.Lock()
	m := d.mailboxes[device]
	delete(d.mailboxes, device)
	d.mu.Unlock()
	if m == nil {
		return
	}
	d.close(m)
	m.mu.Lock()
	clients := m.clients
	m.clients = nil
	m.mu.Unlock()
	for _, c := range clients {
		c.session.Deliver(notAuthorizedFrame(why, time.Now()))
		d.loop.Schedule(&c.waiting, d.cfg.AuthTimeout)
	}
}

// close ends a mailbox that nobody finds any more.
func (d *Dialect) close(m *mailbox) {
	m.release()
	d.hub.Unregister(m.seat)
	d.loop.Cancel(&m.retry)
}

// closeMailboxes ends all mailboxes. No worker runs any more, or those that are
// stuck in the store come to nothing.
func (d *Dialect) closeMailboxes() {
	d.mu.Lock()
	d.ended = true
	all := d.mailboxes
	d.mailboxes = make(map[store.DeviceID]*mailbox)
	d.mu.Unlock()
	for _, m := range all {
		d.close(m)
	}
	d.endBells()
}

// remove takes a client off the list. m.mu is held.
func (m *mailbox) remove(c *client) {
	if i := slices.Index(m.clients, c); i >= 0 {
		m.clients = slices.Delete(m.clients, i, i+1)
	}
}

// newest returns who is pushed to, its place, and which of its authorizations that
// is of.
func (m *mailbox) newest() (c *client, cursor int64, turn int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.clients) == 0 {
		return nil, 0, 0
	}
	c = m.clients[len(m.clients)-1]
	return c, c.cursor, c.turn
}

// run pushes the next messages to the newest connection, as many as its outbox has
// room for in its first half, and comes again while there is more.
func (m *mailbox) run() {
	d := m.dialect
	c, cursor, turn := m.newest()
	if c == nil {
		return
	}
	if why := m.isGone(); why != "" {
		d.evict(m.device, why)
		return
	}
	if !m.mayPush() {
		m.lookLater()
		return
	}
	space := d.cfg.SocketIO.Outbox/2 - c.session.Waiting()
	if space <= 0 {
		d.loop.Schedule(&m.retry, retryFull)
		return
	}
	// What is stored can wait: while outboxes fill faster than they are written,
	// mailboxes add nothing, however many devices come back at once.
	if d.loop.Late() {
		d.count(pushesHeldBack, 1)
		d.loop.Schedule(&m.retry, retryBehind)
		return
	}
	list, err := d.store.Pending(context.Background(), m.device, cursor, space)
	if err != nil {
		d.failed("reading messages", c.session.RemoteAddr(), err)
		d.loop.Schedule(&m.retry, retryFailed)
		return
	}
	for i, msg := range list {
		frame := messageFrame(msg)
		// On the wire a message may be larger than it was stored.
		if space -= len(frame); space < 0 && i > 0 {
			break
		}
		if !m.give(c, turn, msg.Seq, frame) {
			break
		}
	}
	switch {
	case len(list) > 0:
		d.deliverer.wake(&m.push)
	default:
		m.lookLater()
	}
}

// lose ends all connections of a mailbox that cannot be pushed to for a bug of ours: what
// is stored stays, and the device comes back for it.
func (m *mailbox) lose(p any) {
	m.mu.Lock()
	clients := m.clients
	m.clients = nil // so nobody is pushed to until they have left
	m.mu.Unlock()
	m.dialect.panicked(p, clients...)
}

// give hands one message to a client, unless another took its place or it
// authorized again meanwhile.
func (m *mailbox) give(c *client, turn int, seq int64, frame []byte) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.clients) == 0 || m.clients[len(m.clients)-1] != c || c.turn != turn {
		return false
	}
	if !c.session.Replay(frame) { // what is stored waits by itself: senders wait for no mailbox
		// It is closing; its leaving wakes the mailbox for the next.
		m.remove(c)
		return false
	}
	c.cursor = seq
	m.dialect.count(messagesPushed, 1)
	m.dialect.cfg.SocketIO.Traffic.Published(len(frame), 1)
	return true
}
