package app

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"log/slog"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"poosh/server/closed"
	"poosh/server/hub"
	"poosh/server/peers"
	"poosh/server/pusher/protocol"
)

// HubName returns the name that the app of an id has in the hub.
func HubName(id string) string { return "pusher:" + id }

// NewSocketID returns the id of a new connection, for its client and in the hub: two
// random numbers below 10^10 that nobody can guess.
func NewSocketID() string {
	var raw [16]byte
	_, _ = rand.Read(raw[:]) // never fails
	const limit = 10_000_000_000
	b := strconv.AppendUint(make([]byte, 0, 24), binary.LittleEndian.Uint64(raw[:8])%limit, 10)
	b = append(b, '.')
	b = strconv.AppendUint(b, binary.LittleEndian.Uint64(raw[8:])%limit, 10)
	return string(b)
}

// A Socket is what an app knows of a client's end of a connection. Its methods may be
// called from any goroutine and must not block.
type Socket interface {
	Deliver(frame []byte) bool // as [hub.Receiver] has it
	// Expel tells the client the code and the text, and ends the connection, once. It
	// reports whether it was this that ended it.
	Expel(why closed.Reason, code int, text string) bool
	RemoteAddr() string // the client's address with its port

	// Fits reports whether so many bytes in so many frames can be delivered in one go, so that
	// room is left for what comes meanwhile. What is said of Deliver holds for it.
	Fits(frames, bytes int) bool

	// Entered answers [Connection.Enter], with an error for the client or, when that
	// is gone, [ErrGone]; with [ErrAway] it is made later, by itself. told is what was delivered to it as the answer, in bytes of
	// [loop.Cost]. Left answers [Connection.Leave].
	Entered(channel string, told int, err error)
	Left(channel string)
	// Late tells of an entry that was answered with [ErrAway], and has been made since or, with
	// another error, is not made at all.
	Late(channel string, told int, err error)

	// Ended follows [Connection.Close], once nothing of the connection is left.
	Ended()

	// Guard calls f and keeps a panic in it inside the connection, which ends then.
	Guard(f func())
}

// ErrGone answers what was asked for a client that is gone.
var ErrGone = errors.New("the client is gone")

// A Connection is one client's place in an app: the channels it is in, and the user it
// is signed in as. The zero Connection is not open. The methods that a client asks for
// by a message are called from one goroutine at a time, and not before the answer to the
// one before, the others from any.
type Connection struct {
	app    *App            // set once, by Choose
	socket Socket          // set once, by Open
	sub    *hub.Subscriber // set once, by Open

	mu         sync.Mutex        // guards what follows
	underway   int32             // entries, leaves and sign-ins that have no answer yet
	gone       bool              // Close was called
	trusted    bool              // has signed in, or has been let into a channel
	speaks     uint8             // set once, by Open: the version of the protocol; it fits here
	greeted    bool              // was told of whom it watches, in a cluster; users.mu guards it
	user       *protocol.User    // who signed in; nil for nobody
	membership map[string]string // presence channels: the user's id in each
}

// Choose says whose the connection will be. Call it once, before anything else.
func (c *Connection) Choose(a *App) { c.app = a }

// App is whose the connection is.
func (c *Connection) App() *App { return c.app }

// Open makes the connection one of its app's. id is of [NewSocketID], and version that of
// the protocol that its client speaks. Call it once, and Close when the client is gone.
func (c *Connection) Open(socket Socket, id string, version int) {
	a := c.app
	c.socket, c.speaks = socket, uint8(min(max(version, 0), versions-1))
	c.sub = a.shared.Hub.Register(a.hubName, id, a.Conf().MaxChannels, c.encoder(), socket)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.kept && c.sockudo() {
		a.trails[c] = &trail{began: time.Now()}
	}
	a.conns[id] = c
	a.by[c.speaks]++
}

// sockudo reports whether the client speaks Sockudo's version of the protocol.
func (c *Connection) sockudo() bool { return c.speaks == protocol.SockudoVersion }

// trail is what the client has had of what is kept; nil unless it may resume.
func (c *Connection) trail() *trail {
	if !c.app.kept || !c.sockudo() {
		return nil
	}
	c.app.mu.Lock()
	defer c.app.mu.Unlock()
	return c.app.trails[c]
}

