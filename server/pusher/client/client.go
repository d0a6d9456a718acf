package client

import (
	"errors"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"poosh/server/loop"
	"poosh/server/pusher/app"
	"poosh/server/pusher/protocol"
	"poosh/server/rate"
	"poosh/server/websocket"
)

// A client is one connection. It is the handler of its wire connection and the
// receiver of its place in the app.
type client struct {
	server *Server       // set once
	app    *app.App      // set once
	opened time.Duration // set once; on the server's clock

	conn  *websocket.Conn // set once, by attach
	place app.Connection  // opened by attach

	seen    atomic.Int64 // when the last frame came, on the server's clock
	timer   loop.Timer   // fires tick
	closing atomic.Bool  // close was called
	version uint8        // set once; of the protocol
	gone    bool         // Closed was called; guarded by mu

	// Of the goroutine that reads the connection.
	clientEvents rate.Pace
	subscribes   rate.Pace

	// Of the goroutine that fires timers.
	probed time.Duration // when a ping was sent that nothing followed; 0 for none

	mu sync.Mutex // guards gone, and orders attach, tick and Closed
}

// newClient makes the client of a connection that is about to be opened.
func (s *Server) newClient(a *app.App) *client {
	c := &client{server: s, app: a, version: protocol.NewestVersion, opened: s.now()}
	c.seen.Store(int64(c.opened))
	c.timer.Fire = c.tick
	return c
}

// attach gives an accepted connection its place in the app, under a socket id.
func (c *client) attach(conn *websocket.Conn, id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn = conn
	if c.gone {
		return // closed before it began
	}
	c.place.Open(c.app, c, id)
	c.server.loop.Schedule(&c.timer, c.firstTick())
}

// Deliver queues a frame; see [app.Socket].
func (c *client) Deliver(frame []byte) bool { return c.conn.Push(frame) }

// Alive notes a ping or pong of WebSocket itself, which is life as any frame is.
func (c *client) Alive(*websocket.Conn) { c.seen.Store(int64(c.now())) }

// Message handles one message. It runs on the connection's reader.
func (c *client) Message(conn *websocket.Conn, binary bool, data []byte) {
	c.seen.Store(int64(c.now()))
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
		conn.Push(protocol.PongFrame)
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
		c.reject("message refused", 0, "Unknown event "+protocol.Shown(m.Event)+": client events begin with client-")
	}
}

// now is the server's clock.
func (c *client) now() time.Duration { return c.server.now() }

// count counts one thing under a name of a few.
func (c *client) count(name string) { c.server.answer.Count(name, 1) }

// err tells the client of an error and keeps the connection open.
func (c *client) err(code int, text string) { c.conn.Push(protocol.ErrorFrame(code, "", text)) }

// reject is err, counted under a name.
func (c *client) reject(name string, code int, text string) {
	c.count(name)
	c.err(code, text)
}

// RemoteAddr is the client's address; see [app.Socket].
func (c *client) RemoteAddr() string { return c.conn.RemoteAddr() }

// close ends the connection with a code of the protocol, once.
func (c *client) close(code int, text string) {
	if c.closing.Swap(true) {
		return
	}
	c.count("close " + strconv.Itoa(code))
	c.conn.Close(code, text)
}

// Expel tells the client why, and ends the connection, once; see [app.Socket].
func (c *client) Expel(code int, text string) {
	c.err(code, text)
	c.close(code, text)
}

// Closed takes the connection out of everything it is in. Why it ended is counted once:
// by the code that it was closed with, or else by the loop's reason, of which there are
// a few.
func (c *client) Closed(_ *websocket.Conn, reason error) {
	if !c.closing.Swap(true) {
		why := loop.ErrReset // for an error that has no name
		errors.As(reason, &why)
		c.count("ended " + string(why))
	}
	c.mu.Lock()
	c.gone = true
	c.server.loop.Cancel(&c.timer)
	c.mu.Unlock()
	c.server.answer.Log.Debug("connection closed", "app", c.app.Conf.ID, "socket", c.place.ID(), "reason", reason)
	c.place.Close()
	c.app.Release()
	c.server.open.Leave()
}
