package loop

import (
	"math"
	"net"
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

// A Grower is a [Protocol] whose connections may hold more than when they came: Outbox is
// [Options].Outbox as it is now, or 0 where that is not known, and is asked for when an outbox
// is full. It is called with the connection locked, so it must take no lock.
type Grower interface{ Outbox() int }

// Options are about one connection.
type Options struct {
	// Outbox is what may wait to be written, in bytes of [Cost]; 0 for the loop's. Where that is
	// raised, see [Loop.SetOutbox] and [Grower], the connection has the more of it.
	Outbox int
	// Cork has what is pushed during Data leave in one write when that returns.
	// Otherwise it is written as whatever is pushed, see [Loop].
	Cork bool
	// Trusted is for a peer that is no stranger: its connection does not end because others' sockets
	// take nothing, see Config.MaxBlocked, and has its outbox in any case.
	Trusted bool
}

// A Conn is one connection of a [Loop]. Its methods may be called from any goroutine.
type Conn struct {
	// What Push looks at stands first, in 64 bytes, and all is 128: so that is one cache
	// line of two. A room of thousands is larger than the processor's caches.
	mu     sync.Mutex // guards what says so; never held during a system call but epoll's
	flags  flags      // guarded by mu
	life   life       // guarded by mu
	gen    uint8      // set once; tells it from who had its descriptor before
	fd     int32      // set once; -1 for a connection with goroutines
	queue  [][]byte   // guarded by mu; the outbox, oldest first; shared with others: read only
	size   int32      // guarded by mu; what the outbox costs, with what is being written
	limit  int32      // guarded by mu; of size; see grow
	shard  *shard     // set once
	moved  uint32     // guarded by mu; cost of what was written, modulo 2^32: tells a stall from slowness, and how far marks are
	latest int32      // guarded by mu; one more than where in queue PushLatest's waits; 0 for none

	protocol Protocol // changed by the reader, with mu held; read by it, or with mu held
	reason   error    // guarded by mu; why the connection ended
	stalled  *Timer   // guarded by mu; set while the socket takes nothing
	nc       *netConn // set once, or by Detach with mu held; nil for a connection on the loop
	marks    *carried // guarded by mu; oldest first
	owed     int32    // guarded by mu; see Owe
	owedTo   uint32   // guarded by mu; of moved, once the last of what is owed has been written
}

// flags say what a connection is at, each independent of the others and of its life.
type flags uint16

const (
	queued    flags = 1 << iota // its shard has it on the list of those to be written to
	writing                     // somebody is writing to its socket
	reading                     // the reader is at its socket
	blocked                     // the socket takes nothing until it is writable
	started                     // Start was called: what waits may leave
	corks                       // of Options
	corked                      // the reader will write what is pushed
	watched                     // the poller waits for its socket
	paused                      // nothing is read for now
	congested                   // counts in its shard's congested
	truncated                   // ended with something in its outbox
	marked                      // marks is not nil
	owes                        // something of owed waits
	deaf                        // nothing is read until what is owed has been written
	shares                      // its outbox is the loop's
	trusted                     // of Options
)

// A life is how far a connection has come. It only ever grows.
type life uint8

const (
	open life = iota
	// What was pushed leaves, and nothing can be pushed any more. Then:
	awaiting    // the peer is given time for its part
	halfClosing // the peer sees the end of the stream, and is given time to have read
	finishing   // the socket is closed
	detaching   // the socket is somebody else's; nothing is read any more
	// What was pushed is lost if it has not left.
	ended    // waits until nobody is at the socket
	released // handed to the reaper, or to whom it was detached for
)

// A netConn is what few connections have: the socket of one that has goroutines, or who gets
// that of one which is detached.
type netConn struct {
	net.Conn
	wake chan struct{} // has room for one: says to a reader in a pause that it is to look again
	then func(net.Conn)
}

// newConn returns a connection on one of the loop's shards, with its bounds.
func (l *Loop) newConn(o Options, p Protocol) *Conn {
	c := &Conn{shard: l.nextShard(), protocol: p, fd: -1}
	c.bound(o)
	return c
}

// bound gives a connection its bounds.
func (c *Conn) bound(o Options) {
	c.flags &^= corks | shares | trusted
	if o.Outbox == 0 {
		o.Outbox = int(c.shard.loop.outbox.Load())
		c.flags |= shares
	}
	c.limit = int32(min(o.Outbox, math.MaxInt32))
	if o.Cork {
		c.flags |= corks
	}
	if o.Trusted {
		c.flags |= trusted
	}
}

// grow gives an outbox that is full the bounds of today, if there is more room for so much by
// these, and reports whether there is: what is written of more than was allowed when the
// connection came must not end it. A bound that is less today is for others. c.mu is held.
func (c *Conn) grow(cost int) bool {
	most := 0
	if c.flags&shares != 0 {
		most = int(c.shard.loop.outbox.Load())
	}
	if p, ok := c.protocol.(Grower); ok {
		most = max(most, p.Outbox())
	}
	if most <= int(c.limit) {
		return false
	}
	c.limit = int32(min(most, math.MaxInt32))
	c.gaugeCongestion()
	return int(c.size)+cost <= int(c.limit)
}

// Protocol returns what the connection speaks.
func (c *Conn) Protocol() Protocol {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.protocol
}

// Become makes a connection speak another protocol from the next byte on. Its reader
// alone may call it, from within Data; [Conn.Start] must be called there too.
func (c *Conn) Become(p Protocol, o Options) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.protocol = p
	c.bound(o)
	c.gaugeCongestion()
}

// OnLoop reports whether the connection costs no goroutine: the loop's reader and
// flusher serve it.
func (c *Conn) OnLoop() bool { return !c.onGoroutines() }

// onGoroutines is asked with each frame, so it does not look at nc, which stands behind
// what else a frame needs.
func (c *Conn) onGoroutines() bool { return c.fd < 0 }

// Start begins to write and to read. Call it once, when everything that the protocol
// needs is attached: Data is called for the first time before it returns.
func (c *Conn) Start() {
	c.mu.Lock()
	inPlace := c.flags&(watched|reading) != 0 // the reader calls, from within Data
	if c.life >= ended {
		c.mu.Unlock()
		return
	}
	if !inPlace {
		c.flags |= reading
	}
	c.mu.Unlock()
	c.flush(make([]byte, 0, 1<<10))
	c.deliver(nil)
	switch {
	case inPlace:
	case c.onGoroutines():
		go c.readLoop() // ends when the connection does
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
	if c.life < ended {
		c.flags |= watched
		if err := c.shard.poll.watch(c); err != nil {
			c.kill(ErrReset)
		}
	}
	c.handOver() // where Data has detached it within Start
	c.release()
}
