// Package http1 keeps connections that say little and often on a [loop.Loop], where
// they cost no goroutine: clients that poll, WebSockets from their handshake on,
// senders that post events.
//
// # One idea
//
// A connection begins on the loop. Requests that Config.Where names are served there
// by an ordinary [http.Handler]: small GETs, POSTs and OPTIONS of HTTP/1.1 (RFC
// 9112) in their plain form. When one becomes a WebSocket the connection stays where
// it is and is read in another way. With the first request that is anything else the
// connection is net/http's for good, with all that was read; where epoll is not to be
// had, from the beginning. So what is served is the same, and only the cost differs.
//
// # What is plain
//
// A path that begins with a slash, one Host, lines that end in CR LF, no
// Transfer-Encoding, no Expect, no Trailer, an Upgrade to nothing but WebSocket, a
// head of up to 16 KB and a body of up to Config.MaxBody. A GET has no body, a POST a
// Content-Length.
//
// # Why
//
// net/http spends a goroutine, two buffers and three quarters of the time of such a
// request. Here a request is read, served and answered by the goroutine that reads
// for many connections, with one read and one write.
package http1

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"poosh/server/loop"
	"poosh/server/peers"
	"poosh/server/quota"
	"poosh/server/secure"
)

// Where says where a request is served.
type Where int

// The places.
const (
	// Elsewhere: net/http has the connection from here on.
	Elsewhere Where = iota
	// Here: on the goroutine that reads for many connections. The handler must not
	// block; see [Later] and [Aside] for what it may do instead.
	Here
	// Separately: on a goroutine of its own, for a handler that may block.
	Separately
	// Kept is Here for a handler that takes the connection away, where it can be taken from
	// the goroutine that reads for many; Elsewhere where requests behind each other are
	// served on one of their own.
	Kept
)

// Bounds says how many connections a port may have. Its methods are called from
// several goroutines and must be quick.
type Bounds interface {
	// Open is asked for each accepted connection, which is closed when it returns
	// false. peer is its address. When there is no room left it may make some by
	// [Candidate.Evict]. What it returns with true is given to the other methods.
	Open(peer netip.Addr) (Room, bool)
	// Passed is Open for a connection that another process has passed on; see [Server.Take].
	// peer is the client that it is for. It must not wait.
	Passed(peer netip.Addr) (Room, bool)
	// Upgrade is asked when a connection becomes a WebSocket that counts for from, the
	// network that a proxy saw. From then on [loop.Config].Released tells of its end,
	// in place of Close.
	Upgrade(peer netip.Addr, room Room, from netip.Addr) bool
	// Close is told of the end of each connection that was opened and did not become
	// a WebSocket.
	Close(peer netip.Addr, room Room)
	// Proven is told of each connection's peer who has shown that it is a sender.
	Proven(peer netip.Addr)
}

// A Room is where a connection counts, in the words of [Bounds].
type Room int8

// Config says who serves and for how long to wait. Times of zero mean no bound.
type Config struct {
	// Handler serves requests on the loop, and should be that of Rest. A request, its
	// headers and its body are valid until the handler returns; its context never
	// ends.
	Handler http.Handler

	// Context makes what requests on the loop have as their context, one for many
	// requests that are served one after the other: a place for what a handler would
	// else allocate for each. nil for an empty one.
	Context func() context.Context

	// Where is asked for each plain request once its head is there.
	Where func(*http.Request) Where

	// Proves says what a good answer to a request shows about its peer; nil means that
	// each shows a sender. See [Candidate].
	Proves func(*http.Request) Proof

	// Loop holds the connections.
	Loop *loop.Loop

	// Secure, if set, has every connection begin with TLS. Then they are all net/http's, and
	// its WebSockets cost goroutines on the loop. A handshake has FirstTimeout, and counts
	// as a request of which the head has begun to arrive.
	Secure *secure.Gate

	// Rest serves what is passed on, on connections that it gets by a listener. It
	// is started and shut down together with the [Server]; its ConnState and
	// ConnContext must not be set.
	Rest *http.Server

	FirstTimeout time.Duration // a new connection may wait so long with its first request
	IdleTimeout  time.Duration // a kept-alive one with its next
	HeadTimeout  time.Duration // a head may take so long to arrive
	BodyTimeout  time.Duration // a body may

	MaxBody   int // bytes of a body that is read here; a request with more is net/http's
	MaxAnswer int // bytes of one answer; a larger one closes the connection

	// Input, if set, counts what is held of requests that have not arrived whole.
	Input *quota.Quota
	// Shed, if set, is asked when Input has no room for so many bytes more of a network.
	// It may make some by [Holder.End], and reports whether it did. It must not block.
	Shed func(from netip.Addr, bytes int) bool

	// Bounds, if set, bounds the connections.
	Bounds Bounds

	Log *slog.Logger // panics of handlers; slog.Default()
}

