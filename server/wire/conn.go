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

// A Conn is one accepted WebSocket connection. Its methods may be called from
// any goroutine.
type Conn struct {
	// What Push looks at stands first, in 64 bytes, and all is 192: that is one cache
	// line. A room of thousands is larger than the processor's caches.
	mu     sync.Mutex // guards what says so; never held during a system call
	flags  flags      // guarded by mu
	deaf   bool       // owned by the reader; the peer broke the protocol: nothing more is read
	frames [][]byte   // guarded by mu; the outbox, oldest first; shared with others: read only
	size   int        // guarded by mu; bytes in frames
	limit  int        // set once; bytes in the outbox
	shard  *shard     // set once

	handler    Handler    // set once
	remote     string     // set once
	peer       netip.Addr // set once
	maxMessage int32      // set once

	moved   uint32 // guarded by mu; bytes written, modulo 2^32: tells a stall from slowness
	reason  error  // guarded by mu; why the connection ended
	stalled *Timer // guarded by mu; set while the socket takes nothing

	fd int      // set once; -1 for a connection with goroutines
	nc net.Conn // set once; nil for a connection of the reader and flusher

	in   *inbound       // owned by the reader; nil between messages
	then func(net.Conn) // guarded by mu; of Detach
}

type flags uint16

const (
	queued    flags = 1 << iota // the flusher has it on its list
	writing                     // the flusher is at its socket
	reading                     // the reader is at its socket
	blocked                     // the socket takes nothing until it is writable
	started                     // Start was called: frames may leave
	watched                     // the poller waits for its socket
	closing                     // a close frame is queued; nothing may follow it
	answering                   // the close frame is the answer to the peer's
	dead                        // ended; waits for reader and flusher to let go
	buried                      // handed to the reaper
	strained                    // counts in its shard's strained
	leaving                     // detached; nothing is read any more
	cut                         // died with frames in its outbox
)

// RemoteAddr returns the address that the request came from, as the HTTP
// server gave it.
func (c *Conn) RemoteAddr() string { return c.remote }

// Close ends the connection in order: what waits is written, then a close frame
// with code and reason (at most 123 bytes), then the socket is closed once the
// peer answers or Config.CloseTimeout is over. The handler is told [ErrClosed].
// It returns at once.
func (c *Conn) Close(code int, reason string) { c.close(closeFrame(code, reason), ErrClosed) }

func (c *Conn) close(frame []byte, reason error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flags&(dead|closing) != 0 {
		return
	}
	c.queue(frame)
	c.flags |= closing
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
	if c.size > 0 {
		c.flags |= cut
	}
	c.flags |= dead
	c.frames, c.size = nil, 0
	c.gauge()
	if c.nc != nil {
		c.shard.interrupt(c)
	}
	c.letGo()
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
	c.in = nil
	if _, ok := c.handler.(carried); ok {
		l.streams.Add(-1)
	}
	l.conns.Add(-1)
	if l.cfg.Released != nil {
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

// begin claims the socket for reading or writing. It fails on a dead connection.
func (c *Conn) begin(claim flags) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flags&dead != 0 {
		return false
	}
	c.flags |= claim
	return true
}

func (c *Conn) end(claim flags) {
	c.mu.Lock()
	c.flags &^= claim
	c.letGo()
	c.depart()
	c.mu.Unlock()
}
