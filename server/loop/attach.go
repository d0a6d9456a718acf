package loop

import (
	"fmt"
	"net"
	"net/netip"
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
	return l.attachConn(l.newConn(o, p), nc)
}

// Shards returns how many shards the loop has.
func (l *Loop) Shards() int { return len(l.shards) }

// AttachTo is [Loop.AttachConn] for who looks whether each shard does its work: the
// caller says which one, from 0 to [Loop.Shards].
func (l *Loop) AttachTo(shard int, nc net.Conn, o Options, p Protocol) (*Conn, error) {
	c := l.newConn(o, p)
	c.shard = l.shards[shard]
	return l.attachConn(c, nc)
}

// attachConn gives a connection its socket, and begins to count it.
func (l *Loop) attachConn(c *Conn, nc net.Conn) (*Conn, error) {
	if tcp, ok := nc.(*net.TCPConn); ok && c.shard.poll != nil {
		fd, err := claimFD(tcp)
		if err != nil {
			_ = nc.Close()
			return nil, fmt.Errorf("descriptor: %w", err)
		}
		c.fd = int32(fd)
	} else {
		c.nc = stand(nc)
	}
	l.insert(c)
	return c, nil
}

func (l *Loop) nextShard() *shard { return l.shards[l.turn.Add(1)%uint32(len(l.shards))] }

// insert counts a new connection, and makes its shard responsible for closing it.
func (l *Loop) insert(c *Conn) {
	l.conns.Add(1)
	if c.onGoroutines() {
		l.goroutines.Add(1)
	}
	c.shard.insert(c)
}

// leave forgets a connection that was inserted.
func (l *Loop) leave(c *Conn) {
	l.reaper.mu.Lock()
	if c.onGoroutines() {
		l.goroutines.Add(-1)
	}
	l.conns.Add(-1) // drain looks at it
	l.reaper.mu.Unlock()
	l.reaper.wake.Broadcast()
}
