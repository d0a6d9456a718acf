package loop

import "poosh/server/latency"

// A carried is a mark behind something in an outbox.
type carried struct {
	mark *latency.Mark
	at   uint32   // of Conn.moved, once all before the mark has been written
	next *carried // behind it
}

// PushMarked is [Conn.Push] of a buffer that carries a mark; see [Conn.Mark].
func (c *Conn) PushMarked(buffer []byte, k *latency.Mark) bool {
	if !c.Push(buffer) {
		return false
	}
	c.Mark(k)
	return true
}

// Mark has the connection carry a mark behind all that was pushed: it is passed when that
// has been written to the socket, or when the connection has ended. It may be called from
// any goroutine with any lock held but one of the loop's.
func (c *Conn) Mark(k *latency.Mark) {
	k.Carry()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.life >= ended || c.size == 0 {
		k.Pass()
		return
	}
	c.latest = 0 // what stands before the mark is replaced by nothing of another size
	c.flags |= marked
	last := &c.marks
	for *last != nil {
		last = &(*last).next
	}
	*last = &carried{mark: k, at: c.moved + uint32(c.size)}
}

// pass passes the marks that everything before has been written of. c.mu is held.
func (c *Conn) pass() {
	for k := c.marks; k != nil && int32(c.moved-k.at) >= 0; k = c.marks {
		c.marks = k.next
		k.mark.Pass()
	}
	if c.marks == nil {
		c.flags &^= marked
	}
}

// passAll passes the marks of a connection that ends. c.mu is held.
func (c *Conn) passAll() {
	if c.flags&marked == 0 {
		return
	}
	for k := c.marks; k != nil; k = k.next {
		k.mark.Pass()
	}
	c.marks = nil
	c.flags &^= marked
}
