package loop

import (
	"errors"
	"fmt"
	"io"
	"net"
	"runtime/debug"
	"syscall"
)

// received takes what a read gave. The reader calls it with its claim; corked is what
// claiming said, scratch is memory of the reader's, to write with.
func (c *Conn) received(data, scratch []byte, corked bool, err error) {
	if len(data) > 0 {
		c.shard.receivedBytes.Add(uint64(len(data)))
		c.deliver(data)
	}
	if corked {
		c.flush(scratch)
	}
	switch {
	case err == nil:
	case errors.Is(err, io.EOF):
		c.Abort(ErrPeerClosed)
	default:
		c.Abort(ErrReset)
	}
}

// deliver gives the protocol what was read.
func (c *Conn) deliver(data []byte) {
	defer c.recoverProtocol()
	c.protocol.Data(c, data)
}

// Spawn calls f for the protocol on a goroutine of its own. Who is called on the loop's
// reader should not use a go statement for what a peer waits for: the reader has to know
// that it must let somebody run before it waits.
func (c *Conn) Spawn(f func()) {
	go f() // ends with f
	c.shard.spawned()
}

// Woke says that the protocol has, on the loop's reader, made a goroutine ready to run for which it does not wait: a
// channel was sent to. The reader lets that run before it waits.
func (c *Conn) Woke() { c.shard.spawned() }

// Guard calls f for the protocol on another goroutine than the loop's: a panic in it ends
// the connection, as one in Data does, and not the program.
func (c *Conn) Guard(f func()) {
	defer c.recoverProtocol()
	f()
}

// recoverProtocol keeps a panic of a protocol inside its connection.
func (c *Conn) recoverProtocol() {
	if p := recover(); p != nil {
		c.shard.loop.cfg.Log.Error("panic in a connection's handler",
			"remote", c.protocol.RemoteAddr(), "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		c.Abort(ErrPanic)
	}
}

// beginReading claims the socket for the reader. It fails when there is nothing to
// be read for now. corked says that the reader has to write what is pushed meanwhile.
func (c *Conn) beginReading() (corked, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.life >= detaching || c.flags&(watched|paused|deaf) != watched {
		return false, false
	}
	c.flags |= reading
	return c.cork(), true
}

// cork leaves what is pushed to the reader, who will write it with flush, if the
// protocol wants that. c.mu is held.
func (c *Conn) cork() bool {
	if c.flags&corks == 0 {
		return false
	}
	c.flags |= corked
	return true
}

func (c *Conn) endReading() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flags &^= reading
	c.release()
	c.handOver()
}

// Unread reports whether the peer has sent something that was not looked at yet. Of a
// connection with goroutines nothing is known: their reader is always at its socket.
func (c *Conn) Unread() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.onGoroutines() && c.life < detaching && unreadBytes(int(c.fd)) > 0
}

// Unheard reports whether the peer may have said what nobody has heard: nothing is read from
// it for now, because of [Conn.Pause] or of what is owed to it, or something was not looked
// at yet. Who measures how long a peer has been silent must not count such a time.
func (c *Conn) Unheard() bool {
	c.mu.Lock()
	unread := c.life < detaching && c.flags&(paused|deaf) != 0
	c.mu.Unlock()
	return unread || c.Unread()
}

// Unread reports whether a socket that is not a [Conn]'s holds something that nobody has
// read yet. Where the system is not asked, there is nothing. It may be called from any
// goroutine, while another one reads.
func Unread(nc net.Conn) (yes bool) {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	_ = raw.Control(func(fd uintptr) { yes = unreadBytes(int(fd)) > 0 }) // fails for a closed one
	return yes
}

// WriteNow writes what a socket that is not a [Conn]'s takes at this moment, and does not
// wait for it to take more: then it fails with [io.ErrShortWrite]. It may be called from
// any goroutine while nobody writes.
func WriteNow(nc syscall.Conn, b []byte) (n int, err error) {
	raw, err := nc.SyscallConn()
	if err != nil {
		return 0, err
	}
	failed := raw.Write(func(fd uintptr) bool {
		var full bool
		if n, full, err = writeOnce(int(fd), b); full {
			err = io.ErrShortWrite
		}
		return true
	})
	return n, errors.Join(failed, err)
}

// Pause stops reading until Resume: what the peer sends waits in the kernel, and
// then at the peer. Of a peer that closes its side meanwhile the protocol is told
// [ErrPeerClosed] without hearing the rest; a connection with goroutines is told of it
// when it resumes.
func (c *Conn) Pause() { c.setPaused(true) }

// Resume ends what Pause began.
func (c *Conn) Resume() { c.setPaused(false) }

func (c *Conn) setPaused(yes bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.life >= ended || yes == (c.flags&paused != 0) {
		return
	}
	c.flags ^= paused
	c.attend()
}

// attend has the reader see whether it is to read. c.mu is held.
func (c *Conn) attend() {
	if c.onGoroutines() {
		c.nc.look()
		return
	}
	c.shard.updateInterest(c)
}
