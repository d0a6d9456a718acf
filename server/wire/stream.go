package wire

import (
	"net"
	"os"
	"time"
)

// A Stream is told what happens on a connection that carries something else than
// WebSocket messages.
type Stream interface {
	// Data hands over bytes as they arrive. It runs on the goroutine that reads for
	// many connections, so it must not block; data is valid only during the call.
	Data(c *Conn, data []byte)
	// Closed is as for a [Handler]. It is not called for a connection that was
	// detached.
	Closed(c *Conn, reason error)
}

// carried makes a Handler of a Stream.
type carried struct{ Stream }

func (carried) Message(*Conn, bool, []byte) {}

// Carry takes a connection into the loop, for [Conn.Start] to begin with. It
// reports false, and has done nothing, when the loop cannot wait for it without a
// goroutine. After an error the connection is closed.
func (l *Loop) Carry(nc net.Conn, o Options, h Stream) (c *Conn, ok bool, err error) {
	s := l.nextShard()
	tcp, isTCP := nc.(*net.TCPConn)
	if !isTCP || s.poll == nil {
		return nil, false, nil
	}
	c = &Conn{shard: s, handler: carried{h}, peer: addrOf(nc), limit: o.Outbox}
	if addr := nc.RemoteAddr(); addr != nil {
		c.remote = addr.String()
	}
	if c.limit == 0 {
		c.limit = l.cfg.Outbox
	}
	if c.fd, err = claimFD(tcp); err != nil {
		_ = nc.Close()
		return nil, false, err
	}
	s.poll.insert(c)
	l.conns.Add(1)
	l.streams.Add(1)
	return c, true, nil
}

// Finish closes the socket once everything that was pushed has left. Nothing can be
// pushed any more.
func (c *Conn) Finish() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flags&(dead|closing) != 0 {
		return
	}
	c.flags |= closing | answering
	c.reason = ErrClosed
	if len(c.frames) == 0 && c.flags&writing == 0 {
		c.kill(ErrClosed)
	}
}

// Cut reports whether the connection ended before everything that was pushed had
// left. Meant for Closed.
func (c *Conn) Cut() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.flags&cut != 0
}

// Detach takes a carried connection out of the loop and calls then, on a goroutine
// of its own, once everything that was pushed has left. Nothing is read any more.
// When the connection ends before, Closed is called in place of then. Call it from
// Data.
func (c *Conn) Detach(then func(net.Conn)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flags&(dead|closing) != 0 {
		return
	}
	c.shard.poll.unwatch(c.fd)
	c.flags &^= watched
	c.flags |= leaving
	c.then = then
}

// depart lets a connection go that was detached, when nobody is at its socket.
// c.mu is held.
func (c *Conn) depart() {
	if c.flags&(leaving|dead) != leaving || c.flags&(reading|writing) != 0 {
		return
	}
	if len(c.frames) > 0 && c.shard.stuck.Load() > c.shard.maxStuck {
		c.kill(ErrSlow)
		return
	}
	frames, size := c.frames, int64(c.size)
	c.waiting().Add(-size)
	c.shard.stuck.Add(size) // until it is written
	c.flags |= dead | buried
	c.frames, c.size = nil, 0
	c.gauge()
	go c.surrender(frames, size) // ends with their writing, but for what then does
}

// surrender makes a net.Conn of the connection's descriptor, and writes what is
// left: the loop does not wait for the socket any more.
func (c *Conn) surrender(frames net.Buffers, size int64) {
	l := c.shard.loop
	c.mu.Lock()
	if c.stalled != nil {
		l.Cancel(c.stalled)
	}
	c.mu.Unlock()
	c.shard.poll.forget(c.fd)
	file := os.NewFile(uintptr(c.fd), "")
	nc, err := net.FileConn(file)
	_ = file.Close()
	if err == nil && len(frames) > 0 {
		_ = nc.SetWriteDeadline(time.Now().Add(l.cfg.WriteTimeout))
		if _, err = frames.WriteTo(nc); err != nil {
			_ = nc.Close()
		}
		_ = nc.SetWriteDeadline(time.Time{})
	}
	c.shard.stuck.Add(-size)
	l.reaper.mu.Lock()
	l.streams.Add(-1)
	l.conns.Add(-1) // drain looks at it
	l.reaper.mu.Unlock()
	l.reaper.wake.Broadcast()
	if err == nil {
		c.then(nc)
		return
	}
	c.mu.Lock()
	c.flags |= cut
	c.mu.Unlock()
	if l.cfg.Released != nil {
		l.cfg.Released(c.peer)
	}
	l.count(ErrReset)
	defer c.recoverHandler()
	c.handler.Closed(c, ErrReset)
}
