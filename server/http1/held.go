package http1

import "net/netip"

// What is held of requests counts as input: while it arrives with its connection, while
// it is served with who serves it.

// keep adds to what has arrived, and reports false when there is no room for it.
// c.mu is held.
func (c *conn) keep(data []byte) bool {
	in := append(c.in, data...)
	if c.srv.cfg.Input != nil && cap(in) > c.counted {
		if !c.take(c.counted, cap(in)-c.counted) {
			return false
		}
		c.counted = cap(in)
	}
	c.in = in
	return true
}

func (c *conn) take(holds, more int) bool { return c.srv.take(c.network, holds, more) }

// take has more bytes counted for one of a network that holds some, if need be in place of
// others'.
func (s *Server) take(network netip.Addr, holds, more int) bool {
	cfg := &s.cfg
	for !cfg.Input.Take(network, holds, more) {
		if cfg.Shed == nil || cfg.Input.Exceeds(network, holds, more) || !cfg.Shed(network, holds+more) {
			return false
		}
	}
	return true
}

// drop forgets what has arrived. c.mu is held.
func (c *conn) drop() {
	if q := c.srv.cfg.Input; q != nil {
		q.Give(c.network, c.counted)
	}
	c.in, c.counted, c.want = nil, 0, 0
}

// adopt leaves what has arrived to who serves it, and returns how much of it counts as
// held. c.mu is held.
func (c *conn) adopt() int {
	held := c.counted
	c.in, c.counted, c.want = nil, 0, 0
	return held
}

// hold has so many bytes of what is served counted, and no more, and reports false when
// there is no room for them.
func (c *conn) hold(w *work, bytes int) bool {
	q := c.srv.cfg.Input
	switch {
	case q == nil:
	case bytes <= w.held:
		q.Give(c.network, w.held-bytes)
	case !c.take(w.held, bytes-w.held):
		return false
	}
	w.held = bytes
	return true
}
