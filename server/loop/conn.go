package loop

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"runtime/debug"
	"sync"
)

// A Protocol is what the bytes of a connection mean: HTTP, WebSocket.
type Protocol interface {
	// Data hands over bytes as they arrive. It runs on the goroutine that reads for
	// many connections, so it must not block; data is valid only during the call, and
	// may be changed. The first call has no bytes: from then on the reader owns what
	// Data works with, also bytes that were read before.
	Data(c *Conn, data []byte)
	// Closed is the last call for a connection, exactly one, from the loop's reaper.
	// The socket is closed already. It is not called for a connection that was
	// detached, nor for a protocol that another one has followed.
	Closed(c *Conn, reason error)
	// RemoteAddr names the peer in the log.
	RemoteAddr() string
}

// Options are about one connection.
type Options struct {
	Outbox int // what may wait to be written, in bytes of [Cost]; 0 for the loop's
	// Together has what is pushed during Data leave in one write when that returns.
	// What is pushed then otherwise waits for the flusher, as ever.
	Together bool
}

// A Conn is one connection of a [Loop]. Its methods may be called from any goroutine.
type Conn struct {
	// What Push looks at stands first, in 64 bytes, and all is 128: that is one cache
	// line. A room of thousands is larger than the processor's caches.
	mu     sync.Mutex // guards what says so; never held during a system call but epoll's
	flags  flags      // guarded by mu
	fd     int32      // set once; -1 for a connection with goroutines
	queue  [][]byte   // guarded by mu; the outbox, oldest first; shared with others: read only
	size   int32      // guarded by mu; what the outbox costs, with what is being written
	limit  int32      // guarded by mu; of size
	shard  *shard     // set once
	moved  uint32     // guarded by mu; bytes written, modulo 2^32: tells a stall from slowness
	latest int32      // guarded by mu; one more than where in queue PushLatest's waits; 0 for none

	protocol Protocol       // changed by the reader, with mu held
	reason   error          // guarded by mu; why the connection ended
	stalled  *Timer         // guarded by mu; set while the socket takes nothing
	nc       net.Conn       // set once; nil for a connection of the reader and flusher
	then     func(net.Conn) // guarded by mu; of Detach
}

type flags uint32

const (
	queued    flags = 1 << iota // the flusher has it on its list
	writing                     // somebody is writing to its socket
	reading                     // the reader is at its socket
	blocked                     // the socket takes nothing until it is writable
	started                     // Start was called: what waits may leave
	together                    // of Options
	corked                      // the reader will write what is pushed
	watched                     // the poller waits for its socket
	paused                      // nothing is read for now
	closing                     // the last has been pushed
	answering                   // the socket is closed once the last has left
	breached                    // the peer sees the end once the last has left
	dead                        // ended; waits for reader and flusher to let go
	buried                      // handed to the reaper
	strained                    // counts in its shard's strained
	leaving                     // detached; nothing is read any more
	cut                         // died with something in its outbox
)

// newConn returns a connection on one of the loop's shards, with its bounds.
func (l *Loop) newConn(o Options, p Protocol) *Conn {
	c := &Conn{shard: l.nextShard(), protocol: p, fd: -1}
	c.bound(o)
	return c
}

// bound gives a connection its bounds.
func (c *Conn) bound(o Options) {
	if o.Outbox == 0 {
		o.Outbox = c.shard.loop.cfg.Outbox
	}
	c.limit = int32(min(o.Outbox, math.MaxInt32))
	c.flags &^= together
	if o.Together {
		c.flags |= together
	}
}

// Protocol returns what the connection speaks.
func (c *Conn) Protocol() Protocol { return c.protocol }

// Become makes a connection speak another protocol from the next byte on. Its reader
// alone may call it, from within Data; [Conn.Start] must be called there too.
func (c *Conn) Become(p Protocol, o Options) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.protocol = p
	c.bound(o)
	c.gauge()
}

// OnLoop reports whether the connection costs no goroutine: the loop's reader and
// flusher serve it.
func (c *Conn) OnLoop() bool { return c.nc == nil }

// Start begins to write and to read. Call it once, when everything that the protocol
// needs is attached: Data is called for the first time before it returns.
func (c *Conn) Start() {
	c.mu.Lock()
	inPlace := c.flags&watched != 0 // the reader calls, from within Data
	if c.flags&dead != 0 {
		c.mu.Unlock()
		return
	}
	if !inPlace {
		c.flags |= reading
	}
	c.mu.Unlock()
	c.flush(make([]byte, 0, 1<<10))
	c.hand(nil)
	switch {
	case inPlace:
	case c.nc != nil:
		go c.pull() // ends when the connection does
	default:
		c.watch()
	}
}

// watch hands the reading of a connection to the poller.
func (c *Conn) watch() {
	c.mu.Lock()
	defer c.mu.Unlock()
	// From the first wait on the claim is the poller's, so this one ends before.
	c.flags &^= reading
	if c.flags&dead == 0 {
		c.flags |= watched
		if err := c.shard.poll.watch(int(c.fd), c.flags); err != nil {
			c.kill(ErrReset)
		}
	}
	c.letGo()
}

// received takes what a read gave. The reader calls it with its claim; corked is what
// claiming said, scratch is memory of the reader's, to write with.
func (c *Conn) received(data, scratch []byte, corked bool, err error) {
	if len(data) > 0 {
		c.hand(data)
	}
	if corked {
		c.flush(scratch)
	}
	switch {
	case err == nil:
	case errors.Is(err, io.EOF):
		c.Abort(ErrGone)
	default:
		c.Abort(ErrReset)
	}
}

// hand gives the protocol what was read.
func (c *Conn) hand(data []byte) {
	defer c.recoverProtocol()
	c.protocol.Data(c, data)
}

// recoverProtocol keeps a panic of a protocol inside its connection.
func (c *Conn) recoverProtocol() {
	if p := recover(); p != nil {
		c.shard.loop.cfg.Log.Error("panic in a connection's handler",
			"remote", c.protocol.RemoteAddr(), "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		c.Abort(ErrPanic)
	}
}

// beginReading claims the socket for the reader. It fails when there is nothing to
// be read for now. corked says that the reader has to write what is pushed meanwhile.
func (c *Conn) beginReading() (corked, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flags&(dead|watched|leaving|paused) != watched {
		return false, false
	}
	c.flags |= reading
	return c.cork(), true
}

// cork leaves what is pushed to the reader, who will write it with flush, if the
// protocol wants that. c.mu is held.
func (c *Conn) cork() bool {
	if c.flags&together == 0 {
		return false
	}
	c.flags |= corked
	return true
}

func (c *Conn) endReading() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flags &^= reading
	c.letGo()
	c.depart()
}

// pull reads for a connection that has goroutines.
func (c *Conn) pull() {
	defer c.endReading()
	buf := make([]byte, 4<<10)
	for {
		n, err := c.nc.Read(buf)
		c.mu.Lock()
		corked := c.cork()
		c.mu.Unlock()
		c.received(buf[:n], nil, corked, err)
		if err != nil {
			return
		}
	}
}

// Unread reports whether the peer has sent something that was not looked at yet. Of a
// connection with goroutines nothing is known: their reader is always at its socket.
func (c *Conn) Unread() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nc == nil && c.flags&(dead|leaving) == 0 && unread(int(c.fd)) > 0
}

// Pause stops reading until Resume: what the peer sends waits in the kernel, and
// then at the peer. Of a peer that closes its side meanwhile the protocol is told
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
