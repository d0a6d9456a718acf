package websocket

import (
	"errors"

	"poosh/server/latency"
	"poosh/server/loop"
)

// A Handler is told what happens on a connection.
type Handler interface {
	// Message hands over one complete message. It runs on the goroutine that
	// reads for many connections, so it must not block; data is valid only
	// during the call.
	Message(c *Conn, binary bool, data []byte)
	// Closed is the last call for a connection, exactly one, from the loop's
	// reaper. The socket is closed already.
	Closed(c *Conn, reason error)
}

// A Watcher is a [Handler] for which any frame of the peer is a sign of life:
// Alive is called for each ping and pong, as Message is for what they are not.
type Watcher interface {
	Alive(c *Conn)
}

// A Settler is a [Handler] that waits with messages in hand while its connection is deaf;
// see [loop.Settler].
type Settler interface {
	Settled(c *Conn)
}

// A Grower is a [Handler] that says how large an outbox of [Options] is now, for one that is
// full; see [loop.Grower].
type Grower interface {
	Outbox() int
}

// A Conn is a connection of the loop that speaks WebSocket: the very same object, so
// that a push costs no step more. Its methods may be called from any goroutine.
type Conn loop.Conn

func (c *Conn) raw() *loop.Conn { return (*loop.Conn)(c) }

func (c *Conn) codec() *codec { return c.raw().Protocol().(*codec) }

// RemoteAddr returns the address that the request came from, as the HTTP
// server gave it.
func (c *Conn) RemoteAddr() string { return c.codec().remote }

// OnLoop reports whether the connection costs no goroutine; see [loop.Conn.OnLoop].
func (c *Conn) OnLoop() bool { return c.raw().OnLoop() }

// Start begins to write and to read. Call it once, when everything that Message
// needs is attached: bytes that came with the handshake are handled before it
// returns.
func (c *Conn) Start() { c.raw().Start() }

// Push queues a frame; see [loop.Conn.Push].
func (c *Conn) Push(frame []byte) bool { return c.raw().Push(frame) }

// Answer is Push of a frame that the peer has asked for; see [loop.Conn.Owe].
func (c *Conn) Answer(frame []byte) bool { return c.raw().Answer(frame) }

// Fits reports whether so much can be pushed in one go; see [loop.Conn.Fits].
func (c *Conn) Fits(frames, bytes int) bool { return c.raw().Fits(frames, bytes) }

// Owe says that an answer is among what was pushed; see [loop.Conn.Owe].
func (c *Conn) Owe(cost int) { c.raw().Owe(cost) }

// Deaf reports whether so much is owed to the peer that it is not heard; see [loop.Conn.Deaf].
func (c *Conn) Deaf() bool { return c.raw().Deaf() }

// PushMarked is Push of a frame that carries a mark; see [loop.Conn.PushMarked].
func (c *Conn) PushMarked(frame []byte, k *latency.Mark) bool { return c.raw().PushMarked(frame, k) }

// Mark has the connection carry a mark behind what was pushed; see [loop.Conn.Mark].
func (c *Conn) Mark(k *latency.Mark) { c.raw().Mark(k) }

// Text queues payload as a text frame; see [loop.Conn.Push].
func (c *Conn) Text(payload []byte) bool { return c.Push(TextFrame(payload)) }

// Waiting returns what the connection has still to write; see [loop.Conn.Waiting].
func (c *Conn) Waiting() int { return c.raw().Waiting() }

// Ending says why the connection takes nothing any more, empty while it does, and
// whether that is because too much waited for its peer.
func (c *Conn) Ending() (why string, slow bool) {
	err := c.raw().Why()
	if err == nil {
		return "", false
	}
	return err.Error(), errors.Is(err, loop.ErrSlow) || errors.Is(err, loop.ErrWriteTimeout)
}

// Why is the error that the handler is told of, or will be, where nothing can be pushed any
// more; nil while something can.
func (c *Conn) Why() error { return c.raw().Why() }

// Close ends the connection in order: what waits is written, then a close frame
// with code and reason (at most 123 bytes), then the socket is closed once the
// peer answers or the loop's CloseTimeout is over. The handler is told
// [loop.ErrClosed]. It returns at once.
func (c *Conn) Close(code int, reason string) {
	c.raw().End(loop.AwaitPeer, closeFrame(code, reason), loop.ErrClosed)
}

// HangUp ends the connection in order without a close frame: what waits is written, then
// the peer sees the end of the stream; see [loop.HalfClose]. The handler is told
// [loop.ErrClosed].
func (c *Conn) HangUp() { c.raw().End(loop.HalfClose, nil, loop.ErrClosed) }

// Pause stops the peer's messages from coming until Resume, but for those that have been
// read already; see [loop.Conn.Pause].
func (c *Conn) Pause() { c.raw().Pause() }

// Resume ends what Pause began.
func (c *Conn) Resume() { c.raw().Resume() }

// Unheard reports whether the peer may have said what nobody has heard yet; see
// [loop.Conn.Unheard].
func (c *Conn) Unheard() bool { return c.raw().Unheard() }

// Guard calls f for the handler on a goroutine of its own; see [loop.Conn.Guard].
func (c *Conn) Guard(f func()) { c.raw().Guard(f) }

// Abort closes the socket at once; see [loop.Conn.Abort].
func (c *Conn) Abort(reason error) { c.raw().Abort(reason) }
