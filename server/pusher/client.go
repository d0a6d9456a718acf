package pusher

import (
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"poosh/server/hub"
	"poosh/server/loop"
	"poosh/server/peers"
	"poosh/server/websocket"
)

// A client is one connection. It is the handler of its wire connection and the
// receiver of its subscriber in the hub.
type client struct {
	d        *Dialect      // set once
	app      *app          // set once
	socketID string        // set once; its id in the hub too
	opened   time.Duration // set once; on the dialect's clock

	conn *websocket.Conn // set once, by attach
	sub  *hub.Subscriber // set once, by attach

	seen    atomic.Int64 // when the last frame came, on the dialect's clock
	timer   loop.Timer   // fires tick
	closing atomic.Bool  // close was called
	version uint8        // set once; of the protocol

	// Of the goroutine that reads the connection.
	clientEvents pace
	subscribes   pace

	// Of the goroutine that fires timers.
	probed time.Duration // when a ping was sent that nothing followed; 0 for none

	mu         sync.Mutex        // guards what follows
	gone       bool              // Closed was called
	trusted    bool              // has signed in, or has been let into a channel
	user       *userInfo         // who signed in; nil for nobody
	membership map[string]string // presence channels: the user's id in each
}

// attach seats an accepted connection in the hub.
func (c *client) attach(conn *websocket.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		return // closed before it began
	}
	c.conn = conn
	c.sub = c.d.hub.Register(c.app.hubName, c.socketID, c.app.conf.MaxChannels, Encoder, c)
	c.app.mu.Lock()
	c.app.clients[c] = struct{}{}
	c.app.mu.Unlock()
	c.d.loop.Schedule(&c.timer, c.firstTick())
}

// Deliver queues a frame; see [hub.Receiver].
func (c *client) Deliver(frame []byte) bool { return c.conn.Push(frame) }

// Alive notes a ping or pong of WebSocket itself, which is life as any frame is.
func (c *client) Alive(*websocket.Conn) { c.seen.Store(int64(c.d.now())) }

// Message handles one message. It runs on the connection's reader.
func (c *client) Message(conn *websocket.Conn, binary bool, data []byte) {
	c.seen.Store(int64(c.d.now()))
	if binary {
		c.reject("message refused", 0, "binary messages are not understood")
		return
	}
	m, err := parseMessage(data)
	if err != nil {
		c.reject("message refused", 0, err.Error())
		return
	}
	switch m.Event {
	case "pusher:ping":
		conn.Push(pongFrame)
	case "pusher:pong":
	case "pusher:subscribe":
		c.subscribe(m)
	case "pusher:unsubscribe":
		c.unsubscribe(m)
	case "pusher:signin":
		c.signIn(m)
	default:
		if strings.HasPrefix(m.Event, "client-") {
			c.clientEvent(m)
			return
		}
		c.reject("message refused", 0, "Unknown event "+shown(m.Event)+": client events begin with client-")
	}
}

// err tells the client of an error and keeps the connection open.
func (c *client) err(code int, text string) { c.conn.Push(errorFrame(code, "", text)) }

// reject is err, counted under a name.
func (c *client) reject(name string, code int, text string) {
	c.d.counts.add(name, 1)
	c.err(code, text)
}

// shown is a client's text as an error may repeat it.
func shown(text string) string {
	const most = 200
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "..."
	}
	return strconv.Quote(text)
}

// close ends the connection with a code of the protocol, once.
func (c *client) close(code int, text string) {
	if c.closing.Swap(true) {
		return
	}
	c.d.counts.add("close "+strconv.Itoa(code), 1)
	c.conn.Close(code, text)
}

// expel tells the client why, and ends the connection.
func (c *client) expel(code int, text string) {
	c.err(code, text)
	c.close(code, text)
}

// Closed takes the connection out of everything it is in.
func (c *client) Closed(*websocket.Conn, error) {
	c.mu.Lock()
	c.gone = true
	c.d.loop.Cancel(&c.timer)
	attached, user := c.sub != nil, c.user
	c.mu.Unlock()
	if attached {
		for _, channel := range c.sub.Rooms() {
			c.leave(channel)
		}
		if user != nil {
			c.app.users.signOut(c, user)
		}
		c.d.hub.Unregister(c.sub)
		c.app.mu.Lock()
		delete(c.app.clients, c)
		c.app.mu.Unlock()
	}
	c.app.release()
	c.d.conns.Add(-1)
}