// A Server serves the connections of one listener. Make one with [New].
type Server struct {
	cfg       Config
	rest      handover
	draining  atomic.Bool
	answered  atomic.Uint64 // see Answered
	maxAnswer atomic.Int64  // Config.MaxAnswer, see SetMaxAnswer

	mu      sync.Mutex // guards what follows
	ln      net.Listener
	acc     *loop.Acceptor
	conns   map[*conn]struct{}
	passed  map[*passed]struct{}
	shaking int // of passed, those at their handshake
	over    bool
	empty   *sync.Cond // no connection is left

	exchanges sync.Pool // of *exchange

	helpers sync.WaitGroup // goroutines that Serve and its accepting started

	stop chan struct{} // closed by the first of Shutdown and Close
	once sync.Once
}

// New returns a server. It starts no goroutine before [Server.Serve].
func New(cfg Config) *Server {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	s := &Server{cfg: cfg, conns: make(map[*conn]struct{}), passed: make(map[*passed]struct{}), stop: make(chan struct{})}
	s.SetMaxAnswer(cfg.MaxAnswer)
	s.exchanges.New = s.newExchange
	s.rest.init()
	cfg.Rest.ConnState, cfg.Rest.ConnContext = s.changed, withPassed
	if cfg.Rest.Handler != nil {
		cfg.Rest.Handler = s.proving(cfg.Rest.Handler)
	}
	s.empty = sync.NewCond(&s.mu)
	return s
}

// SetMaxAnswer is [Config].MaxAnswer from now on: for connections that come, and where it is
// more than before for those that are there too. Any goroutine
// may call it.
func (s *Server) SetMaxAnswer(bytes int) { s.maxAnswer.Store(int64(bytes)) }

// Serve accepts connections until the server is shut down or closed, and returns
// [http.ErrServerClosed] then. Call it once.
func (s *Server) Serve(ln net.Listener) error {
	defer ln.Close()
	if _, tcp := ln.(*net.TCPListener); s.cfg.Secure != nil && !tcp {
		return fmt.Errorf("TLS on %T: want a TCP listener", ln)
	}
	acc, onLoop := s.cfg.Loop.Acceptor(ln)
	if onLoop && s.cfg.Secure != nil {
		acc.Close()
		acc, onLoop = nil, false
	}
	if onLoop {
		defer acc.Close()
	}
	s.mu.Lock()
	s.ln, s.acc = ln, acc
	over := s.over
	s.mu.Unlock()
	if over {
		return http.ErrServerClosed
	}
	defer s.helpers.Wait()
	s.rest.addr = ln.Addr()
	s.helpers.Go(func() { _ = s.cfg.Rest.Serve(&s.rest) }) // ends with Rest
	s.helpers.Go(s.sweep)                                  // ends with stop
	next := s.acceptPassed
	switch {
	case s.cfg.Secure != nil:
		next = s.acceptSecure
	case onLoop:
		next = s.acceptOnLoop
	}
	err := s.accept(next)
	if err != http.ErrServerClosed {
		_ = s.Close()
	}
	return err
}

