package http1

import (
	"net/http"
	"time"
)

// A Pending answer is given after its handler has returned; see [Later].
type Pending struct {
	c    *conn
	to   Waiter
	last bool // its request wanted the connection closed

	// Guarded by the connection's mu.
	text   []byte // the answer; its head until it is given
	inside bool   // the handler has not returned
	given  bool
}

// A Waiter is told when the peer of a pending answer is gone: before the answer was
// given, or, with answered set, before it was written. It is told at most once, on
// a goroutine of the server's.
type Waiter interface {
	Gone(answered bool)
}

// Later lets a handler return before there is an answer: it sets status and headers,
// calls Later and returns, and somebody calls [Pending.Answer] once, from any
// goroutine, at any time from now on. It reports false when w is not a plain
// request's: the handler has to wait by itself then.
func Later(w http.ResponseWriter, to Waiter) (*Pending, bool) {
	for {
		switch v := w.(type) {
		case *response:
			if v.hijacked || v.pending != nil {
				panic("http1: a second Later, or one behind a Hijack")
			}
			return v.c.postpone(to), true
		case interface{ Unwrap() http.ResponseWriter }:
			w = v.Unwrap()
		default:
			return nil, false
		}
	}
}

// Answer gives the body of the answer, which it copies. It never blocks and calls
// nobody, so locks may be held. It does nothing when the peer is gone, or the
// answer was given.
func (p *Pending) Answer(body []byte) { p.c.answer(p, body) }

// postpone begins a pending answer.
func (c *conn) postpone(to Waiter) *Pending {
	text := c.out[:0]
	if c.wire != nil || text == nil { // the loop may still be writing from out
		text = make([]byte, 0, answerSize)
	}
	// The head is made now, while what it is made of is at hand.
	p := &Pending{c: c, to: to, last: c.last(), inside: true, text: c.res.head(text)}
	c.res.pending = p
	c.mu.Lock()
	defer c.mu.Unlock()
	c.phase = pending
	return p
}

// answer is [Pending.Answer].
func (c *conn) answer(p *Pending, body []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.given || c.dead {
		return
	}
	p.given = true
	c.phase, c.since = writing, time.Now()
	p.last = p.last || c.srv.draining.Load()
	p.text = c.res.finish(p.text, body, p.last)
	if c.wire == nil {
		c.out = p.text // grown, perhaps
	}
	switch {
	case p.inside, c.moved: // serve writes it
	case c.wire != nil:
		c.push(p.text, p.last)
	default:
		c.srv.writer.add(p)
	}
}

// defers sees to an answer that is pending after its handler has returned.
func (c *conn) defers(p *Pending) outcome {
	c.mu.Lock()
	waits := !p.given && !p.last
	c.mu.Unlock()
	if waits && c.r == c.w && c.carry(p) {
		return elsewhere
	}
	c.mu.Lock()
	p.inside = false
	given := p.given
	c.mu.Unlock()
	if given {
		return c.write(p.text, p.last, p)
	}
	return goesOn // whoever answers sees to the rest
}
