package http1

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"sync"
	"time"

	"poosh/server/loop"
)

// A conn is one connection on the loop. One goroutine at a time serves its
// requests: the loop's reader, or one of its own while the state is serving.
type conn struct {
	srv     *Server
	raw     *loop.Conn // set before it starts
	remote  string     // the peer and its port; set once
	peer    netip.Addr // set once
	network netip.Addr // of peer; set once
	room    Room       // set once

	mu      sync.Mutex // guards what follows; taken before the loop.Conn's own
	state   state
	since   time.Time // of state
	in      []byte    // what has arrived and is not served
	counted int       // of in, by Config.Input
	want    int       // bytes that in must have before it is worth parsing again
	pending *Pending  // the last answer that was, or will be, given later
	proof   Proof     // what answers have shown so far
	stopped bool      // nothing is read: too much waits
}

// A state is what a connection is at.
type state uint8

const (
	fresh   state = iota // nothing has arrived
	idle                 // waits for the next request
	partial              // a request has begun to arrive
	serving              // somebody serves requests
	pending              // an answer will be given later
	unread               // its answers are not read, so no request is served
	gone                 // it ends, or somebody else has it
)

// maxBehind is how much may arrive behind a request that is being served, before
// the peer is not read any more.
const maxBehind = 64 << 10

// Data implements [loop.Protocol].
func (c *conn) Data(wc *loop.Conn, data []byte) {
	if len(data) == 0 {
		return
	}
	c.mu.Lock()
	switch {
	case c.state == gone:
		c.mu.Unlock()
		return
	case c.state >= serving, len(c.in)+len(data) < c.want, c.chokes(maxUnread):
		if !c.keep(data) {
			c.mu.Unlock()
			c.end(loop.ErrTooMuch)
			return
		}
		if c.state >= serving && len(c.in) > maxBehind {
			c.stopped = true
			wc.Pause()
		}
		c.mu.Unlock()
		return
	}
	w := work{data: data, begun: time.Now()}
	if len(c.in) > 0 {
		w = work{append(c.in, data...), c.since, 0} // the same head
		w.held = c.adopt()
	}
	if c.pending != nil && c.pending.given {
		c.pending = nil // it arrived, or the peer would not go on
	}
	c.enter(serving)
	c.mu.Unlock()
	c.serve(w, true)
}

// A work is what somebody serves.
type work struct {
	data  []byte    // requests, the last one maybe not whole
	begun time.Time // when the first of them began to arrive
	held  int       // of data, counted by Config.Input
}

// enter changes the state. c.mu is held.
func (c *conn) enter(s state) { c.state, c.since = s, time.Now() }

// serve serves the requests that data begins with, while the state is serving. onReader
// says that the loop's reader calls, which must not wait.
func (c *conn) serve(w work, onReader bool) {
	if !c.requests(&w, onReader) {
		c.hold(&w, 0)
		return
	}
	// The next one is for a goroutine of its own, which ends when nothing is left to
	// serve. What it holds meanwhile counts as input.
	if !c.hold(&w, len(w.data)) {
		c.hold(&w, 0)
		c.end(loop.ErrTooMuch)
		return
	}
	w.data = bytes.Clone(w.data)
	c.raw.Spawn(func() { c.serve(w, false) })
}

// requests serves them one after the other, and reports whether the next one is for a
// goroutine of its own.
func (c *conn) requests(w *work, onReader bool) (aside bool) {
	for {
		x := c.srv.exchanges.Get().(*exchange)
		v, size := x.req.parse(w.data, c.srv.cfg.MaxBody)
		place := Elsewhere
		if size > 0 && v != foreign { // its head is there
			x.res.c, x.res.onReader, x.res.wantsClose = c, onReader, x.req.Request.Close
			x.req.RemoteAddr = c.remote
			place = c.srv.cfg.Where(&x.req.Request)
			if place == Elsewhere || !onReader && (place == Kept || x.req.header["Upgrade"] != nil) {
				v = foreign
			}
		}
		goesOn, aside := false, place == Separately && onReader
		switch {
		case v == foreign:
			aside = false
			c.leave(w.data)
		case v == incomplete:
			aside = false
			goesOn = c.await(w, size)
		case !aside:
			goesOn, aside = c.exchange(x, w.data[size:])
		}
		c.srv.recycle(x)
		switch {
		case aside || !goesOn:
			return aside
		case v == plain:
			w.data, w.begun = w.data[size:], time.Now()
			if len(w.data) > 0 && c.puts(w) {
				return false
			}
		}
	}
}

// await keeps the beginning of a request until more arrives, want bytes in all if that
// is known. It reports true when more has arrived meanwhile.
func (c *conn) await(w *work, want int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.in) > 0 {
		w.data = append(bytes.Clone(w.data), c.in...)
		w.held += c.adopt()
		c.read()
		return true
	}
	c.read()
	if c.state != serving {
		return false // it ended
	}
	if len(w.data) == 0 {
		c.enter(idle)
		if c.srv.draining.Load() {
			c.finish()
		}
		return false
	}
	c.hold(w, 0)
	if !c.keep(w.data) {
		c.raw.Abort(loop.ErrTooMuch)
		c.state = gone
		return false
	}
	c.want = want
	c.enter(partial)
	if want == 0 {
		c.since = w.begun // no other byte gives a head more time
	}
	return false
}

