package wire

import (
	"math"
	"net"
	"net/netip"
	"os"

	"poosh/server/peers"
)

// A Stream is told what happens on a connection that carries something else than
// WebSocket messages, HTTP for example. What it pushes while it is called leaves in
// one write when it returns.
type Stream interface {
	// Data hands over bytes as they arrive. It runs on the goroutine that reads for
	// many connections, so it must not block; data is valid only during the call.
	Data(c *Conn, data []byte)
	// Closed is as for a [Handler]. It is not called for a connection that was
	// detached, or became a WebSocket.
	Closed(c *Conn, reason error)
}

// carried makes a Handler of a Stream.
type carried struct{ Stream }

func (carried) Message(*Conn, bool, []byte) {}

// A Socket is a connection that an [Acceptor] took off its listener. It is carried by
// a loop, or closed.
type Socket struct {
	fd     int
	Remote netip.AddrPort // of the peer
}

// Close closes a socket that nobody carries.
func (s Socket) Close() { closeFD(s.fd) }

// Carry takes a socket into the loop, for [Conn.Start] to begin with.
func (l *Loop) Carry(s Socket, o Options, h Stream) *Conn {
	c := &Conn{shard: l.nextShard(), handler: carried{h}, peer: peers.Network(s.Remote.Addr()), remote: s.Remote.String(), fd: int32(s.fd)}
	l.admit(c, o)
	l.streams.Add(1)
	c.shard.poll.insert(c)
	return c
}

// admit counts a new connection and gives it its bounds.
func (l *Loop) admit(c *Conn, o Options) {
	c.bound(l, o)
	l.conns.Add(1)
	if c.nc != nil {
		l.goroutines.Add(1)
	}
}

func (c *Conn) bound(l *Loop, o Options) {
	if o.MaxMessage == 0 {
		o.MaxMessage = l.cfg.MaxMessage
	}
	if o.Outbox == 0 {
		o.Outbox = l.cfg.Outbox
	}
	c.maxMessage, c.limit = int32(min(o.MaxMessage, math.MaxInt32)), int32(min(o.Outbox, math.MaxInt32))
}

// leave forgets a connection that was admitted.
func (l *Loop) leave(c *Conn, stream bool) {
	l.reaper.mu.Lock()
	if stream {
		l.streams.Add(-1)
	}
	if c.nc != nil {
		l.goroutines.Add(-1)
	}
	l.conns.Add(-1) // drain looks at it
	l.reaper.mu.Unlock()
	l.reaper.wake.Broadcast()
}

// become makes a WebSocket of a connection that carried a stream. The reader calls
// it, from within Data; [Conn.Start] must be called there too.
func (c *Conn) become(o Options, h Handler, remote string, peer netip.Addr) {
	l := c.shard.loop
	c.mu.Lock()
	defer c.mu.Unlock()
	c.handler, c.remote, c.peer = h, remote, peer
	c.bound(l, o)
	c.gauge()
	l.streams.Add(-1)
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
// of its own, once everything that was pushed has left; that is bounded as ever.
// Nothing is read any more. When the connection ends before, Closed is called in
// place of then.
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
	l.leave(c, true)
	if err == nil {
		c.then(nc)
		return
	}
	l.count(ErrReset)
	defer c.recoverHandler()
	c.handler.Closed(c, ErrReset)
}
