package client

import (
	"bytes"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"poosh/server/closed"
	"poosh/server/command"
	"poosh/server/latency"
	"poosh/server/loop"
	"poosh/server/peers"
	"poosh/server/pusher/app"
	"poosh/server/pusher/protocol"
	"poosh/server/pusher/tally"
	"poosh/server/rate"
	"poosh/server/websocket"
)

// A client is one connection. It is the handler of its [websocket.Conn] and the
// receiver of its place in the app.
type client struct {
	server *Server       // set once
	opened time.Duration // set once; on the server's clock

	conn  *websocket.Conn // set once, by attach
	place app.Connection  // opened by attach

	seen    atomic.Int64  // when the last frame came, on the server's clock
	timer   loop.Timer    // fires tick
	why     atomic.Uint32 // a closed.Reason, once it is known that the connection ends
	version uint8         // set once; of the protocol
	gone    bool          // Closed was called; guarded by mu
	full    bool          // the command has its answer, and much is to be written before the next; guarded by mu

	line command.Line // what was said behind a command that has no answer yet

	// Of the goroutine that handles messages: the connection's reader, or the line's.
	clientEvents rate.Pace
	subscribes   rate.Pace

	// Of the goroutine that fires timers.
	probed time.Duration // when a ping was sent that nothing followed; 0 for none

	mu sync.Mutex // guards gone and full, and orders attach, tick and Closed
}

// newClient makes the client of a connection that is about to be opened.
func (s *Server) newClient(a *app.App) *client {
	c := &client{server: s, version: protocol.NewestVersion, opened: s.now()}
	c.place.Choose(a)
	c.seen.Store(int64(c.opened))
	c.timer.Fire = func() { c.conn.Guard(c.tick) }
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
	c.place.Open(c, id, int(c.version))
	c.server.loop.Schedule(&c.timer, c.firstTick())
}

// Deliver queues a frame; see [app.Socket].
func (c *client) Deliver(frame []byte) bool { return c.conn.Push(frame) }

// DeliverMarked queues a frame that carries a mark; see [hub.Marker].
func (c *client) DeliverMarked(frame []byte, k *latency.Mark) bool {
	return c.conn.PushMarked(frame, k)
}

// Alive notes a ping or pong of WebSocket itself, which is life as any frame is.
func (c *client) Alive(*websocket.Conn) { c.seen.Store(int64(c.now())) }

// Message handles one message, or has it wait for the answer to one before it. It runs
// on the connection's reader.
func (c *client) Message(_ *websocket.Conn, binary bool, data []byte) {
	c.app().Received(len(data))
	c.seen.Store(int64(c.now()))
	if c.line.Busy() {
		switch c.wait(binary, bytes.Clone(data)) {
		case command.Waits:
			return
		case command.TooMuch:
			c.Expel(closed.Waiting, protocol.CodeFull, "too much waits for the answer to a message before it, try again")
			return
		}
	}
	c.handle(binary, data)
}

// wait puts a message in the line.
func (c *client) wait(binary bool, data []byte) command.Verdict {
	return c.line.Wait(c, len(data), func() {
		c.conn.Guard(func() { c.handle(binary, data) })
	})
}

// Full says how much may wait; see [command.Owner].
func (c *client) Full(messages, bytes int) bool { return command.Full(messages, bytes) }

// Pause stops reading; see [command.Owner].
func (c *client) Pause() bool {
	c.conn.Pause()
	return true
}

// Resume reads on; see [command.Owner].
func (c *client) Resume() { c.conn.Resume() }

// Guard calls f and keeps a panic in it inside the connection; see [app.Socket].
func (c *client) Guard(f func()) { c.conn.Guard(f) }

// handle handles one message.
func (c *client) handle(binary bool, data []byte) {
	if binary {
		c.reject(tally.MessageRefused, 0, "binary messages are not understood")
		return
	}
	m, err := parseMessage(data)
	if err != nil {
		c.reject(tally.MessageRefused, 0, err.Error())
		return
	}
	if c.version == protocol.SockudoVersion {
		m.Event = protocol.FromSockudo(m.Event)
	}
	switch m.Event {
	case "pusher:ping":
		c.answer(protocol.PongFrame)
	case "pusher:pong":
	case "pusher:subscribe":
		c.subscribe(m)
	case "pusher:unsubscribe":
		c.unsubscribe(m)
	case "pusher:signin":
		c.signIn(m)
	case resumeEvent:
		c.resume(m)
	default:
		if strings.HasPrefix(m.Event, "client-") {
			c.clientEvent(m)
			return
		}
		c.unknown(m)
	}
}

func (c *client) unknown(m message) {
	c.reject(tally.MessageRefused, 0, "Unknown event "+protocol.Shown(m.Event)+": client events begin with client-")
}

// app is whose connection it is.
func (c *client) app() *app.App { return c.place.App() }

// now is the server's clock.
func (c *client) now() time.Duration { return c.server.now() }

// count counts one thing.
func (c *client) count(what tally.Thing) { c.server.answer.Count(what, 1) }

// err tells the client of an error and keeps the connection open.
func (c *client) err(code int, text string) { c.answer(protocol.ErrorFrame(code, "", text)) }

// own is a frame of the protocol's own as the client reads it.
func (c *client) own(frame []byte) []byte { return protocol.OwnFrame(int(c.version), frame) }

// answer queues a frame of the protocol's own that the client has asked for.
func (c *client) answer(frame []byte) bool { return c.conn.Answer(c.own(frame)) }

// Fits reports whether so much can be delivered in one go; see [app.Socket].
func (c *client) Fits(frames, bytes int) bool { return c.conn.Fits(frames, bytes) }

// reject is err, counted.
func (c *client) reject(what tally.Thing, code int, text string) {
	c.count(what)
	c.err(code, text)
}

// RemoteAddr is the client's address; see [app.Socket].
func (c *client) RemoteAddr() string { return c.conn.RemoteAddr() }

// close ends the connection with a code of the protocol, once, and reports whether it was
// the first to.
func (c *client) close(why closed.Reason, code int, text string) bool {
	if !c.why.CompareAndSwap(uint32(closed.None), uint32(why)) {
		return false
	}
	c.conn.Close(code, text)
	return true
}

// Expel tells the client why, and ends the connection, once; see [app.Socket].
func (c *client) Expel(why closed.Reason, code int, text string) bool {
	c.err(code, text)
	return c.close(why, code, text)
}

// Closed takes the connection out of everything it is in. Why it ended is counted once:
// what it was closed for, or else the loop's reason.
func (c *client) Closed(conn *websocket.Conn, reason error) {
	c.why.CompareAndSwap(uint32(closed.None), uint32(closed.ReasonOf(reason)))
	why := closed.Reason(c.why.Load())
	c.mu.Lock()
	c.gone = true
	c.server.loop.Cancel(&c.timer)
	c.mu.Unlock()
	c.server.answer.Log.Debug("connection closed", "app", c.app().ID(), "socket", c.place.ID(), "reason", why)
	c.app().Clients.Closed(why, c.place.ID(), peers.Of(conn.RemoteAddr()), c.now()-c.opened, conn.Waiting())
	c.line.Close()
	if !c.place.Close() {
		c.Ended()
	}
}

// Ended gives up the connection's place in the app, and on the server; see [app.Socket].
func (c *client) Ended() {
	c.app().Release()
	c.server.open.Leave()
}