// network is whose the connection is, as webhooks count what it causes; the zero Addr
// when there are none.
func (c *client) network() netip.Addr {
	if c.app.hooks == nil {
		return netip.Addr{}
	}
	return peers.Of(c.conn.RemoteAddr())
}

// trust notes that the client has shown a good signature.
func (c *client) trust() {
	c.mu.Lock()
	c.trusted = true
	c.mu.Unlock()
}

// firstTick is when the clock first matters.
func (c *client) firstTick() time.Duration {
	d := time.Duration(c.app.conf.ActivityTimeout)
	if c.app.conf.Authorize {
		d = min(d, time.Duration(c.app.conf.AuthorizeTimeout))
	}
	return d
}

// inactivity is after how long a silent client of version 4 is closed, which
// cannot be asked for a pong (Pusher Channels protocol, close code 4202).
const inactivity = 24 * time.Hour

// tick looks whether the client is still there, and sets the timer again. It runs
// on the goroutine of all timers.
func (c *client) tick() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		return
	}
	now, seen := c.d.now(), time.Duration(c.seen.Load())
	silent, activity := now-seen, time.Duration(c.app.conf.ActivityTimeout)
	next := activity - silent

	if seen >= c.probed { // it was silent for longer than a step of the clock before
		c.probed = 0
	}
	switch {
	case next > 0:
	case c.version == oldestVersion:
		if silent >= inactivity {
			c.close(codeInactive, "nothing was heard for 24 hours")
			return
		}
		c.conn.Push(wirePing)
		next = activity
	case c.probed == 0:
		// A page that the browser has put to sleep answers the second one alone.
		c.conn.Push(pingFrame)
		c.conn.Push(wirePing)
		c.probed, next = now, c.d.cfg.PongTimeout
	default:
		if next = c.probed + c.d.cfg.PongTimeout - now; next <= 0 {
			c.close(codeNoPong, "no answer to a ping")
			return
		}
	}
	if c.app.conf.Authorize && !c.trusted {
		left := c.opened + time.Duration(c.app.conf.AuthorizeTimeout) - now
		if left <= 0 {
			c.expel(codeUnauthorized, "connections must be authorized, and this one was not in time")
			return
		}
		next = min(next, left)
	}
	c.d.loop.Schedule(&c.timer, next)
}

// clientEvent passes a client's event on to the other subscribers of a channel
// (Pusher Channels, "Client events").
func (c *client) clientEvent(m message) {
	refuse := func(code int, text string) {
		c.d.counts.add("client event refused", 1)
		c.conn.Push(errorFrame(code, m.Channel, text))
	}
	conf := &c.app.conf
	if !conf.ClientEvents {
		refuse(codeClientEvent, "client events are not enabled for this app")
		return
	}
	k := kindOf(m.Channel)
	switch {
	case !validChannel(m.Channel):
		refuse(0, errBadChannel.Error())
		return
	case !k.private || k.encrypted:
		refuse(codeClientEvent, "client events are for private and presence channels only, not for "+shown(m.Channel))
		return
	case !c.sub.In(m.Channel):
		refuse(0, "client event on channel "+m.Channel+", which this connection does not subscribe to")
		return
	case utf8.RuneCountInString(m.Event) > maxEventName:
		refuse(codeClientEvent, "the name of a client event is longer than 200 characters")
		return
	}
	if rate := conf.ClientEventRate; !c.clientEvents.allow(rate, rate.Limit, c.d.now()) {
		refuse(codeClientEvent, "client events come faster than "+conf.ClientEventRate.String())
		return
	}
	data := m.text()
	if len(data) > conf.MaxEventBytes {
		refuse(codeClientEvent, tooMuchData(len(data), conf.MaxEventBytes))
		return
	}
	var userID string
	if k.presence {
		c.mu.Lock()
		userID = c.membership[m.Channel]
		c.mu.Unlock()
	}
	if err := c.d.cfg.Gate.Try(); err != nil {
		refuse(codeClientEvent, err.Error())
		return
	}
	defer c.d.cfg.Gate.Leave()
	c.d.counts.add("client event", 1)
	c.d.hub.Publish(&hub.Publication{
		App: c.app.hubName, Room: m.Channel, Event: m.Event, Data: jsonString(data),
		Meta: userID, Except: c.sub.ID(),
	})
	c.app.hooks.clientEvent(m.Channel, m.Event, data, c.socketID, userID, c.network())
}