// encoder writes publications as the client reads them.
func (c *Connection) encoder() hub.Encoder {
	switch {
	case !c.sockudo():
		return protocol.Encoder
	case c.app.kept:
		return protocol.SockudoEncoderKept
	}
	return protocol.SockudoEncoder
}

// own is a frame of the protocol's own as the client reads it.
func (c *Connection) own(frame []byte) []byte { return protocol.OwnFrame(int(c.speaks), frame) }

// Close takes the connection out of everything it is in; [Socket.Ended] follows when that
// is done, and may before Close returns: what is under way is undone as it is answered.
// It waits for nothing. Call it once. It reports false for a connection that is not open,
// which has nothing to leave, and which nothing follows for.
func (c *Connection) Close() bool {
	if c.sub == nil {
		return false
	}
	c.mu.Lock()
	c.gone = true
	c.underway++
	c.mu.Unlock()
	if c.app.across != nil {
		c.dropLate()
	}
	c.leaveAll()
	c.done()
	return true
}

// leaveAll leaves the channels that the connection is in.
func (c *Connection) leaveAll() {
	for _, channel := range c.sub.Rooms() {
		c.mu.Lock()
		c.underway++
		c.mu.Unlock()
		c.leave(channel, false)
	}
}

// begin counts one thing more that is under way. It reports false when the connection is
// gone; otherwise done is to follow.
func (c *Connection) begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		return false
	}
	c.underway++
	return true
}

// done says that something under way is over. With the last of a connection that is
// gone, nothing is left to come.
func (c *Connection) done() {
	c.mu.Lock()
	c.underway--
	last := c.gone && c.underway == 0
	if last {
		c.underway++ // what follows
	}
	c.mu.Unlock()
	if last {
		c.end()
	}
}

// end takes the connection out of the app once nothing is under way any more.
func (c *Connection) end() {
	if len(c.sub.Rooms()) > 0 { // one was entered as Close was called
		c.leaveAll()
		c.done()
		return
	}
	user := c.User()
	if user == nil {
		c.unregister()
		return
	}
	c.app.users.signOut(c, user, c.unregister)
}

// unregister is the last step of Close.
func (c *Connection) unregister() {
	a := c.app
	if a.across != nil {
		a.across.uncount(c)
	}
	a.shared.Hub.Unregister(c.sub)
	a.mu.Lock()
	delete(a.conns, c.sub.ID())
	delete(a.trails, c)
	a.by[c.speaks]--
	a.mu.Unlock()
	c.socket.Ended()
}

// isGone reports whether Close was called.
func (c *Connection) isGone() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.gone
}

// ID is the connection's socket id; empty for one that is not open.
func (c *Connection) ID() string {
	if c.sub == nil {
		return ""
	}
	return c.sub.ID()
}

// Seat is the connection's place in the hub; nil for one that is not open.
func (c *Connection) Seat() *hub.Subscriber { return c.sub }

// RemoteAddr is the client's address with its port.
func (c *Connection) RemoteAddr() string { return c.socket.RemoteAddr() }

// Push queues a frame of the protocol's own for the client. It reports whether it was taken.
func (c *Connection) Push(frame []byte) bool { return c.socket.Deliver(c.own(frame)) }

// Expel tells the client why, and ends the connection, once. It reports whether it was
// this that ended it, and not what came before.
func (c *Connection) Expel(why closed.Reason, code int, text string) bool {
	return c.socket.Expel(why, code, text)
}

// In reports whether the connection is subscribed to a channel.
func (c *Connection) In(channel string) bool { return c.sub.In(channel) }

// Asked reports whether the connection is subscribed to a channel, or will be as soon as other
// processes can be asked.
func (c *Connection) Asked(channel string) bool {
	return c.sub.In(channel) || c.app.across != nil && c.app.across.waits(c, channel)
}

// Trusted reports whether the client has shown a good signature.
func (c *Connection) Trusted() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.trusted
}

func (c *Connection) trust() {
	c.mu.Lock()
	c.trusted = true
	c.mu.Unlock()
}

// User returns who the connection is signed in as; nil for nobody.
func (c *Connection) User() *protocol.User {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.user
}

