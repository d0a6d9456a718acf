// Package admin serves the operators' port: health, numbers, explanations and what an
// incident needs, for who operates the server and nobody else.
//
// It is no dialect: it speaks to no client and no sender, has no app in the hub, and
// nobody publishes here without the secret that a sender would need. It must not know
// any dialect; what parts of the program have to tell comes in [Parts].
//
// # Adding a route
//
// routes.go is the map of all there is. A part of the program that has something for
// operators offers an [http.HandlerFunc], which is one field more in [Parts] and one line
// more in [Server.endpoints]; package server fills the field, and openapi.json describes
// it. The port has done its checks when a handler is called: the token, where the request
// comes from, the size of its body, and that its query has known parameters alone. A handler that takes longer than [Patience] calls [Extend] first, and one that
// does not end by itself ends with the context of its request, which ends with the port.
//
// # Why
//
// The port is net/http's, with a listener of its own, and not the loop's: it must answer
// when everything else is stuck, and what clients and senders hold open must not fill
// it. That costs a goroutine for each connection, of which there are [MaxConnections] at
// the most.
package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"poosh/server/peers"
	"poosh/server/setting"
)

// Parts are what the program has for operators. A field that is nil is not there.
type Parts struct {
	Proxies peers.Proxies // are believed about whom a request is from
	Log     *slog.Logger

	Live, Ready http.HandlerFunc // probes, which want no token
	Metrics     http.Handler     // what Prometheus asks for
	Tail        http.HandlerFunc // sends as they happen
	Kick        http.HandlerFunc // closes clients
	Bundle      http.HandlerFunc // the archive of an incident
	Drain       http.HandlerFunc // ends the process, in order
	Reload      http.HandlerFunc // reads the settings again
	Profiles    http.HandlerFunc // of the runtime, below /debug/pprof/; ADMIN_PPROF asks for them

	Overview, Stream http.HandlerFunc // the process as it is now, once and once a second
	Series           http.HandlerFunc // the last day in numbers
	Top              http.HandlerFunc // the busiest rooms and senders
	Rooms, Room      http.HandlerFunc // the rooms there are, and one of them
	Connection       http.HandlerFunc // one client, connected or gone
	Left             http.HandlerFunc // who left last, and why
	Slow             http.HandlerFunc // for whom most waits
	// Send sends an event as a sender of its dialect would, with the secret that the
	// request brings, and reports whether that was wrong.
	Send func(http.ResponseWriter, *http.Request) (wrong bool)
}

// Bounds of the port.
const (
	// MaxConnections is how many connections are open at once. For one more another is
	// closed: see connections.
	MaxConnections = 64
	// Patience is how long a request may take to arrive, and its answer to leave.
	Patience = 15 * time.Second

	headTimeout = 5 * time.Second
	idleTimeout = 90 * time.Second // more than a scrape's interval
	headerBytes = 12 << 10         // net/http allows 4 KB more
	maxBody     = 1 << 20
)

// A Server is the operators' port. Make one with [New].
type Server struct {
	cfg    Config
	parts  Parts
	tokens *tokens // nil when there is none
	conns  connections
	http   *http.Server
	ln     net.Listener // set by Inherit or Listen
	stop   context.CancelFunc
}

// New prepares the port; it opens nothing and starts nothing.
func New(cfg Config, parts Parts) *Server {
	s := &Server{cfg: cfg, parts: parts}
	if cfg.Token != "" {
		s.tokens = newTokens(cfg.Token, parts.Log)
	}
	s.conns.init(MaxConnections)
	base, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.http = &http.Server{
		Handler:           parts.Proxies.Forwarded(s.routes()),
		ReadHeaderTimeout: headTimeout,
		ReadTimeout:       Patience,
		WriteTimeout:      Patience,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    headerBytes,
		ErrorLog:          slog.NewLogLogger(parts.Log.Handler(), slog.LevelWarn),
		BaseContext:       func(net.Listener) context.Context { return base },
		ConnContext:       s.conns.context,
		ConnState:         s.conns.changed,

		DisableGeneralOptionsHandler: true, // OPTIONS * is checked like everything else
	}
	return s
}

// SetToken has another token count, and ends what the one before has opened and goes on; of a port without one, and for an empty one, nothing
// changes. Any goroutine may call it.
func (s *Server) SetToken(token string) {
	if s.tokens != nil && token != "" {
		s.tokens.set(token)
	}
}

// Extend gives a handler, and what it writes, so much time from now on.
func Extend(w http.ResponseWriter, more time.Duration) error {
	rc, until := http.NewResponseController(w), time.Now().Add(more)
	return errors.Join(rc.SetReadDeadline(until), rc.SetWriteDeadline(until))
}

// Inherit has Listen take a listener that is open already; nil changes nothing.
func (s *Server) Inherit(ln net.Listener) {
	if ln != nil {
		s.ln = ln
	}
}

// Listen opens the port, unless it has inherited one. Without a token it is an error when others than this machine
// would reach it.
func (s *Server) Listen() error {
	port := s.cfg.Port
	if port == setting.AnyPort {
		port = 0
	}
	ln := s.ln
	if ln == nil {
		var err error
		if ln, err = net.Listen("tcp", net.JoinHostPort(s.cfg.Host, strconv.Itoa(port))); err != nil {
			return fmt.Errorf("ADMIN_PORT: %w", err)
		}
	}
	// What a name stands for is known only now.
	if tcp, ok := ln.Addr().(*net.TCPAddr); s.tokens == nil && (!ok || !tcp.IP.IsLoopback()) {
		_ = ln.Close()
		return fmt.Errorf("ADMIN_HOST: %s is %v here, which others may reach: set ADMIN_TOKEN, or ADMIN_HOST to 127.0.0.1", s.cfg.Host, ln.Addr())
	}
	s.ln = ln
	return nil
}

// Addr returns where the port is listened on, once Listen has returned nil.
func (s *Server) Addr() net.Addr { return s.ln.Addr() }

// Serve serves until Close, and returns nil then. Call it once, after Listen.
func (s *Server) Serve() error {
	if err := s.http.Serve(s.ln); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("ADMIN_PORT: %w", err)
	}
	return nil
}

// Close ends the port: what is being answered has until ctx ends. It may be called
// whether the port was opened or not.
func (s *Server) Close(ctx context.Context) {
	s.stop()
	_ = s.http.Shutdown(ctx)
	_ = s.http.Close()
	if s.ln != nil {
		_ = s.ln.Close() // Shutdown does not know one that was never served
	}
}
