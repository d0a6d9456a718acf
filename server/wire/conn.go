package wire

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
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

// A Conn is one connection: a WebSocket, or what carries a [Stream]. Its methods may
// be called from any goroutine.
type Conn struct {
	// What Push looks at stands first, in 64 bytes, and all is 192: that is one cache
	// line. A room of thousands is larger than the processor's caches.
	mu     sync.Mutex // guards what says so; never held during a system call but epoll's
	flags  flags      // guarded by mu
	fd     int32      // set once; -1 for a connection with goroutines
	frames [][]byte   // guarded by mu; the outbox, oldest first; shared with others: read only
	size   int32      // guarded by mu; what the outbox costs, with what is being written
	limit  int32      // guarded by mu; of size
	shard  *shard     // set once

	handler    Handler    // changed once, by the reader, when a stream becomes a WebSocket
	remote     string     // changed with handler
	peer       netip.Addr // changed with handler; the network that the connection counts for
	maxMessage int32      // changed with handler

	moved   uint32 // guarded by mu; bytes written, modulo 2^32: tells a stall from slowness
	reason  error  // guarded by mu; why the connection ended
	stalled *Timer // guarded by mu; set while the socket takes nothing

	nc   net.Conn       // set once; nil for a connection of the reader and flusher
	in   *inbound       // owned by the reader; nil between messages
	then func(net.Conn) // guarded by mu; of Detach
	pong int32          // guarded by mu; one more than where in frames a pong waits; 0 for none
	deaf bool           // owned by the reader; nothing more is read: the peer closed, or broke the protocol
}

type flags uint32

const (
	queued    flags = 1 << iota // the flusher has it on its list
	writing                     // somebody is writing to its socket
	reading                     // the reader is at its socket
	blocked                     // the socket takes nothing until it is writable
	started                     // Start was called: frames may leave
	corked                      // the reader will write what is pushed
	watched                     // the poller waits for its socket
	paused                      // nothing is read for now
	closing                     // a close frame is queued; nothing may follow it
	answering                   // the close frame is the answer to the peer's
	breached                    // the peer broke the protocol
	dead                        // ended; waits for reader and flusher to let go
	buried                      // handed to the reaper
	strained                    // counts in its shard's strained
	leaving                     // detached; nothing is read any more
	cut                         // died with frames in its outbox
)

// RemoteAddr returns the address that the request came from, as the HTTP
// server gave it.
func (c *Conn) RemoteAddr() string { return c.remote }

// OnLoop reports whether the connection costs no goroutine: the loop's reader and
// flusher serve it.
func (c *Conn) OnLoop() bool { return c.nc == nil }

// Close ends the connection in order: what waits is written, then a close frame
// with code and reason (at most 123 bytes), then the socket is closed once the
// peer answers or Config.CloseTimeout is over. The handler is told [ErrClosed].
// It returns at once.
func (c *Conn) Close(code int, reason string) { c.close(closeFrame(code, reason), ErrClosed, 0) }

// HangUp ends the connection in order without a close frame: what waits is written, then
// the peer sees the end of the stream, and the socket is closed once the peer has closed
// its side or Config.CloseTimeout is over. What it still sends is read and dropped:
// closing the socket at once would cost it what it has not read yet. The handler is told
// [ErrClosed].
func (c *Conn) HangUp() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flags&(dead|closing) != 0 {
		return
	}
	c.flags |= closing | breached
	c.reason = ErrClosed
	if len(c.frames) == 0 && c.flags&writing == 0 {
		c.awaitClose()
	}
}

func (c *Conn) close(frame []byte, reason error, also flags) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flags&(dead|closing) != 0 {
		return
	}
	c.queue(frame)
	c.flags |= closing | also
	c.reason = reason
}

// Abort closes the socket as soon as nobody is at it; what waits is lost. The
// handler is told reason.
func (c *Conn) Abort(reason error) {
	c.mu.Lock()
	c.kill(reason)
	c.mu.Unlock()
}

// kill marks the connection dead. c.mu is held.
func (c *Conn) kill(reason error) {
	if c.flags&dead != 0 {
		return
	}
	if c.flags&closing == 0 {
		c.reason = reason
	}
	c.waiting().Add(-int64(c.size))
	if c.flags&writing == 0 { // or else who writes will say how much has left
		c.lost()
	}
	c.flags |= dead
	c.frames, c.pong = nil, 0
	c.gauge()
	c.shard.loop.caughtUp()
	if c.nc != nil {
		c.shard.interrupt(c)
	}
	c.letGo()
}

// lost notes whether something was pushed that never left. c.mu is held.
func (c *Conn) lost() {
	if c.size > 0 {
		c.flags |= cut
	}
	c.size = 0
}

// letGo hands a dead connection to the reaper when nobody is at its socket.
// c.mu is held.
func (c *Conn) letGo() {
	if c.flags&dead != 0 && c.flags&(reading|writing|buried) == 0 {
		c.flags |= buried
		c.shard.loop.reaper.add(c)
	}
}

// bury is the reaper's part: close the socket, tell the handler.
func (c *Conn) bury() {
	l := c.shard.loop
	c.mu.Lock()
	if c.stalled != nil {
		l.Cancel(c.stalled)
		c.stalled = nil
	}
	reason := c.reason
	c.mu.Unlock()
	c.shard.remove(c)
	c.forgetInput()
	_, stream := c.handler.(carried)
	l.leave(c, stream)
	if !stream && l.cfg.Released != nil {
		l.cfg.Released(c.peer)
	}
	if r := Reason(""); errors.As(reason, &r) {
		l.count(r)
	} else {
		l.count(ErrClosed)
	}
	defer c.recoverHandler()
	c.handler.Closed(c, reason)
}

// recoverHandler keeps a panic of a handler inside its connection.
func (c *Conn) recoverHandler() {
	if p := recover(); p != nil {
		c.shard.loop.cfg.Log.Error("panic in a connection's handler",
			"remote", c.remote, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		c.Abort(ErrPanic)
	}
}

// beginReading claims the socket for the reader. It fails when there is nothing to
// be read for now.
func (c *Conn) beginReading() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flags&(dead|watched|leaving|paused) != watched {
		return false
	}
	c.flags |= reading
	return true
}

func (c *Conn) endReading() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flags &^= reading
	c.letGo()
	c.depart()
}

// Unread reports whether the peer has sent something that was not looked at yet. Of a
// connection with goroutines nothing is known: their reader is always at its socket.
func (c *Conn) Unread() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nc == nil && c.flags&(dead|leaving) == 0 && unread(int(c.fd)) > 0
}

// Pause stops reading until Resume: what the peer sends waits in the kernel, and
// then at the peer. Of a peer that closes its side meanwhile the handler is told
// [ErrGone] without hearing the rest. Of use on the loop alone.
func (c *Conn) Pause() { c.setPaused(true) }

// Resume ends what Pause began.
func (c *Conn) Resume() { c.setPaused(false) }

func (c *Conn) setPaused(yes bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.nc != nil || c.flags&dead != 0 || yes == (c.flags&paused != 0) {
		return
	}
	c.flags ^= paused
	c.shard.arm(c)
}
