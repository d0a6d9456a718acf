package pushsocket

import (
	"context"
	"errors"
	"sync"
	"time"

	"poosh/auth"
	"poosh/server/pushsocket/store"
	"poosh/server/socketio"
	"poosh/server/wire"
)

// Why the dialect closes a session.
const (
	closedTries   = "too many tries"
	closedWaiting = "not authorized in time"
	closedEvents  = "too many events"
)

// A client is one connection. Its events are kept in order and worked on by one
// worker at a time.
type client struct {
	dialect *Dialect
	session *socketio.Session
	work    task
	waiting wire.Timer // fires when it was without authorization for too long

	mu     sync.Mutex // guards what follows
	events []event
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

// eventsAtOnce is how many events a client has worked on before others get their
// turn.
const eventsAtOnce = 256

// Connected implements [socketio.Handler].
func (d *Dialect) Connected(s *socketio.Session) {
	c := &client{dialect: d, session: s}
	c.work.do = c.run
	c.waiting.Fire = func() {
		d.count("closed: "+closedWaiting, 1)
		s.Close(closedWaiting)
	}
	s.Data = c
	d.loop.Schedule(&c.waiting, d.cfg.AuthTimeout)
}

// Event implements [socketio.Handler]. Events that the protocol does not know are
// ignored.
func (d *Dialect) Event(s *socketio.Session, name string, args [][]byte) {
	c := s.Data.(*client)
	switch name {
	case eventAuthentication:
		c.put(event{credential: decodeCredential(args)})
	case eventReceived:
		if id := decodeReceived(args); id != "" {
			c.put(event{confirm: true, messageID: id})
		}
	}
}

// Closed implements [socketio.Handler].
func (d *Dialect) Closed(s *socketio.Session, _ string) {
	c := s.Data.(*client)
	d.loop.Cancel(&c.waiting)
	c.mu.Lock()
	c.gone = true
	c.mu.Unlock()
	d.clients.wake(&c.work) // leaves its mailbox, behind what it still said
}

func (c *client) put(e event) {
	c.mu.Lock()
	full := len(c.events) >= c.dialect.cfg.MaxEvents
	if !full && !c.gone {
		c.events = append(c.events, e)
	}
	c.mu.Unlock()
	if full {
		c.dialect.count("closed: "+closedEvents, 1)
		c.session.Close(closedEvents)
		return
	}
	c.dialect.clients.wake(&c.work)
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

// run works on the client's events: authentications one by one, confirmations in a
// row together.
func (c *client) run() {
	d := c.dialect
	events, more, gone := c.take()
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
	switch {
	case more:
		d.clients.wake(&c.work)
	case gone && c.device != 0:
		d.leave(c)
	}
}

// confirm forgets messages that the client's device has. Without authorization it
// does nothing: in the original anybody could remove anybody's.
func (c *client) confirm(ids []string) {
	d := c.dialect
	if c.device == 0 {
		d.count("confirmations refused", len(ids))
		return
	}
	n, err := d.store.Confirm(context.Background(), c.device, ids)
	if err != nil {
		// They are pushed again at the next authorization.
		d.log.Error("push socket: confirming messages", "remote", c.session.RemoteAddr(), "err", err)
		return
	}
	d.count("messages confirmed", n)
	d.count("confirmations refused", len(ids)-n)
}

// authenticate answers an authentication event.
func (c *client) authenticate(cred credential) {
	d := c.dialect
	now := time.Now()
	device, why, err := d.check(context.Background(), cred, now)
	if err != nil {
		// The protocol has no word for this: the client connects anew.
		d.log.Error("push socket: authorizing", "remote", c.session.RemoteAddr(), "err", err)
		c.session.Close("store is not available")
		return
	}
	if why != "" {
		d.count("refused: "+string(why), 1)
		c.session.Deliver(notAuthorizedFrame(why, now))
		if c.refused++; c.refused >= d.cfg.MaxTries {
			d.count("closed: "+closedTries, 1)
			c.session.Close(closedTries)
		}
		return
	}
	d.loop.Cancel(&c.waiting)
	c.refused = 0
	if c.session.Deliver(authorizedFrame) {
		d.count("authorized", 1)
		d.join(c, device.ID)
	}
}

// check says who credentials belong to, or why they are refused: the first reason
// in the order of the original's socket.
func (d *Dialect) check(ctx context.Context, cred credential, now time.Time) (store.Device, reason, error) {
	c, err := auth.ParsePush(cred.Username, cred.Password)
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