// IsUser reports whether the connection is signed in as a user.
func (c *Connection) IsUser(id string) bool {
	user := c.User()
	return user != nil && user.ID == id
}

var errOtherUser = errors.New("this connection is signed in as another user")

// SignIn makes the connection a user's. answer is told whether it was nobody's before,
// and has [Connection.GoOnline] follow then, or is given an error, which is for the client
// unless it is [ErrGone]. It may be called before SignIn returns, which waits for
// nobody.
func (c *Connection) SignIn(user *protocol.User, answer func(first bool, err error)) {
	if !c.begin() {
		answer(false, ErrGone)
		return
	}
	defer c.done()
	answer(c.become(user))
}

// become makes the connection a user's, unless it is somebody's or gone.
func (c *Connection) become(user *protocol.User) (first bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.gone:
		return false, ErrGone
	case c.user == nil:
		c.user, c.trusted = user, true
		return true, nil
	case c.user.ID != user.ID:
		return false, errOtherUser
	}
	return false, nil
}

// GoOnline tells those who watch the user that has signed in, and the client who of its
// watchlist is there, and then calls done. It waits for nobody.
func (c *Connection) GoOnline(done func()) {
	if !c.begin() {
		done()
		return
	}
	c.app.users.signIn(c, c.User(), func() {
		defer c.done()
		done()
	})
}

// member is who the connection is in a presence channel; empty for nobody.
func (c *Connection) member(channel string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.membership[channel]
}

func (c *Connection) setMember(channel, id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.membership == nil {
		c.membership = make(map[string]string)
	}
	c.membership[channel] = id
}

// unsetMember returns who the connection was.
func (c *Connection) unsetMember(channel string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	id := c.membership[channel]
	delete(c.membership, channel)
	return id
}

// isMember reports whether the connection is a user in some presence channel.
func (c *Connection) isMember(id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, member := range c.membership {
		if member == id {
			return true
		}
	}
	return false
}

// ClientEvent hands a client's event to the other subscribers of a channel that it is
// in (Pusher Channels, "Client events"). It is a send like others, though its client is
// not told the id.
func (c *Connection) ClientEvent(channel, event string, data []byte) {
	a, userID, id := c.app, c.member(channel), c.app.NextID()
	p := &hub.Publication{
		App: a.hubName, Room: channel, Event: event, Data: protocol.JSONString(data),
		Meta: userID, Except: c.sub.ID(), Passing: a.passing,
	}
	if a.across != nil {
		c.sendAcross(id, p, data)
		return
	}
	c.sent(id, p, data, a.publish(p))
}

// sendAcross hands a client's event to all processes. The client is told if nobody gets it: such
// events have no answer else.
func (c *Connection) sendAcross(id string, p *hub.Publication, data []byte) {
	data = bytes.Clone(data) // it is told of when the message is handled
	c.app.traffic.Published(len(p.Data), 0)
	c.app.shared.Hub.Send(p, func(h hub.Handed) {
		if h.Err != nil {
			c.Push(protocol.ErrorFrame(protocol.CodeClientEvent, p.Room, h.Err.Error()))
			return
		}
		c.sent(id, p, data, h.Took)
	})
}

// sent tells of a client's event that was published. took is as for [App.Report].
func (c *Connection) sent(id string, p *hub.Publication, data []byte, took int) {
	a, channel, event := c.app, p.Room, p.Event
	if a.Watched() {
		a.Report(id, channel, event, p.Data, len(data), took, "")
	}
	a.hooks.ClientEvent(id, channel, event, data, c.sub.ID(), p.Meta, c.cause())
	if log := a.shared.Log; log.Enabled(context.Background(), slog.LevelDebug) {
		log.Debug("client event", "id", id, "app", a.ID(), "channel", channel, "event", event, "bytes", len(data), "socket", c.sub.ID())
	}
}

// network is whose the connection is.
func (c *Connection) network() netip.Addr { return peers.Of(c.socket.RemoteAddr()) }

// cause is whose the connection is, as webhooks count what it causes; the zero Addr
// when there are none.
func (c *Connection) cause() netip.Addr {
	if c.app.hooks.Idle() {
		return netip.Addr{}
	}
	return c.network()
}
