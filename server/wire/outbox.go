package wire

import (
	"errors"
	"os"
	"sync/atomic"
)

// Push queues one ready frame, which must never change afterwards. It reports
// false when the connection is ending or its outbox is full; a full outbox ends
// the connection with [ErrSlow], and so does a socket that takes nothing while
// Config.Stuck bytes wait for such. It never blocks, and takes no lock but the
// connection's own and its shard's.
func (c *Conn) Push(frame []byte) bool {
	c.mu.Lock()
	if c.flags&(dead|closing) != 0 {
		c.mu.Unlock()
		return false
	}
	if c.size+len(frame) > c.limit || c.flags&blocked != 0 && c.shard.stuck.Load() > c.shard.maxStuck {
		c.kill(ErrSlow)
		c.mu.Unlock()
		return false
	}
	c.queue(frame)
	c.mu.Unlock()
	return true
}

// Text queues payload as a text frame; see [Conn.Push].
func (c *Conn) Text(payload []byte) bool { return c.Push(TextFrame(payload)) }

// queue appends a frame and sees to it that the flusher comes by. c.mu is held.
func (c *Conn) queue(frame []byte) {
	if c.flags&(started|queued|blocked) == started {
		c.flags |= queued
		c.shard.enqueue(c)
	}
	c.frames = append(c.frames, frame)
	c.size += len(frame)
	c.waiting().Add(int64(len(frame)))
	c.gauge()
}

// gauge keeps the shard's count of connections whose sockets take bytes and
// whose outboxes fill up all the same. Of a connection with goroutines nobody
// knows whether its socket takes bytes. c.mu is held.
func (c *Conn) gauge() {
	now := c.nc == nil && c.size > c.limit/2 && c.flags&(blocked|dead) == 0
	if now == (c.flags&strained != 0) {
		return
	}
	c.flags ^= strained
	if now {
		c.shard.strained.Add(1)
		return
	}
	c.shard.strained.Add(-1)
	c.shard.loop.caughtUp()
}

// waiting is the counter that the outbox's bytes belong to. c.mu is held.
func (c *Conn) waiting() *atomic.Int64 {
	if c.flags&blocked != 0 {
		return &c.shard.stuck
	}
	return &c.shard.queued
}

// take empties the outbox into the hands of whoever writes now. It returns nil
// when there is nothing to write or the socket takes nothing.
func (c *Conn) take() [][]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flags &^= queued
	if c.flags&(dead|blocked|writing) != 0 || len(c.frames) == 0 {
		return nil
	}
	c.flags |= writing
	frames := c.frames
	c.frames = nil
	return frames
}

// wrote ends what take began: n bytes have left, rest has not. full says that
// the socket takes no more for now.
func (c *Conn) wrote(n int, rest [][]byte, full bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flags &^= writing
	c.moved += uint32(n)
	if c.flags&dead != 0 {
		c.letGo()
		return
	}
	c.size -= n
	c.waiting().Add(-int64(n))
	defer c.gauge()
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.kill(ErrWriteTimeout)
	case err != nil:
		c.kill(ErrReset)
	case c.flags&leaving != 0:
		c.frames = append(rest, c.frames...)
		c.depart()
	case full:
		c.frames = append(rest, c.frames...)
		c.waiting().Add(-int64(c.size))
		c.flags |= blocked
		c.waiting().Add(int64(c.size))
		c.watchStall()
		c.shard.arm(c)
	case len(c.frames) > 0 && c.flags&queued == 0:
		// The flusher came by while somebody else was writing.
		c.flags |= queued
		c.shard.enqueue(c)
	case len(c.frames) == 0 && c.flags&answering != 0:
		c.kill(ErrGone)
	case len(c.frames) == 0 && c.flags&closing != 0:
		c.awaitClose()
	}
}

// writable says that the socket takes bytes again.
func (c *Conn) writable() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flags&(blocked|dead) != blocked {
		return
	}
	c.waiting().Add(-int64(c.size))
	c.flags &^= blocked
	c.waiting().Add(int64(c.size))
	c.gauge()
	if c.flags&queued == 0 {
		c.flags |= queued
		c.shard.enqueue(c)
	}
	c.shard.arm(c)
}

// watchStall ends the connection if its socket takes nothing for the loop's
// WriteTimeout. c.mu is held.
func (c *Conn) watchStall() {
	if c.stalled != nil {
		return
	}
	l, seen := c.shard.loop, c.moved
	t := new(Timer)
	t.Fire = func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		switch {
		case c.stalled != t || c.flags&dead != 0:
		case c.flags&blocked == 0 && c.moved != seen:
			c.stalled = nil
		case c.moved != seen:
			seen = c.moved
			l.Schedule(t, l.cfg.WriteTimeout)
		default:
			c.kill(ErrWriteTimeout)
		}
	}
	c.stalled = t
	l.Schedule(t, l.cfg.WriteTimeout)
}

// awaitClose gives the peer some time to answer the close frame. c.mu is held.
func (c *Conn) awaitClose() {
	l := c.shard.loop
	if c.stalled != nil {
		l.Cancel(c.stalled)
	}
	c.stalled = &Timer{Fire: func() { c.Abort(ErrClosed) }}
	l.Schedule(c.stalled, l.cfg.CloseTimeout)
}

// Waiting returns how many bytes the connection has still to write: a measure
// for who has more to give than an outbox holds.
func (c *Conn) Waiting() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.size
}
