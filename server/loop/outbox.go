package loop

import (
	"errors"
	"os"
	"sync/atomic"
)

// frameCost is what a frame in an outbox takes beside its bytes: where it stands,
// what its allocation wastes. A bound that counted bytes alone would let frames of
// two bytes take forty times as much.
const frameCost = 64

// Cost is what a frame counts for in every bound on what waits, in bytes.
func Cost(frame []byte) int { return len(frame) + frameCost }

// Push queues one ready frame, which must never change afterwards. It reports
// false when the connection is ending or its outbox is full; a full outbox ends
// the connection with [ErrSlow], and so does a socket that takes nothing while
// more than Config.Stuck waits for such. It never blocks, and takes no lock but the
// connection's own and its shard's.
func (c *Conn) Push(frame []byte) bool {
	c.mu.Lock()
	if c.flags&(dead|closing) != 0 {
		c.mu.Unlock()
		return false
	}
	if int(c.size)+Cost(frame) > int(c.limit) || c.flags&blocked != 0 && c.shard.tooMuchStuck() {
		c.kill(ErrSlow)
		c.mu.Unlock()
		return false
	}
	c.put(frame)
	c.mu.Unlock()
	return true
}

// PushNow is [Conn.Push] for an answer that somebody waits for: the caller's goroutine
// writes it, if the socket takes it and nobody else is writing, and does not wait for
// the flusher, who may be on its way round thousands. No lock may be held.
func (c *Conn) PushNow(frame []byte) bool {
	c.mu.Lock()
	c.flags |= corked
	c.mu.Unlock()
	ok := c.Push(frame)
	c.flush(nil)
	return ok
}

// put appends a frame and sees to it that somebody writes it. c.mu is held.
func (c *Conn) put(frame []byte) {
	c.rouse()
	c.queue = append(c.queue, frame)
	c.charge(Cost(frame))
}

// rouse sees to it that the flusher comes by, unless somebody else will write.
// c.mu is held.
func (c *Conn) rouse() {
	idle := queued | blocked | corked
	if c.nc != nil {
		idle |= writing // the goroutine that writes looks again
	}
	if c.flags&(started|idle) == started {
		c.flags |= queued
		c.shard.enqueue(c)
	}
}

// charge counts what the outbox has taken, or given. c.mu is held.
func (c *Conn) charge(cost int) {
	c.size += int32(cost)
	c.waiting().Add(int64(cost))
	c.gauge()
}

// gauge keeps the shard's count of connections whose sockets take bytes and
// whose outboxes fill up all the same. c.mu is held.
func (c *Conn) gauge() {
	now := c.size > c.limit/2 && c.flags&(blocked|dead) == 0
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

// setBlocked moves what waits to the counter where it belongs from now on. c.mu is
// held.
func (c *Conn) setBlocked(yes bool) {
	if yes == (c.flags&blocked != 0) {
		return
	}
	c.waiting().Add(-int64(c.size))
	c.flags ^= blocked
	c.waiting().Add(int64(c.size))
	c.gauge()
	c.shard.loop.caughtUp() // what waits for a socket alone holds up nobody
}

// PushLatest pushes an answer of which only the newest counts. It takes the place of
// one before it that waits as the last in the outbox, so that a peer that asks and does
// not read costs no more than one; therefore it is taken past every bound. Push may
// come in between.
func (c *Conn) PushLatest(frame []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flags&(dead|closing) != 0 {
		return
	}
	if c.latest > 0 && int(c.latest) == len(c.queue) {
		c.charge(len(frame) - len(c.queue[c.latest-1]))
		c.queue[c.latest-1] = frame
		return
	}
	c.put(frame)
	c.latest = int32(len(c.queue))
}

// take empties the outbox into the hands of whoever writes now. It returns nil
// when there is nothing to write or the socket takes nothing.
func (c *Conn) take() [][]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flags &^= queued
	return c.takeLocked()
}

// takeLocked is take. c.mu is held.
func (c *Conn) takeLocked() [][]byte {
	if c.flags&(dead|blocked|writing) != 0 || len(c.queue) == 0 {
		return nil
	}
	frames := c.queue
	c.flags |= writing
	c.queue, c.latest = nil, 0
	return frames
}

// written is what came of writing frames.
type written struct {
	bytes int      // that have left
	rest  [][]byte // what has not
	cost  int      // of what has left
	full  bool     // the socket takes no more for now
	err   error
}

// wrote ends what take began.
func (c *Conn) wrote(w written) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flags &^= writing
	c.moved += uint32(w.bytes)
	if c.flags&dead != 0 {
		c.size -= int32(w.cost)
		c.lost()
		c.letGo()
		return
	}
	if c.nc != nil {
		c.setBlocked(false)
	}
	c.charge(-w.cost)
	if len(w.rest) > 0 {
		c.queue = append(w.rest, c.queue...)
		if c.latest > 0 {
			c.latest += int32(len(w.rest))
		}
	}
	switch {
	case errors.Is(w.err, os.ErrDeadlineExceeded):
		c.kill(ErrWriteTimeout)
	case w.err != nil:
		c.kill(ErrReset)
	case w.full:
		c.setBlocked(true)
		c.watchStall()
		c.shard.arm(c)
		if c.shard.tooMuchStuck() {
			c.kill(ErrSlow)
		}
	case len(c.queue) > 0:
		if c.flags&queued == 0 && c.nc == nil { // more came meanwhile
			c.flags |= queued
			c.shard.enqueue(c)
		}
	case c.flags&leaving != 0:
		c.depart()
	case c.flags&answering != 0:
		c.kill(ErrGone)
	case c.flags&closing != 0:
		c.awaitClose()
	}
}

// flush writes what waits on the goroutine that calls, which is the connection's
// reader. The flusher's part is then to do what a socket did not take.
func (c *Conn) flush(scratch []byte) {
	c.mu.Lock()
	c.flags &^= corked
	c.flags |= started
	frames := c.takeLocked()
	c.mu.Unlock()
	if frames == nil {
		return
	}
	if c.nc != nil {
		c.drain(frames)
		return
	}
	c.wrote(writeFrames(int(c.fd), frames, scratch))
}

// writable says that the socket takes bytes again.
func (c *Conn) writable() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flags&(blocked|dead) != blocked {
		return
	}
	c.setBlocked(false)
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

// Waiting returns what the connection has still to write costs, in bytes: a measure
// for who has more to give than an outbox holds.
func (c *Conn) Waiting() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return int(c.size)
}
