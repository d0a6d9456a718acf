package http1

import (
	"net"
	"time"

	"poosh/server/wire"
)

// carry gives the connection to the loop while p is pending, and reports whether
// the loop, or nobody, has it now. Nothing that was read is left.
func (c *conn) carry(p *Pending) bool {
	loop := c.srv.cfg.Loop
	if loop == nil {
		return false
	}
	// Until p.inside is cleared, who answers leaves the writing to this goroutine.
	wc, ok, err := loop.Carry(c.nc, wire.Options{Outbox: c.srv.cfg.MaxAnswer}, c)
	if !ok || err != nil {
		return false // after an error the socket is closed, and reading tells
	}
	c.mu.Lock()
	c.wire = wc
	p.inside = false
	switch {
	case c.dead: // aborted meanwhile
		wc.Abort(wire.ErrClosed)
	case p.given:
		c.push(p.text, p.last)
	}
	c.mu.Unlock()
	c.recycle() // before Data is called
	wc.Start()
	return true
}

// push hands an answer to the loop. c.mu is held.
func (c *conn) push(answer []byte, last bool) {
	c.phase, c.since = idle, time.Now()
	if !c.wire.Push(answer) {
		c.unsent = true // it is ending, and Closed tells
		return
	}
	if last || c.srv.draining.Load() {
		c.dead = true
		c.wire.Finish()
	}
}

// Data implements [wire.Stream]: it serves the request in data, or gives the
// connection back to a goroutine if there is more to it than that.
func (c *conn) Data(wc *wire.Conn, data []byte) {
	c.mu.Lock()
	free, dead := c.phase == idle, c.dead
	if free {
		c.phase = busy
	}
	c.mu.Unlock()
	if dead {
		return
	}
	if free {
		if v, size := c.req.parse(data); v == plain && size == len(data) && c.srv.cfg.Quick(&c.req.Request) {
			c.quick()
			return
		}
	}
	c.buf = append([]byte(nil), data...)
	c.r, c.w = 0, len(data)
	c.mu.Lock()
	c.moved = true
	c.mu.Unlock()
	wc.Detach(c.back)
}

// quick serves a request on the loop's reader.
func (c *conn) quick() {
	c.res.reset()
	c.req.RemoteAddr = c.remote
	if !c.call() {
		c.abort()
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.res.pending; p != nil {
		p.inside = false
		if p.given {
			c.push(p.text, p.last)
		}
		return
	}
	last := c.last()
	c.push(c.res.finish(c.res.head(make([]byte, 0, answerSize)), c.res.body, last), last)
	c.res.body = nil // a few bytes for a POST, and then none for many polls
}

// back gives the connection a goroutine again.
func (c *conn) back(nc net.Conn) {
	c.mu.Lock()
	c.nc, c.wire, c.moved = nc, nil, false
	c.socket = socket{}
	if len(c.buf) < bufferSize {
		c.buf = append(make([]byte, 0, bufferSize), c.buf...)[:bufferSize]
	}
	switch {
	case c.dead:
		_ = nc.Close()
	case c.phase == writing: // answered meanwhile
		c.srv.writer.add(c.res.pending)
	case c.phase == busy:
		c.phase = idle
	}
	c.mu.Unlock()
	c.serve()
}

// Closed implements [wire.Stream].
func (c *conn) Closed(wc *wire.Conn, _ error) {
	c.mu.Lock()
	c.dead = true
	p := c.res.pending
	waiting := p != nil && !p.given
	if waiting {
		p.given = true
	}
	lost := p != nil && !waiting && (p.inside || wc.Cut() || c.unsent || c.moved && c.phase == writing)
	c.mu.Unlock()
	if waiting || lost {
		p.to.Gone(lost)
	}
	c.srv.forget(c)
}
