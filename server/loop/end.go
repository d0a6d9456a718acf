package loop

import "errors"

// An Ending is what happens once everything that was pushed has left.
type Ending life

// The endings. CloseTimeout is that of [Config].
const (
	// AwaitPeer gives the peer CloseTimeout to do its part, of which the protocol
	// tells with CloseSocket.
	AwaitPeer = Ending(awaiting)
	// CloseSocket closes the socket.
	CloseSocket = Ending(finishing)
	// HalfClose has the peer see the end of the stream, and gives it a quarter of
	// CloseTimeout to close its side. What it still sends is read and dropped: closing
	// the socket at once would cost it what it has not read yet.
	HalfClose = Ending(halfClosing)
)

// End ends the connection in order: last is pushed, past every bound, unless it is
// nil, then nothing any more, and how says what follows. The protocol is told reason.
// It returns at once. When the connection is ending already, last and reason are
// dropped, and nothing happens but that CloseSocket ends the waiting for a peer.
func (c *Conn) End(how Ending, last []byte, reason error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.life == open:
		if last != nil {
			c.append(last)
		}
		c.reason = reason
	case c.life < finishing && how == CloseSocket:
	default:
		return
	}
	c.life = life(how)
	if len(c.queue) > 0 || c.flags&writing != 0 {
		return
	}
	if how == CloseSocket {
		c.kill(reason)
	} else {
		c.awaitPeer()
	}
}

// Finish closes the socket once everything that was pushed has left. Nothing can be
// pushed any more. The protocol is told [ErrClosed].
func (c *Conn) Finish() { c.End(CloseSocket, nil, ErrClosed) }

// Ending reports whether nothing can be pushed any more.
func (c *Conn) Ending() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.life != open
}

// Why says why nothing can be pushed any more; nil while something can, and where the
// socket is somebody else's.
func (c *Conn) Why() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.life == open {
		return nil
	}
	return c.reason
}

// Abort closes the socket as soon as nobody is at it; what waits is lost. The
// protocol is told reason.
func (c *Conn) Abort(reason error) {
	c.mu.Lock()
	c.kill(reason)
	c.mu.Unlock()
}

// Truncated reports whether the connection ended before everything that was pushed had
// left. Meant for Closed.
func (c *Conn) Truncated() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.flags&truncated != 0
}

// kill ends the connection. c.mu is held.
func (c *Conn) kill(reason error) {
	if c.life >= ended {
		return
	}
	if c.life == open || c.life == detaching {
		c.reason = reason
	}
	c.counter().Add(-int64(c.size))
	if c.flags&writing == 0 { // or else who writes will say how much has left
		c.lose()
	}
	c.life = ended
	c.queue, c.latest = nil, 0
	c.passAll()
	c.gaugeCongestion()
	c.shard.loop.caughtUp()
	if c.onGoroutines() {
		c.shard.interrupt(c)
	}
	c.release()
}

// lose notes whether something was pushed that never left; size still says how much. c.mu
// is held.
func (c *Conn) lose() {
	if c.size > 0 {
		c.flags |= truncated
	}
}

// release hands a connection that has ended to the reaper when nobody is at its
// socket. c.mu is held.
func (c *Conn) release() {
	if c.life == ended && c.flags&(reading|writing) == 0 {
		c.life = released
		c.shard.loop.reaper.add(c)
	}
}

// finalize is the reaper's part: close the socket, tell the protocol.
func (c *Conn) finalize() {
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
	r := ErrClosed // for an error that has no name
	errors.As(reason, &r)
	l.count(r)
	defer c.recoverProtocol()
	c.protocol.Closed(c, reason)
}

// awaitPeer gives the peer some time for its part of the end. One that is half-closed
// sees the end at once; what it may still send is read and dropped, or it would lose
// what was sent last. c.mu is held.
func (c *Conn) awaitPeer() {
	l := c.shard.loop
	if c.stalled != nil {
		l.Cancel(c.stalled)
	}
	wait := l.cfg.CloseTimeout
	if c.life == halfClosing {
		c.shard.closeWrite(c)
		wait /= 4 // nothing is expected of the peer but to have read
	}
	c.stalled = &Timer{Fire: func() { c.Abort(ErrClosed) }}
	l.Schedule(c.stalled, wait)
}
