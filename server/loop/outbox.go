package loop

import "sync/atomic"

// bufferCost is what a buffer in an outbox takes beside its bytes: where it stands,
// what its allocation wastes. A bound that counted bytes alone would let buffers of
// two bytes take forty times as much.
const bufferCost = 64

// Cost is what a buffer counts for in every bound on what waits, in bytes.
func Cost(buffer []byte) int { return len(buffer) + bufferCost }

// Push queues one ready buffer, which must never change afterwards. It reports
// false when the connection is ending or its outbox is full; a full outbox ends
// the connection with [ErrSlow], and so does a socket that takes nothing while
// more than Config.MaxBlocked waits for such. It never blocks, and takes no lock but the
// connection's own and its shard's.
func (c *Conn) Push(buffer []byte) bool {
	c.mu.Lock()
	if c.life != open {
		c.mu.Unlock()
		return false
	}
	if int(c.size)+Cost(buffer) > int(c.limit) && !c.grow(Cost(buffer)) || c.flags&(blocked|trusted) == blocked && c.shard.tooMuchBlocked() {
		c.kill(ErrSlow)
		c.mu.Unlock()
		return false
	}
	c.append(buffer)
	c.mu.Unlock()
	return true
}

// Answer is [Conn.Push] of something that the peer has asked for; see [Conn.Owe].
func (c *Conn) Answer(buffer []byte) bool {
	if !c.Push(buffer) {
		return false
	}
	c.Owe(Cost(buffer))
	return true
}

// maxOwed is how much may wait of what a peer has asked for before nothing more is read
// from it, if that is not more than a quarter of its outbox.
const maxOwed = 64 << 10

// Owe says that of what was pushed last so many bytes of [Cost] are an answer to the peer.
// Where more than 64 KiB of that, or a quarter of the outbox, was asked for since all answers
// had been written, what the peer says is not heard until they all have: who asks on and on
// and does not read waits for itself, and is not closed before its socket has taken nothing
// for WriteTimeout. What nobody asked for does not count: who is too slow for that is closed.
// What the protocol has been given already is for it to hold back; see [Conn.Deaf].
func (c *Conn) Owe(cost int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.life != open || c.size == 0 {
		return
	}
	c.flags |= owes
	c.owed += int32(cost)
	c.owedTo = c.moved + uint32(c.size)
	c.latest = 0 // what stands before is replaced by nothing of another size
	if c.owed > min(maxOwed, c.limit/4) && c.flags&deaf == 0 {
		c.flags |= deaf
		c.shard.updateInterest(c)
	}
}

// Deaf reports whether so much is owed to the peer that it is not heard for now. A protocol
// that has more of it in hand, and is a [Settler], may wait with that.
func (c *Conn) Deaf() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.flags&deaf != 0
}

// A Settler is a [Protocol] that waits while its connection is deaf: Settled is called each
// time that this is over, on a goroutine of its own, and not when the connection ends.
type Settler interface{ Settled(c *Conn) }

// settle forgets what was owed once it has been written, and listens to the peer again. c.mu
// is held.
func (c *Conn) settle() {
	if c.flags&owes == 0 || int32(c.moved-c.owedTo) < 0 {
		return
	}
	c.owed = 0
	c.flags &^= owes
	if c.flags&deaf == 0 {
		return
	}
	c.flags &^= deaf
	c.attend()
	if p, ok := c.protocol.(Settler); ok && c.life < ended {
		c.Spawn(func() { c.Guard(func() { p.Settled(c) }) })
	}
}

// PushNow is [Conn.Push] for an answer that somebody waits for: the caller's goroutine
// writes it, if the socket takes it and nobody else is writing, and does not wait for
// the flusher, who may be on its way round thousands. No lock may be held.
func (c *Conn) PushNow(buffer []byte) bool {
	c.mu.Lock()
	c.flags |= corked
	c.mu.Unlock()
	ok := c.Push(buffer)
	c.flush(nil)
	return ok
}

