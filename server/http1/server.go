// Package http1 serves HTTP/1.1 to many small requests on kept-alive connections:
// senders that post events, clients that poll. It reads the plain form that these
// write and serves it with an ordinary [http.Handler]; a connection on which
// anything else arrives is passed to net/http, with all that was read, and stays
// there. So what is served is the same, and only the cost differs.
//
// # What is plain
//
// A GET or POST of HTTP/1.1 (RFC 9112) whose path begins with a slash, with one
// Host, lines that end in CR LF, no Transfer-Encoding, no Expect, no Trailer, an
// Upgrade to nothing but WebSocket, and a head and a body that fit in 64 KB and
// arrive without a pause. A GET has no body, a POST a Content-Length.
//
// # Why
//
// net/http spends three quarters of the time of such a request: a goroutine that
// watches the connection while the handler runs, a second one for each poll that
// waits, deadlines, several buffers. Here a connection has one goroutine, which
// reads also while an answer is pending (see [Later]), one read for a request and
// one write for its answer.
package http1

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"poosh/server/wire"
)

// Config says who serves and for how long to wait. Times of zero mean no bound.
type Config struct {
	// Handler serves plain requests, and should be that of Rest. A request, its
	// headers and its body are valid until the handler returns; its context never
	// ends. A handler that has to wait for long must use [Later].
	Handler http.Handler

	// Rest serves what is passed on, on connections that it gets by a listener. It
	// is started and shut down together with the [Server].
	Rest *http.Server

	FirstTimeout time.Duration // a new connection may wait so long with its first request
	IdleTimeout  time.Duration // a kept-alive one with its next
	WriteTimeout time.Duration // an answer may take so long to leave

	// Opened, if set, is asked for each accepted connection, which is closed when it
	// returns false. Closed, if set, is told of each connection that was closed
	// here, for any reason; not of those that Opened refused, that were passed on,
	// or that a handler hijacked. Both are called from several goroutines and must
	// be quick.
	Opened func(net.Conn) bool
	Closed func(net.Conn)

	// Loop, if set, holds connections while an answer is pending and from then on,
	// so that those who poll cost no goroutine each. There Quick says which requests
	// the handler serves without waiting: they are served by the goroutine that reads
	// for many connections. For any other one the connection gets its own goroutine
	// back. The loop's Released is told of the end of connections in place of Closed.
	Loop  *wire.Loop
	Quick func(*http.Request) bool

	// MaxAnswer is how many bytes an answer may have that is pending; a larger one
	// closes the connection. Of use with Loop only.
	MaxAnswer int

	Log *slog.Logger // panics of handlers; slog.Default()
}

// A Server serves the connections of one listener. Make one with [New].
type Server struct {
	cfg      Config
	rest     handover
	writer   writer
	draining atomic.Bool

	mu    sync.Mutex // guards what follows
	ln    net.Listener
	conns map[*conn]struct{}
	over  bool
	empty *sync.Cond // no connection is left

	stop chan struct{} // closed by the first of Shutdown and Close
	once sync.Once
}

// New returns a server. It starts no goroutine before [Server.Serve].
func New(cfg Config) *Server {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.Loop != nil && cfg.Quick == nil {
		panic("http1: a loop, and nothing may be served on it")
	}
	s := &Server{cfg: cfg, conns: make(map[*conn]struct{}), stop: make(chan struct{})}
	s.rest.init()
	s.empty = sync.NewCond(&s.mu)
	return s
}

// Serve accepts connections until the server is shut down or closed, and returns
// [http.ErrServerClosed] then. Call it once.
func (s *Server) Serve(ln net.Listener) error {
	s.mu.Lock()
	s.ln = ln
	over := s.over
	s.mu.Unlock()
	defer ln.Close()
	if over {
		return http.ErrServerClosed
	}
	s.writer.start()
	defer s.writer.stop() // after Rest, which ends when nothing is pending any more
	var helpers sync.WaitGroup
	defer helpers.Wait()
	s.rest.addr = ln.Addr()
	helpers.Go(func() { _ = s.cfg.Rest.Serve(&s.rest) }) // ends with Rest
	helpers.Go(s.sweep)                                  // ends with stop
	err := s.accept(ln)
	if err != http.ErrServerClosed {
		_ = s.Close()
	}
	return err
}

