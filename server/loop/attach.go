package loop

import (
	"fmt"
	"net"
	"net/netip"
	"os"
)

// A Socket is a connection that an [Acceptor] took off its listener. It is attached to
// a loop, or closed.
type Socket struct {
	fd     int
	Remote netip.AddrPort // of the peer
}

// Close closes a socket that is attached to no loop.
func (s Socket) Close() { closeFD(s.fd) }

// Attach takes a socket into the loop, for [Conn.Start] to begin with.
func (l *Loop) Attach(s Socket, o Options, p Protocol) *Conn {
	c := l.newConn(o, p)
	c.fd = int32(s.fd)
	l.insert(c)
	return c
}

// AttachConn takes a connection that has begun elsewhere into the loop, for
// [Conn.Start] to begin with. Where the loop cannot take its descriptor, the
// connection has goroutines. When it fails, nc is closed.
func (l *Loop) AttachConn(nc net.Conn, o Options, p Protocol) (*Conn, error) {
	c := l.newConn(o, p)
	if tcp, ok := nc.(*net.TCPConn); ok && c.shard.poll != nil {
		fd, err := claimFD(tcp)
		if err != nil {
			_ = nc.Close()
			return nil, fmt.Errorf("descriptor: %w", err)
		}
		c.fd = int32(fd)
	} else {
		c.nc = nc
	}
	l.insert(c)
	return c, nil
}

func (l *Loop) nextShard() *shard { return l.shards[l.turn.Add(1)%uint32(len(l.shards))] }

// insert counts a new connection, and makes its shard responsible for closing it.
func (l *Loop) insert(c *Conn) {
	l.conns.Add(1)
	if c.nc != nil {
		l.goroutines.Add(1)
	}
	c.shard.insert(c)
}

// leave forgets a connection that was inserted.
func (l *Loop) leave(c *Conn) {
	l.reaper.mu.Lock()
	if c.nc != nil {
		l.goroutines.Add(-1)
	}
	l.conns.Add(-1) // drain looks at it
	l.reaper.mu.Unlock()
	l.reaper.wake.Broadcast()
}

// Detach takes a connection out of the loop and calls then, on a goroutine of its own,
// once everything that was pushed has left; that is bounded as ever. Nothing is read
// any more. When the connection ends before, Closed is called in place of then. Of use
// on the loop alone.
func (c *Conn) Detach(then func(net.Conn)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flags&(dead|closing) != 0 {
		return
	}
	c.flags |= leaving
	c.then = then
	c.shard.arm(c)
	c.depart()
}

// depart lets a connection go that was detached, when nobody is at its socket and
// nothing waits. c.mu is held.
func (c *Conn) depart() {
	if c.flags&(leaving|dead) != leaving || c.flags&(reading|writing) != 0 || c.size > 0 {
		return
	}
	c.flags |= dead | buried
	c.shard.poll.unwatch(int(c.fd))
	go c.handOver() // ends with what then does
}

// handOver makes a net.Conn of the connection's descriptor.
func (c *Conn) handOver() {
	l := c.shard.loop
	c.mu.Lock()
	if c.stalled != nil {
		l.Cancel(c.stalled)
	}
	c.mu.Unlock()
	c.shard.poll.forget(int(c.fd))
	file := os.NewFile(uintptr(c.fd), "")
	nc, err := net.FileConn(file)
	_ = file.Close()
	l.leave(c)
	if err == nil {
		c.then(nc)
		return
	}
	l.count(ErrReset)
	defer c.recoverProtocol()
	c.protocol.Closed(c, ErrReset)
}
