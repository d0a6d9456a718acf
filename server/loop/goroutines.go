package loop

import (
	"net"
	"syscall"
	"time"
)

const (
	// pieceSize is how much is written at a time to a connection with goroutines:
	// each piece has WriteTimeout to leave, as a socket on the loop has to take
	// something.
	pieceSize = 64 << 10
	// slowAfter is when a socket counts as one that takes nothing for now.
	slowAfter = 20 * time.Millisecond
)

// stand returns the socket of a connection that has goroutines.
func stand(nc net.Conn) *netConn { return &netConn{Conn: nc, wake: make(chan struct{}, 1)} }

// look wakes a reader in a pause.
func (s *netConn) look() {
	select {
	case s.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// writeLoop writes the outbox of a connection that has goroutines, buffers first.
func (c *Conn) writeLoop(buffers [][]byte) {
	var scratch []byte
	for {
		if buffers == nil {
			if buffers = c.take(); buffers == nil {
				return
			}
		}
		if scratch == nil && len(buffers) > 1 {
			scratch = make([]byte, 0, 4<<10)
		}
		w := c.writePiece(buffers, scratch)
		c.shard.sentBytes.Add(uint64(w.bytes))
		c.wrote(w)
		c.shard.loop.caughtUp()
		buffers = nil
	}
}

// writePiece writes a part of buffers and may wait for the socket.
func (c *Conn) writePiece(buffers [][]byte, scratch []byte) (w written) {
	chunk, count := gather(buffers, scratch)
	if len(chunk) > pieceSize {
		chunk, count = chunk[:pieceSize], 0
	}
	_ = c.nc.SetWriteDeadline(time.Now().Add(c.shard.loop.cfg.WriteTimeout))
	stop := c.watchWrite()
	n, err := c.nc.Write(chunk)
	stop()
	w = written{bytes: n, cost: n, err: err}
	switch {
	case err != nil:
	case count == 0:
		w.rest = append([][]byte{buffers[0][n:]}, buffers[1:]...)
	default:
		w.cost += count * bufferCost
		w.rest = buffers[count:]
	}
	return w
}

// watchWrite looks every slowAfter, until stop is called, whether the write under way waits
// for the socket. It may be that who writes waits for a processor, as when there is much to
// encrypt: then whoever publishes has to wait for him, and the peer has done nothing wrong.
// stop also ends the time that the write had.
func (c *Conn) watchWrite() (stop func()) {
	var t *time.Timer
	over := false // guarded by c.mu
	c.mu.Lock()
	defer c.mu.Unlock()
	t = time.AfterFunc(slowAfter, func() {
		isFull := full(c.nc.Conn)
		c.mu.Lock()
		defer c.mu.Unlock()
		if over || c.life >= ended {
			return
		}
		c.setBlocked(isFull)
		if isFull && c.flags&trusted == 0 && c.shard.tooMuchBlocked() {
			c.kill(ErrSlow)
			return
		}
		t.Reset(slowAfter)
	})
	return func() {
		t.Stop()
		c.mu.Lock()
		defer c.mu.Unlock()
		over = true
		if c.life < ended {
			// Who reads TLS may have to answer a change of keys later, and the time
			// for this has nothing to do with it.
			_ = c.nc.SetWriteDeadline(time.Time{})
		}
	}
}

// full reports whether a socket takes nothing more; where the system is not asked, that is
// so.
func full(nc net.Conn) bool {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return true
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return true
	}
	yes := true
	_ = raw.Control(func(fd uintptr) { yes = !writable(int(fd)) }) // fails for a closed one
	return yes
}

// readLoop reads for a connection that has goroutines.
func (c *Conn) readLoop() {
	defer c.endReading()
	buf := make([]byte, 4<<10)
	for {
		n, err := c.nc.Read(buf)
		if !c.outlastPause() {
			return
		}
		c.mu.Lock()
		corked := c.cork()
		c.mu.Unlock()
		c.received(buf[:n], nil, corked, err)
		if err != nil {
			return
		}
	}
}

// outlastPause waits until the connection is neither paused nor deaf, and reports false when
// it ended meanwhile. Its reader calls it, with what was read already in hand.
func (c *Conn) outlastPause() bool {
	for {
		c.mu.Lock()
		isPaused, over := c.flags&(paused|deaf) != 0, c.life >= ended
		c.mu.Unlock()
		switch {
		case !isPaused:
			return true
		case over:
			return false
		}
		<-c.nc.wake
	}
}