// accept takes connections until the listener is closed.
func (s *Server) accept(next func() error) error {
	wait := time.Duration(0)
	for {
		err := next()
		if err == nil {
			wait = 0
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

// acceptOnLoop takes one connection onto the loop.
func (s *Server) acceptOnLoop() error {
	socket, err := s.acc.Accept()
	if err != nil {
		return err
	}
	peer := socket.Remote.Addr()
	room, ok := s.opened(peer)
	if !ok {
		socket.Close()
		return nil
	}
	c := &conn{srv: s, remote: socket.Remote.String(), peer: peer, network: peers.Network(peer), room: room, since: time.Now()}
	if !s.list(c) {
		socket.Close()
		s.closed(peer, room)
		return nil
	}
	c.mu.Lock()
	c.raw = s.cfg.Loop.Attach(socket, loop.Options{Outbox: int(s.maxAnswer.Load()), Cork: true}, c)
	c.mu.Unlock()
	c.raw.Start()
	return nil
}

// acceptPassed takes one connection for net/http.
func (s *Server) acceptPassed() error {
	p, err := s.acceptOne()
	if p != nil {
		s.pass(p)
	}
	return err
}

// acceptOne takes one connection that is not for the loop, if there is room for it.
func (s *Server) acceptOne() (*passed, error) {
	nc, err := s.ln.Accept()
	if err != nil {
		return nil, err
	}
	peer := peers.Addr(nc)
	room, ok := s.opened(peer)
	if !ok {
		_ = nc.Close()
		return nil, nil
	}
	return &passed{Conn: nc, srv: s, peer: peer, network: peers.Network(peer), room: room, since: time.Now(), heading: true}, nil
}

func (s *Server) opened(peer netip.Addr) (Room, bool) {
	if s.cfg.Bounds == nil {
		return 0, true
	}
	return s.cfg.Bounds.Open(peer)
}

func (s *Server) closed(peer netip.Addr, room Room) {
	if s.cfg.Bounds != nil {
		s.cfg.Bounds.Close(peer, room)
	}
}

func (s *Server) upgraded(peer netip.Addr, room Room, from netip.Addr) bool {
	return s.cfg.Bounds == nil || s.cfg.Bounds.Upgrade(peer, room, from)
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
// and then costs less than a timer for each.
func (s *Server) sweep() {
	every := time.Second
	for _, d := range []time.Duration{s.cfg.FirstTimeout, s.cfg.IdleTimeout, s.cfg.HeadTimeout, s.cfg.BodyTimeout} {
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
		if s.acc != nil {
			s.acc.Close()
		}
		s.mu.Unlock()
	})
}

// newcomers is how long a connection that was accepted just before a shutdown
// has to say what it came for.
const newcomers = 500 * time.Millisecond

// Shutdown accepts nothing more, closes connections that wait for a request, and
// waits until all others are answered and closed. Answers that are pending must be
// given meanwhile. When ctx ends first it returns ctx's error; call [Server.Close]
// then.
func (s *Server) Shutdown(ctx context.Context) error {
	s.halt()
	for _, c := range s.all() {
		c.closeIdle(false)
	}
	late := time.AfterFunc(newcomers, func() {
		for _, c := range s.all() {
			c.closeIdle(true)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		for p := range s.passed {
			p.closeIdle(time.Now())
		}
	})
	defer late.Stop()
	wake := context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.empty.Broadcast()
	})
	defer wake()
	s.mu.Lock()
	for len(s.conns)+s.shaking > 0 && ctx.Err() == nil {
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
		c.end(loop.ErrClosed)
	}
	s.mu.Lock()
	for p := range s.passed {
		if p.shakes {
			p.abort()
		}
	}
	s.mu.Unlock()
	err := s.cfg.Rest.Close()
	s.rest.Close()
	return err
}
