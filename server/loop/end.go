package loop

import "errors"

// An Ending is what happens once everything that was pushed has left.
type Ending flags

// The endings. CloseTimeout is that of [Config].
const (
	// AwaitPeer gives the peer CloseTimeout to do its part, of which the protocol
	// tells with CloseSocket.
	AwaitPeer Ending = 0
	// CloseSocket closes the socket.
	CloseSocket = Ending(answering)
	// HalfClose has the peer see the end of the stream, and gives it a quarter of
	// CloseTimeout to close its side. What it still sends is read and dropped: closing
	// the socket at once would cost it what it has not read yet.
	HalfClose = Ending(breached)
)

// End ends the connection in order: last is pushed, past every bound, unless it is
// nil, then nothing any more, and how says what follows. The protocol is told reason.
// It returns at once. When the connection is ending already, last and reason are
// dropped, and nothing happens but that CloseSocket ends the waiting for a peer.
func (c *Conn) End(how Ending, last []byte, reason error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.flags&dead != 0:
		return
	case c.flags&closing == 0:
		if last != nil {
			c.put(last)
		}
		c.flags |= closing | flags(how)
		c.reason = reason
	case how == CloseSocket:
		c.flags |= answering
	default:
		return
	}
	if len(c.queue) > 0 || c.flags&writing != 0 {
		return
	}
	if how == CloseSocket {
		c.kill(reason)
	} else {
		c.awaitClose()
	}
}

// Finish closes the socket once everything that was pushed has left. Nothing can be
// pushed any more. The protocol is told [ErrClosed].
func (c *Conn) Finish() { c.End(CloseSocket, nil, ErrClosed) }

// Ending reports whether nothing can be pushed any more.
func (c *Conn) Ending() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.flags&(dead|closing) != 0
}

// Abort closes the socket as soon as nobody is at it; what waits is lost. The
// protocol is told reason.
func (c *Conn) Abort(reason error) {
	c.mu.Lock()
	c.kill(reason)
	c.mu.Unlock()
}

// Cut reports whether the connection ended before everything that was pushed had
// left. Meant for Closed.
func (c *Conn) Cut() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.flags&cut != 0
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
	c.queue, c.latest = nil, 0
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

// bury is the reaper's part: close the socket, tell the protocol.
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
	l.leave(c)
	if r := Reason(""); errors.As(reason, &r) {
		l.count(r)
	} else {
		l.count(ErrClosed)
	}
	defer c.recoverProtocol()
	c.protocol.Closed(c, reason)
}

// awaitClose gives the peer some time for its part of the end. One that is half-closed
// sees the end at once; what it may still send is read and dropped, or it would lose
// what was sent last. c.mu is held.
func (c *Conn) awaitClose() {
	l := c.shard.loop
	if c.stalled != nil {
		l.Cancel(c.stalled)
	}
	wait := l.cfg.CloseTimeout
	if c.flags&breached != 0 {
		c.shard.closeWrite(c)
		wait /= 4 // nothing is expected of the peer but to have read
	}
	c.stalled = &Timer{Fire: func() { c.Abort(ErrClosed) }}
	l.Schedule(c.stalled, wait)
}
