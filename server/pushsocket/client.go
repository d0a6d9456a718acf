package pushsocket

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"poosh/auth"
	"poosh/server/closed"
	"poosh/server/loop"
	"poosh/server/pushsocket/store"
	"poosh/server/socketio"
)

// Why the dialect closes a session.
const (
	closedTries   = closed.TooManyTries
	closedWaiting = closed.NotInTime
	closedEvents  = closed.TooManyEvents
	closedRate    = closed.TooManyRequests
	closedStore   = closed.StoreFailed
)

// A client is one connection. Its events are kept in order and worked on by one
// worker at a time.
type client struct {
	dialect *Dialect
	session *socketio.Session
	work    task
	waiting loop.Timer // fires when it was without authorization for too long

	mu     sync.Mutex // guards what follows
	events []event
	tries  int  // authentications that wait or are being worked on
	asked  bool // it sent an authentication
	gone   bool

	// Owned by whoever runs work.
	refused int
	device  store.DeviceID // 0 without authorization

	// Guarded by the mu of the mailbox it is in.
	cursor int64 // Seq of the last message it was given
	turn   int   // counts its authorizations
}

// An event is what the client sent: credentials, or the id of a message.
type event struct {
	confirm    bool
	messageID  string
	credential credential
}

// size is about how many bytes an event holds while it waits.
func (e *event) size() int64 {
	return int64(96 + len(e.messageID) + len(e.credential.username) + len(e.credential.password))
}

// eventsAtOnce is how many events a client has worked on before others get their
// turn.
const eventsAtOnce = 256

// Connected implements [socketio.Handler].
func (d *Dialect) Connected(s *socketio.Session) {
	c := &client{dialect: d, session: s}
	c.work.do = c.run
	c.work.lost = func(p any) { d.panicked(p, c) }
	c.waiting.Fire = func() { s.Guard(func() { c.refuse(closedWaiting) }) }
	s.Data = c
	d.loop.Schedule(&c.waiting, d.cfg.AuthTimeout)
}

// Event implements [socketio.Handler]. Events that the protocol does not know are
// ignored.
func (d *Dialect) Event(s *socketio.Session, name string, args [][]byte, _ socketio.Ack) {
	c := s.Data.(*client)
	switch name {
	case eventAuthentication:
		if !d.requests.Take(s.RemoteAddr()).OK {
			c.refuse(closedRate)
			return
		}
		c.put(event{credential: decodeCredential(args)})
	case eventReceived:
		if !c.hasAsked() { // nothing of a stranger is looked at
			d.count(confirmationsRefused, 1)
		} else if id := decodeReceived(args); id != "" {
			c.put(event{confirm: true, messageID: id})
		}
	}
}

func (c *client) hasAsked() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked
}

// refuse closes the connection, which counts as that.
func (c *client) refuse(why closed.Reason) { c.session.Close(why, why.String()) }

// Closed implements [socketio.Handler].
func (d *Dialect) Closed(s *socketio.Session, _ string) {
	c, ok := s.Data.(*client)
	if !ok {
		return // it was lost on its way in
	}
	d.loop.Cancel(&c.waiting)
	c.mu.Lock()
	c.gone = true
	c.mu.Unlock()
	d.clients.wake(&c.work) // leaves its mailbox, behind what it still said
}

// put appends an event to the client's queue, or closes the connection: it may have
// maxEvents waiting, as many authentications as it has tries, and all connections
// together MaxEventBytes.
func (c *client) put(e event) {
	switch why := c.add(e); why {
	case closed.None:
		c.dialect.clients.wake(&c.work)
	default:
		c.refuse(why)
	}
}

func (c *client) add(e event) (refused closed.Reason) {
	d := c.dialect
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.gone:
		return closed.None
	case len(c.events) >= d.maxEvents():
		return closedEvents
	case !e.confirm && c.tries >= d.cfg.MaxTries:
		return closedTries
	case d.held.Add(e.size()) > d.cfg.MaxEventBytes:
		d.held.Add(-e.size())
		return closedEvents
	}
	if !e.confirm {
		c.asked = true
		c.tries++
	}
	c.events = append(c.events, e)
	return closed.None
}

// maxEvents is how many events of one connection may wait: a device confirms a whole
// mailbox at once, and as much again that comes meanwhile.
func (d *Dialect) maxEvents() int {
	return max(d.cfg.MaxEvents, 2*d.store.Limits().MessagesPerDevice)
}

