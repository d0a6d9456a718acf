package http1

import (
	"cmp"
	"net/http"
	"time"

	"poosh/server/latency"
	"poosh/server/loop"
)

// A Pending answer is given after its handler has returned; see [Later].
type Pending struct {
	c       *conn
	to      Waiter
	account Account // whose the answer is; set before its handler returns

	// Guarded by the connection's mu.
	text   []byte         // the answer's head, then all of it, until it is pushed
	marks  *latency.Marks // nil for none
	status int16
	typed  bool
	shows  int8 // the Proof that a good answer is; set before its handler returns
	last   bool // its request wanted the connection closed
	inside bool // the handler has not returned
	given  bool
	unsent bool // the loop did not take it
}

// A Waiter is told when the peer of a pending answer is gone before the answer was given,
// or before it was written. It is told at most once, on a goroutine of the loop's that
// must not be held up for long.
type Waiter interface {
	Abandoned()
}

// Later lets a handler return before there is an answer: it sets status and headers,
// calls Later and returns, and somebody calls [Pending.Answer] once, from any
// goroutine, at any time from now on. It reports false when the request is not
// served on the loop: the handler has to wait by itself then.
func Later(w http.ResponseWriter, to Waiter) (*Pending, bool) {
	res := onLoop(w)
	if res == nil {
		return nil, false
	}
	if res.upgraded || res.pending != nil {
		panic("http1: a second Later, or one behind an upgrade")
	}
	return res.postpone(to), true
}

// Aside lets a handler say that it has to wait. When it returns true the handler must
// return at once and have done nothing: it is called again with the same request
// where it may wait. When it returns false it may wait here.
func Aside(w http.ResponseWriter) bool {
	res := onLoop(w)
	if res == nil || !res.onReader {
		return false
	}
	res.aside = true
	return true
}

// onLoop finds the response of a request that is served on the loop.
func onLoop(w http.ResponseWriter) *response {
	for {
		switch v := w.(type) {
		case *response:
			return v
		case interface{ Unwrap() http.ResponseWriter }:
			w = v.Unwrap()
		default:
			return nil
		}
	}
}

// Answer gives the body of the answer, which it copies. It never blocks and calls
// nobody, so locks may be held. It does nothing when the peer is gone, or the
// answer was given. Marks that the body's parts carry are passed when it has been written,
// or never will be.
func (p *Pending) Answer(body []byte, marks ...*latency.Mark) { p.c.answer(p, nil, body, marks) }

// AnswerWith is [Pending.Answer] where status and header were not known when the handler
// returned: what it set of them before [Later] does not count. It copies the header too. Where the
// handler has returned, the caller's goroutine writes the answer: who waits for it does not wait for the
// loop as well, which may be on its way round a room of thousands. It does not wait for the socket, and leaves
// a connection with goroutines to those, but no lock may be held.
func (p *Pending) AnswerWith(status int, header http.Header, body []byte) {
	if p.c.answer(p, &lateHead{cmp.Or(status, http.StatusOK), header}, body, nil) {
		p.c.raw.Uncork()
	}
}

// A lateHead is what an answer begins with that was not known when the handler returned.
type lateHead struct {
	status int
	header http.Header
}

// replace has p begin with another head, and the connection have shown what that does. c.mu is
// held.
func (c *conn) replace(p *Pending, with *lateHead) {
	p.text, p.typed = head(p.text[:0], with.status, with.header)
	p.status, p.last = int16(with.status), p.last || closes(with.header)
	if with.status < http.StatusBadRequest {
		c.proof = c.srv.proven(c.proof, Proof(p.shows), c.peer)
	}
}

// answer is [Pending.Answer], with another head unless that is nil. It reports whether the caller has to
// uncork the connection, which is so with another head alone.
func (c *conn) answer(p *Pending, with *lateHead, body []byte, marks latency.Marks) (corked bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.given || c.pending != p {
		marks.Pass()
		return false
	}
	shown := Client
	if with != nil {
		c.replace(p, with)
		shown = Nothing
	}
	p.given, p.last = true, p.last || c.srv.draining.Load()
	if len(marks) > 0 {
		carried := marks // on the heap where there are some
		p.marks = &carried
	}
	p.text = finish(p.text, body, int(p.status), p.typed, p.last)
	if hasBody(int(p.status)) {
		c.srv.count(p.account, len(body))
	}
	if p.inside {
		return false // postponed pushes it
	}
	if corked = with != nil; corked {
		c.raw.Cork()
	}
	c.push(p)
	if c.state != pending {
		return corked
	}
	c.proof = max(c.proof, shown)
	c.enter(idle)
	c.read()
	if len(c.in) > 0 {
		w := work{data: c.in, begun: time.Now()}
		w.held = c.adopt()
		c.enter(serving)
		c.raw.Spawn(func() { c.serve(w, false) }) // ends when nothing is left to serve
	}
	return corked
}

// push hands a pending answer that was given to the loop. c.mu is held.
func (c *conn) push(p *Pending) {
	p.unsent = !c.raw.Push(p.text)
	if p.marks != nil {
		p.marks.Move(c.raw)
	}
	p.text, p.marks = nil, nil
	c.sent(!p.unsent, p.last)
}

// postponed sees to an answer that is pending after its handler has returned. It
// reports whether serve goes on with what is behind the request.
func (c *conn) postponed(p *Pending, behind []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	p.inside = false
	if c.state != serving {
		return false // it ended
	}
	if p.given {
		c.push(p)
		return c.state == serving
	}
	if len(behind) > 0 { // it came before what has arrived meanwhile
		rest := c.in
		c.in = nil
		if !c.keep(append(append([]byte(nil), behind...), rest...)) {
			c.state = gone
			c.raw.Abort(loop.ErrTooMuch)
			return false
		}
	}
	c.enter(pending)
	return false
}
