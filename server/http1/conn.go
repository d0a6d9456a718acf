package http1

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"poosh/server/wire"
)

const (
	// bufferSize holds the request of a browser, which may have long cookies.
	bufferSize = 4 << 10

	// answerSize holds the answer to most polls, all in one.
	answerSize = 512

	// hurry is how long the rest of a request may take to arrive behind its
	// beginning. What takes longer is passed on: net/http has deadlines for it.
	hurry = 100 * time.Millisecond

	// newcomers is how long a connection that was accepted just before a shutdown
	// has to say what it came for.
	newcomers = 500 * time.Millisecond
)

var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// A conn is one connection. It has one goroutine, serve; a pending answer is
// written by another one. While a loop carries it (see carried.go), the loop's
// reader takes serve's place and its flusher writes.
type conn struct {
	srv *Server
	nc  net.Conn

	// Owned by serve.
	remote  string
	req     request
	res     response // the rest of a pending answer is made of it while serve does not touch it
	buf     []byte
	r, w    int    // buf[r:w] has been read and not been used
	hurried bool   // a read deadline is set
	out     []byte // what is written; used again. Owned by whoever answers and writes
	socket  socket // owned by whoever writes

	mu     sync.Mutex // guards what follows
	ready  sync.Cond  // phase has changed
	phase  phase
	since  time.Time  // of phase
	dead   bool       // the socket is closed
	wire   *wire.Conn // set while a loop carries the connection
	moved  bool       // the loop is about to give it back
	unsent bool       // the loop did not take an answer
}

// A phase is what a connection is at.
type phase uint8

const (
	fresh   phase = iota // nothing has arrived
	idle                 // waits for the next request
	busy                 // a request is being read or handled
	pending              // an answer will be given later
	writing              // an answer is being written
)

func newConn(s *Server, nc net.Conn) *conn {
	c := &conn{srv: s, nc: nc, since: time.Now(), buf: buffers.Get().(*[bufferSize]byte)[:]}
	c.ready.L = &c.mu
	c.res.c = c
	if addr := nc.RemoteAddr(); addr != nil {
		c.remote = addr.String()
	}
	return c
}

// An outcome says how a connection goes on.
type outcome int

const (
	over      outcome = iota // it is to be closed
	goesOn                   // with the next request
	elsewhere                // somebody else has it, and it must not be touched
)

// serve serves one request after the other.
func (c *conn) serve() {
	for {
		how := over
		switch size := c.next(); {
		case size > 0:
			how = c.handle(size)
		case size < 0:
			how = c.pass()
		}
		switch how {
		case over:
			c.close()
			c.recycle()
			return
		case elsewhere:
			return
		}
	}
}

// next reads until a request is there and returns its size; zero when none will
// come, and less when what came is not plain.
func (c *conn) next() int {
	for {
		switch v, size := c.req.parse(c.buf[c.r:c.w]); v {
		case plain:
			if !c.take() {
				return 0
			}
			return size
		case foreign:
			if !c.take() {
				return 0
			}
			return -1
		}
		if err := c.read(); err != nil {
			if c.w > c.r && errors.Is(err, os.ErrDeadlineExceeded) && c.take() {
				return -1
			}
			c.lost()
			return 0
		}
	}
}

// read waits for bytes and takes in what there are.
func (c *conn) read() error {
	if c.r == c.w {
		c.r, c.w = 0, 0
		c.shrink()
	} else if c.r > 0 {
		c.w = copy(c.buf, c.buf[c.r:c.w])
		c.r = 0
	}
	if c.w == len(c.buf) {
		c.buf = append(c.buf, make([]byte, len(c.buf))...)
	}
	if c.w > 0 && !c.hurried {
		c.hurried = true
		_ = c.nc.SetReadDeadline(time.Now().Add(hurry))
	}
	n, err := c.nc.Read(c.buf[c.w:])
	c.w += n
	if n > 0 {
		return nil
	}
	return err
}

// shrink goes back to a small buffer. Nothing is in it.
func (c *conn) shrink() {
	if len(c.buf) > bufferSize {
		c.buf = buffers.Get().(*[bufferSize]byte)[:]
	}
}