// accept starts a goroutine for each connection.
func (s *Server) accept(ln net.Listener) error {
	wait := time.Duration(0)
	for {
		nc, err := ln.Accept()
		if err == nil {
			wait = 0
			s.open(nc)
			continue
		}
		select {
		case <-s.stop:
			return http.ErrServerClosed
		default:
		}
		var temporary interface{ Temporary() bool }
		if !errors.As(err, &temporary) || !temporary.Temporary() {
			return err
		}
		// Out of descriptors, most likely: those who wait lose nothing.
		wait = min(max(2*wait, 5*time.Millisecond), time.Second)
		s.cfg.Log.Warn("accept failed, trying again", "in", wait, "err", err)
		select {
		case <-time.After(wait):
		case <-s.stop:
			return http.ErrServerClosed
		}
	}
}

func (s *Server) open(nc net.Conn) {
	if s.cfg.Opened != nil && !s.cfg.Opened(nc) {
		_ = nc.Close()
		return
	}
	c := newConn(s, nc)
	s.mu.Lock()
	over := s.over
	if !over {
		s.conns[c] = struct{}{}
	}
	s.mu.Unlock()
	if over {
		c.close()
		return
	}
	go c.serve() // ends with the connection, or when it goes elsewhere
}

// forget takes a connection off the list.
func (s *Server) forget(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if len(s.conns) == 0 {
		s.empty.Broadcast()
	}
}

func (s *Server) all() []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		list = append(list, c)
	}
	return list
}

// sweep closes connections that have had their time. Looking at all of them now
// and then costs less than a deadline for each request.
func (s *Server) sweep() {
	every := time.Second
	for _, d := range []time.Duration{s.cfg.FirstTimeout, s.cfg.IdleTimeout, s.cfg.WriteTimeout} {
		if d > 0 {
			every = max(min(every, d/4), time.Millisecond)
		}
	}
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-s.stop:
			return
		case now := <-t.C:
			for _, c := range s.all() {
				c.expire(now)
			}
		}
	}
}

// halt stops accepting, once.
func (s *Server) halt() {
	s.once.Do(func() {
		s.draining.Store(true)
		close(s.stop)
		s.mu.Lock()
		s.over = true
		if s.ln != nil {
			_ = s.ln.Close()
		}
		s.mu.Unlock()
	})
}

// Shutdown accepts nothing more, closes connections that wait for a request, and
// waits until all others are answered and closed. Answers that are pending must be
// given meanwhile. When ctx ends first it returns ctx's error; call [Server.Close]
// then.
func (s *Server) Shutdown(ctx context.Context) error {
	s.halt()
	for _, c := range s.all() {
		c.closeIdle()
	}
	stop := context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.empty.Broadcast()
	})
	defer stop()
	s.mu.Lock()
	for len(s.conns) > 0 && ctx.Err() == nil {
		s.empty.Wait()
	}
	s.mu.Unlock()
	// Last: until here connections were passed on to it.
	err := s.cfg.Rest.Shutdown(ctx)
	s.rest.Close()
	if err == nil {
		err = ctx.Err()
	}
	return err
}

// Close closes everything at once.
func (s *Server) Close() error {
	s.halt()
	for _, c := range s.all() {
		c.abort()
	}
	err := s.cfg.Rest.Close()
	s.rest.Close()
	return err
}

// A handover is the listener by which Rest gets connections.
type handover struct {
	addr   net.Addr // set by Serve
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (h *handover) init() {
	h.conns = make(chan net.Conn)
	h.closed = make(chan struct{})
}

func (h *handover) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

func (h *handover) Close() error {
	h.once.Do(func() { close(h.closed) })
	return nil
}

func (h *handover) Addr() net.Addr { return h.addr }

// pass reports whether there is anybody to pass to.
func (h *handover) pass(c net.Conn) bool {
	select {
	case h.conns <- c:
		return true
	case <-h.closed:
		return false
	}
}

// A passed connection gives its next reader what was read of it already.
type passed struct {
	net.Conn
	early []byte // owned by whoever reads
}

func (p *passed) Read(b []byte) (int, error) {
	if len(p.early) == 0 {
		return p.Conn.Read(b)
	}
	n := copy(b, p.early)
	if p.early = p.early[n:]; len(p.early) == 0 {
		p.early = nil
	}
	return n, nil
}

// CloseWrite lets net/http end a connection without cutting off its last answer.
func (p *passed) CloseWrite() error {
	if c, ok := p.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return nil
}
