package loop

import (
	"errors"
	"os"
)

// written is what came of writing buffers.
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
	c.moved += uint32(w.cost)
	if c.life >= ended {
		c.size -= int32(w.cost)
		c.lose()
		c.release()
		return
	}
	if c.onGoroutines() {
		c.setBlocked(false)
	}
	c.charge(-w.cost)
	if c.flags&(marked|owes) != 0 {
		c.pass()
		c.settle()
		if c.life >= ended { // the poller failed
			return
		}
	}
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
		c.shard.updateInterest(c)
		if c.flags&trusted == 0 && c.shard.tooMuchBlocked() {
			c.kill(ErrSlow)
		}
	case len(c.queue) > 0:
		if c.flags&queued == 0 && !c.onGoroutines() { // more came meanwhile
			c.flags |= queued
			c.shard.schedule(c)
		}
	case c.life == detaching:
		c.handOver()
	case c.life == finishing:
		c.kill(ErrPeerClosed)
	case c.life != open:
		c.awaitPeer()
	}
}

// flush writes what waits on the goroutine that calls, which is the connection's
// reader. The flusher's part is then to do what a socket did not take.
func (c *Conn) flush(scratch []byte) {
	c.mu.Lock()
	c.flags &^= corked
	c.flags |= started
	buffers := c.takeLocked()
	c.mu.Unlock()
	if buffers == nil {
		return
	}
	if c.onGoroutines() {
		c.writeLoop(buffers)
		return
	}
	w := writeAll(int(c.fd), buffers, scratch)
	c.shard.sentBytes.Add(uint64(w.bytes))
	c.wrote(w)
}

// writable says that the socket takes bytes again.
func (c *Conn) writable() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.life >= ended || c.flags&blocked == 0 {
		return
	}
	c.setBlocked(false)
	if c.flags&queued == 0 {
		c.flags |= queued
		c.shard.schedule(c)
	}
	c.shard.updateInterest(c)
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
		case c.stalled != t || c.life >= ended:
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

// writeAll writes as much as the socket takes, small buffers together.
func writeAll(fd int, buffers [][]byte, scratch []byte) (w written) {
	for len(buffers) > 0 {
		chunk, count := gather(buffers, scratch)
		n, again, err := writeOnce(fd, chunk)
		w.bytes += n
		if err != nil {
			w.err = err
			return w
		}
		if n == len(chunk) {
			w.cost += n + count*bufferCost
			buffers = buffers[count:]
			continue
		}
		w.cost += n
		for n >= len(buffers[0]) { // whole buffers that left
			n -= len(buffers[0])
			w.cost += bufferCost
			buffers = buffers[1:]
		}
		w.rest = append([][]byte{buffers[0][n:]}, buffers[1:]...)
		if again {
			w.full = true
			return w
		}
		buffers, w.rest = w.rest, nil
	}
	return w
}

// gather puts the small buffers at the beginning together, and says how many these
// are.
func gather(buffers [][]byte, scratch []byte) (chunk []byte, count int) {
	chunk, count = buffers[0], 1
	if len(buffers) > 1 && len(chunk)+len(buffers[1]) <= cap(scratch) {
		scratch = append(scratch[:0], chunk...)
		for ; count < len(buffers) && len(scratch)+len(buffers[count]) <= cap(scratch); count++ {
			scratch = append(scratch, buffers[count]...)
		}
		chunk = scratch
	}
	return chunk, count
}