// take makes the connection busy with what has arrived, once the answer before it
// has left.
func (c *conn) take() bool {
	if c.hurried {
		c.hurried = false
		_ = c.nc.SetReadDeadline(time.Time{})
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.phase >= pending && !c.dead {
		c.ready.Wait()
	}
	c.phase = busy
	return !c.dead
}

// handle serves the request that the buffer begins with.
func (c *conn) handle(size int) outcome {
	c.r += size
	c.res.reset()
	c.req.RemoteAddr = c.remote
	returned := c.call()
	switch p := c.res.pending; {
	case c.res.hijacked:
		c.recycle()
		return elsewhere
	case !returned:
		c.abort()
		c.lost()
		return over
	case p != nil:
		return c.defers(p)
	}
	c.enter(writing)
	last := c.last()
	c.out = c.res.finish(c.res.head(c.out[:0]), c.res.body, last)
	return c.write(c.out, last, nil)
}

// call runs the handler, and reports whether it returned.
func (c *conn) call() (ok bool) {
	defer func() {
		if ok {
			return
		}
		if p := recover(); p != http.ErrAbortHandler { //nolint:errorlint // net/http compares so
			c.srv.cfg.Log.Error("panic in a handler", "remote", c.remote, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		}
	}()
	c.srv.cfg.Handler.ServeHTTP(&c.res, &c.req.Request)
	return true
}

// last reports whether the connection ends with the answer to this request.
func (c *conn) last() bool { return c.req.Request.Close || c.res.closes() || c.srv.draining.Load() }

// enter changes the phase.
func (c *conn) enter(p phase) {
	c.mu.Lock()
	c.phase, c.since = p, time.Now()
	c.ready.Signal()
	c.mu.Unlock()
}

// write writes an answer, after which nothing follows if it is the last one. p is
// set for one that was pending.
func (c *conn) write(answer []byte, last bool, p *Pending) outcome {
	_, err := c.nc.Write(answer)
	return c.written(last, p, err)
}

// written ends the writing of an answer.
func (c *conn) written(last bool, p *Pending, err error) outcome {
	if err != nil && p != nil {
		p.to.Gone(true)
	}
	if err != nil || last {
		c.abort()
		return over
	}
	if cap(c.out) > bufferSize {
		c.out = nil
	}
	if p == nil && cap(c.res.body) > bufferSize {
		c.res.body = nil
	}
	c.enter(idle)
	if c.srv.draining.Load() {
		c.closeIdle() // Shutdown may have looked before
	}
	return goesOn
}

// lost waits until what is being written has left: the peer has closed its side, or
// the connection is dead. An answer that is pending goes to nobody.
func (c *conn) lost() {
	c.mu.Lock()
	for c.phase == writing && !c.dead {
		c.ready.Wait()
	}
	p := c.res.pending
	told := p != nil && (!p.given || p.inside)
	answered := told && p.given
	if told {
		p.given, p.inside = true, false
		c.phase = busy
	}
	c.mu.Unlock()
	if told {
		p.to.Gone(answered)
	}
}

// pass gives the connection to net/http, with all that was read.
func (c *conn) pass() outcome {
	to := &passed{Conn: c.nc, early: append([]byte(nil), c.buf[c.r:c.w]...)}
	c.srv.forget(c)
	if !c.srv.rest.pass(to) {
		return over
	}
	c.recycle()
	return elsewhere
}

// abort closes the socket; serve or the loop does the rest.
func (c *conn) abort() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut()
}

// cut closes the socket. c.mu is held.
func (c *conn) cut() {
	c.dead = true
	c.ready.Signal()
	if c.wire != nil {
		c.wire.Abort(wire.ErrClosed)
		return
	}
	_ = c.nc.Close()
}

// close ends the connection.
func (c *conn) close() {
	c.abort()
	c.srv.forget(c)
	if c.srv.cfg.Closed != nil {
		c.srv.cfg.Closed(c.nc)
	}
}

// recycle gives back the buffer when serve ends.
func (c *conn) recycle() {
	if len(c.buf) == bufferSize {
		buffers.Put((*[bufferSize]byte)(c.buf))
	}
	c.buf = nil
}

// closeIdle closes a connection on which nothing is going on.
func (c *conn) closeIdle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch c.phase {
	case fresh:
		_ = c.nc.SetReadDeadline(time.Now().Add(newcomers))
	case idle:
		if c.wire != nil {
			c.dead = true
			c.wire.Finish() // an answer may not have left
			return
		}
		c.cut()
	}
}

// expire closes a connection that has had its time.
func (c *conn) expire(now time.Time) {
	cfg := &c.srv.cfg
	c.mu.Lock()
	defer c.mu.Unlock()
	limit := time.Duration(0)
	switch c.phase {
	case fresh:
		limit = cfg.FirstTimeout
	case idle:
		limit = cfg.IdleTimeout
	case writing:
		limit = cfg.WriteTimeout
	}
	if limit > 0 && now.Sub(c.since) > limit {
		c.cut()
	}
}