// puts keeps requests whose answers the peer would not read, and reports whether it is
// such a one.
func (c *conn) puts(w *work) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != serving || !c.chokes(maxBurst) {
		return false
	}
	behind := c.in // arrived meanwhile
	c.in = nil
	c.hold(w, 0)
	if !c.keep(append(bytes.Clone(w.data), behind...)) {
		c.raw.Abort(loop.ErrTooMuch)
		c.state = gone
	}
	return true
}

// read reads on after too much had arrived. c.mu is held.
func (c *conn) read() {
	if c.stopped {
		c.stopped = false
		c.raw.Resume()
	}
}

// exchange serves one request, and reports whether serve goes on with what is behind
// it, or has to serve the same where the handler may wait.
func (c *conn) exchange(x *exchange, behind []byte) (goesOn, aside bool) {
	x.res.reset(behind)
	returned := c.call(x)
	switch {
	case x.res.upgraded:
		return false, false // the WebSocket has what is behind
	case !returned:
		c.end(loop.ErrPanic)
		return false, false
	case x.res.aside:
		return false, true
	case x.res.pending != nil:
		return c.postponed(x.res.pending, behind), false
	}
	last := x.last()
	answer := x.res.answer(last)
	c.srv.count(x.res.account, len(x.res.body))
	push := c.raw.Push // on the reader, who writes it
	if !x.res.onReader {
		push = c.raw.PushNow
	}
	sent := push(answer)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.proof = c.srv.prove(c.proof, c.peer, &x.req.Request, x.res.status)
	c.sent(sent, last)
	return c.state == serving, false
}

// sent notes that an answer was pushed, after which nothing follows if it is the last
// one. c.mu is held.
func (c *conn) sent(ok, last bool) {
	if !ok {
		c.raw.Abort(loop.ErrSlow) // or it is ending already
		c.state = gone
	} else if last {
		c.finish()
	}
}

// finish closes the connection once its answers have left. c.mu is held.
func (c *conn) finish() {
	c.state = gone
	c.raw.Finish()
}

// call runs the handler, and reports whether it returned.
func (c *conn) call(x *exchange) (ok bool) {
	defer func() {
		if ok {
			return
		}
		if p := recover(); p != http.ErrAbortHandler { //nolint:errorlint // net/http compares so
			c.srv.cfg.Log.Error("panic in a handler", "remote", x.req.RemoteAddr, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		}
	}()
	c.srv.cfg.Handler.ServeHTTP(&x.res, &x.req.Request)
	return true
}

// leave gives the connection to net/http, with what was read.
func (c *conn) leave(data []byte) {
	early := bytes.Clone(data[emptyLines(data):])
	c.mu.Lock()
	early = append(early, c.in...)
	c.drop()
	if c.state == gone {
		c.mu.Unlock()
		return
	}
	c.state = gone
	c.mu.Unlock()
	c.raw.Detach(func(nc net.Conn) {
		c.srv.forget(c)
		c.srv.pass(&passed{Conn: nc, srv: c.srv, remote: c.client(), peer: c.peer, network: c.network, room: c.room, early: early, heading: true})
	})
}

// client is the address of who connected; nil for that of the socket.
func (c *conn) client() net.Addr {
	remote, err := netip.ParseAddrPort(c.remote)
	if err != nil {
		return nil
	}
	return net.TCPAddrFromAddrPort(remote)
}

// RemoteAddr implements [loop.Protocol].
func (c *conn) RemoteAddr() string { return c.remote }

// Outbox implements [loop.Grower].
func (c *conn) Outbox() int { return int(c.srv.maxAnswer.Load()) }

// Closed implements [loop.Protocol].
func (c *conn) Closed(wc *loop.Conn, _ error) {
	c.mu.Lock()
	c.state = gone
	c.drop()
	p := c.pending
	c.pending = nil
	told := p != nil && (!p.given || p.text != nil || p.unsent || wc.Truncated())
	if p != nil {
		p.given = true
		if p.marks != nil {
			p.marks.Pass()
			p.marks = nil
		}
	}
	c.mu.Unlock()
	if told {
		p.to.Abandoned()
	}
	c.srv.forget(c)
	c.srv.closed(c.peer, c.room)
}

// end closes the connection at once; what waits is lost.
func (c *conn) end(why loop.Reason) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.raw == nil {
		return false
	}
	c.state = gone
	c.raw.Abort(why)
	return true
}

// closeIdle closes a connection on which nothing is going on, and with late one on
// which nothing ever was, or no more than a part of a head.
func (c *conn) closeIdle(late bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	nothing := c.state == fresh || c.state == partial && c.want == 0
	if c.raw != nil && (c.state == idle || c.state == unread || late && nothing) {
		c.finish()
	}
}

// expire closes a connection that has had its time.
func (c *conn) expire(now time.Time) {
	cfg := &c.srv.cfg
	c.mu.Lock()
	defer c.mu.Unlock()
	limit := time.Duration(0)
	switch {
	case c.state == fresh:
		limit = cfg.FirstTimeout
	case c.state == idle:
		limit = cfg.IdleTimeout
	case c.state == partial && c.want > 0:
		limit = cfg.BodyTimeout
	case c.state == partial:
		limit = cfg.HeadTimeout
	}
	if limit > 0 && now.Sub(c.since) > limit && c.raw != nil {
		c.state = gone
		c.raw.Abort(ErrIdle)
	}
}