// Cork leaves what is pushed from now on to [Conn.Uncork], which has to follow at once. Together
// they are [Conn.PushNow] for who pushes with locks held, and writes without them. A connection
// with goroutines writes as ever: its socket might be waited for.
func (c *Conn) Cork() {
	if c.onGoroutines() {
		return
	}
	c.mu.Lock()
	c.flags |= corked
	c.mu.Unlock()
}

// Uncork ends what Cork began: the caller's goroutine writes what the socket takes, and does not wait
// for it. No lock may be held.
func (c *Conn) Uncork() {
	if !c.onGoroutines() {
		c.flush(nil)
	}
}

// append queues a buffer and sees to it that somebody writes it. c.mu is held.
func (c *Conn) append(buffer []byte) {
	c.callWriter()
	c.queue = append(c.queue, buffer)
	c.charge(Cost(buffer))
}

// callWriter sees to it that somebody comes by who writes, unless somebody does anyway.
// c.mu is held.
func (c *Conn) callWriter() {
	idle := queued | blocked | corked
	if c.onGoroutines() {
		idle |= writing // the goroutine that writes looks again
	}
	if c.flags&(started|idle) == started {
		c.flags |= queued
		c.shard.schedule(c)
	}
}

// charge counts what the outbox has taken, or given. c.mu is held.
func (c *Conn) charge(cost int) {
	c.size += int32(cost)
	c.counter().Add(int64(cost))
	c.gaugeCongestion()
}

// gaugeCongestion keeps the shard's count of connections whose sockets take bytes and
// whose outboxes fill up all the same. c.mu is held.
func (c *Conn) gaugeCongestion() {
	now := c.isCongested()
	if now == (c.flags&congested != 0) {
		return
	}
	c.flags ^= congested
	if now {
		c.shard.congested.Add(1)
		return
	}
	c.shard.congested.Add(-1)
	c.shard.loop.caughtUp()
}

// isCongested reports whether the outbox fills up although the socket takes bytes.
// c.mu is held.
func (c *Conn) isCongested() bool {
	return c.size > c.limit/2 && c.flags&blocked == 0 && c.life < ended
}

// counter is the counter that the outbox's bytes belong to. c.mu is held.
func (c *Conn) counter() *atomic.Int64 {
	if c.flags&blocked != 0 {
		return &c.shard.blockedBytes
	}
	return &c.shard.queuedBytes
}

// setBlocked moves what waits to the counter where it belongs from now on. c.mu is
// held.
func (c *Conn) setBlocked(yes bool) {
	if yes == (c.flags&blocked != 0) {
		return
	}
	c.counter().Add(-int64(c.size))
	c.flags ^= blocked
	c.counter().Add(int64(c.size))
	c.gaugeCongestion()
	c.shard.loop.caughtUp() // what waits for a socket alone holds up nobody
}

// PushLatest pushes an answer of which only the newest counts. It takes the place of
// one before it that waits as the last in the outbox, so that a peer that asks and does
// not read costs no more than one; therefore it is taken past every bound. Push may
// come in between.
func (c *Conn) PushLatest(buffer []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.life != open {
		return
	}
	if c.latest > 0 && int(c.latest) == len(c.queue) {
		c.charge(len(buffer) - len(c.queue[c.latest-1]))
		c.queue[c.latest-1] = buffer
		return
	}
	c.append(buffer)
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
	if c.life >= ended || c.flags&(blocked|writing) != 0 || len(c.queue) == 0 {
		return nil
	}
	buffers := c.queue
	c.flags |= writing
	c.queue, c.latest = nil, 0
	return buffers
}

// Fits reports whether so many bytes in so many buffers can be pushed in one go, so that a
// fourth of the outbox is left for what comes meanwhile.
func (c *Conn) Fits(buffers, bytes int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return int64(c.size)+int64(bytes)+int64(buffers)*bufferCost <= int64(c.limit)/4*3
}

// Waiting returns what the connection has still to write costs, in bytes: a measure
// for who has more to give than an outbox holds. Of one that has ended it is what never
// left.
func (c *Conn) Waiting() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return int(c.size)
}
