package loop

import (
	"net"
	"os"
)

// Detach takes a connection out of the loop and calls then, on a goroutine of its own,
// once everything that was pushed has left; that is bounded as ever. Nothing is read
// any more. When the connection ends before, Closed is called in place of then. Of use
// on the loop alone.
func (c *Conn) Detach(then func(net.Conn)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.life != open {
		return
	}
	c.life = detaching
	c.nc = &netConn{then: then}
	c.shard.updateInterest(c)
	c.handOver()
}

// handOver gives up a connection that was detached, when nobody is at its socket and
// nothing waits. c.mu is held.
func (c *Conn) handOver() {
	if c.life != detaching || c.flags&(reading|writing) != 0 || c.size > 0 {
		return
	}
	c.life = released
	c.shard.poll.unwatch(int(c.fd))
	go c.detached() // ends with what then does
}

// detached makes a net.Conn of the connection's descriptor.
func (c *Conn) detached() {
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
		c.nc.then(nc)
		return
	}
	l.count(ErrReset)
	defer c.recoverProtocol()
	c.protocol.Closed(c, ErrReset)
}