// take removes some events from the client's queue.
func (c *client) take() (events []event, more, gone bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := min(len(c.events), eventsAtOnce)
	events = c.events[:n:n]
	if c.events = c.events[n:]; len(c.events) == 0 {
		c.events = nil
	}
	return events, len(c.events) > 0, c.gone
}

// worked gives back what events held.
func (c *client) worked(events []event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range events {
		c.dialect.held.Add(-events[i].size())
		if !events[i].confirm {
			c.tries--
		}
	}
}

// run works on the client's events. It is the client's task.
func (c *client) run() {
	d := c.dialect
	events, more, gone := c.take()
	c.session.Guard(func() { c.handle(events) })
	c.worked(events)
	switch {
	case more:
		d.clients.wake(&c.work)
	case gone && c.device != 0:
		d.leave(c)
	}
}

// panicked says that something for clients was lost in a panic of ours, and ends them.
func (d *Dialect) panicked(p any, clients ...*client) {
	remotes := make([]string, len(clients))
	for i, c := range clients {
		remotes[i] = c.session.RemoteAddr()
		c.refuse(closed.Panic)
	}
	d.log.Error("push socket: panic in a worker, its clients are closed", "remotes", remotes,
		"panic", fmt.Sprint(p), "stack", string(debug.Stack()))
}

// handle works on events: authentications one by one, confirmations in a row together.
func (c *client) handle(events []event) {
	for i := 0; i < len(events); {
		if !events[i].confirm {
			c.authenticate(events[i].credential)
			i++
			continue
		}
		var ids []string
		for ; i < len(events) && events[i].confirm; i++ {
			ids = append(ids, events[i].messageID)
		}
		c.confirm(ids)
	}
}

// confirm forgets messages that the client's device has. Without authorization it
// does nothing: in the original anybody could remove anybody's.
func (c *client) confirm(ids []string) {
	d := c.dialect
	if c.device == 0 {
		d.count(confirmationsRefused, len(ids))
		return
	}
	ctx, cancel := d.patient()
	defer cancel()
	n, err := d.store.Confirm(ctx, c.device, ids)
	if err != nil {
		// They are pushed again at the next authorization.
		d.failed("confirming messages", c.session.RemoteAddr(), err)
		return
	}
	d.count(messagesConfirmed, n)
	d.count(confirmationsRefused, len(ids)-n)
}

// authenticate answers an authentication event.
func (c *client) authenticate(cred credential) {
	d := c.dialect
	now := time.Now()
	device, why, err := d.check(context.Background(), cred, now)
	if err != nil {
		// The protocol has no word for this: the client connects anew.
		d.failed("authorizing", c.session.RemoteAddr(), err)
		c.refuse(closedStore)
		return
	}
	if why != "" {
		d.count(why.counted(), 1)
		c.session.Replay(notAuthorizedFrame(why, now))
		if c.refused++; c.refused >= d.cfg.MaxTries {
			c.refuse(closedTries)
		}
		return
	}
	d.store.Used(device)
	d.loop.Cancel(&c.waiting)
	c.refused = 0
	if c.session.Replay(authorizedFrame) {
		d.count(authorized, 1)
		address, _ := auth.ParseAddress(cred.username) // which check has read
		d.join(c, device.ID, address)
	}
}

// check says who credentials belong to, or why they are refused: the first reason
// in the order of the original's socket.
func (d *Dialect) check(ctx context.Context, cred credential, now time.Time) (store.Device, reason, error) {
	c, err := auth.ParsePush(cred.username, cred.password)
	if err != nil || c.Time == 0 {
		return store.Device{}, reasonBadlyFormed, nil
	}
	return d.checkParsed(ctx, c, now)
}

// checkParsed is what the socket and the HTTP API have in common.
func (d *Dialect) checkParsed(ctx context.Context, c auth.PushCredentials, now time.Time) (store.Device, reason, error) {
	device, err := d.store.Find(ctx, c.Address)
	switch {
	case errors.Is(err, store.ErrNotRegistered):
		return device, reasonNotRegistered, nil
	case errors.Is(err, store.ErrRevoked):
		return device, reasonRevoked, nil
	case err != nil:
		return device, "", err
	case !c.InTime(now):
		return device, reasonTime, nil
	case c.Verify() != nil:
		return device, reasonSignature, nil
	}
	return device, "", nil
}
