// Package server wires poosh: it reads the configuration, opens the ports, and
// starts and stops the parts in order. It holds no protocol rule.
//
// Order of the end: senders first (what was accepted is handed over and
// answered), then clients (what waits for them is written, and they are closed
// so that they connect anew), then the sockets that are left.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"poosh/server/admission"
	"poosh/server/http1"
	"poosh/server/hub"
	"poosh/server/poosh"
	"poosh/server/socketio"
	"poosh/server/wire"
)

// A Server is one poosh process. Make one with [New], and start it once.
type Server struct {
	cfg   Config
	log   *slog.Logger
	hub   *hub.Hub
	loop  *wire.Loop
	limit *limiter
	gate  *admission.Gate
	ports []*endpoint
	parts []part

	counts []func() []any // what dialects add to the line of logStatus

	api     *poosh.API
	clients *poosh.Clients
	sockets *socketio.Server

	mu    sync.Mutex // guards addrs
	addrs map[string]net.Addr
}

// An endpoint is a listening address with what serves it.
type endpoint struct {
	setting string // that names it
	number  int
	server  *http1.Server
	senders bool // its requests are answered before clients are closed
	ln      net.Listener
}

// A part is a dialect's client side: how to end its connections in order.
type part struct {
	name     string
	shutdown func(context.Context) error
}

// New builds a server. It opens no port; see [Server.Run].
func New(cfg Config, log *slog.Logger) (*Server, error) {
	cfg = cfg.withDefaults()
	s := &Server{cfg: cfg, log: log, hub: hub.New(), addrs: make(map[string]net.Addr)}
	s.limit = newLimiter(cfg.Network, log)
	loop, err := wire.NewLoop(wire.Config{
		MaxMessage:   cfg.SocketIO.MaxPacketBytes,
		Outbox:       cfg.Network.OutboxBytes,
		Stuck:        cfg.Network.BacklogBytes,
		WriteTimeout: cfg.Network.WriteTimeout,
		Released:     s.limit.release,
		Log:          log,
	})
	if err != nil {
		return nil, err
	}
	s.loop = loop
	s.gate = admission.New(loop, 0)
	if cfg.Poosh.Secret != "" {
		s.addPoosh()
	}
	for _, dialect := range []struct {
		on  bool
		add func() error
	}{
		{cfg.Pusher.on(), s.addPusher},
		{cfg.Socktopus.on(), s.addSocktopus},
		{cfg.PushSocket.on(), s.addPushSocket}, // last: it opens a file
	} {
		if !dialect.on {
			continue
		}
		if err := dialect.add(); err != nil {
			loop.Close()
			return nil, err
		}
	}
	return s, nil
}

// addPoosh wires the Node server's dialect: POST /send on one port, socket.io on
// the other.
func (s *Server) addPoosh() {
	cfg := s.cfg
	s.api = poosh.NewAPI(poosh.Config{
		Secret:  cfg.Poosh.Secret,
		MaxBody: int64(cfg.Poosh.MaxBodyBytes),
		Gate:    s.gate,
	}, s.hub, s.log)
	s.clients = poosh.NewClients(poosh.ClientConfig{
		MaxRooms:         cfg.Poosh.MaxRooms,
		MaxRoomNameBytes: cfg.Poosh.MaxRoomNameBytes,
	}, s.hub, s.log)
	s.sockets = socketio.New(s.loop, s.socketIOConfig(), s.clients, s.log)
	s.addPolled("CLIENT_PORT", cfg.Poosh.ClientPort, clientRoutes(s.sockets), s.sockets.Quick, false)
	s.add("SERVER_PORT", cfg.Poosh.ServerPort, s.api.Router(), true)
	s.parts = append(s.parts, part{"socket.io", s.sockets.Shutdown})
}

func (s *Server) socketIOConfig() socketio.Config {
	c := s.cfg.SocketIO
	return socketio.Config{
		PingInterval:            c.PingInterval,
		PingTimeout:             c.PingTimeout,
		UpgradeTimeout:          c.UpgradeTimeout,
		ConnectTimeout:          c.ConnectTimeout,
		MaxPayload:              c.MaxPacketBytes,
		Outbox:                  s.cfg.Network.OutboxBytes,
		Unfetched:               s.cfg.Network.BacklogBytes,
		MaxSessions:             s.cfg.Network.MaxConnections,
		MaxSessionsPerAddress:   s.cfg.Network.MaxConnectionsPerAddress,
		MaxUnfinishedPerAddress: c.MaxUnfinishedPerAddress,
		ClientScript:            c.ClientScript,
	}
}

// headerBytes bounds the head of a request: 16 KB, as in Node. The HTTP server
// allows 4 KB more than it is told.
const headerBytes = 12 << 10

// add prepares a port. senders says that what comes there is published.
func (s *Server) add(setting string, number int, h http.Handler, senders bool) {
	s.addPolled(setting, number, h, nil, senders)
}

// addPolled prepares a port where clients poll; quick tells the requests that the
// handler serves without waiting.
func (s *Server) addPolled(setting string, number int, h http.Handler, quick func(*http.Request) bool, senders bool) {
	n := s.cfg.Network
	h = s.limit.forwarded(h)
	rest := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: n.HeaderTimeout,
		IdleTimeout:       n.IdleTimeout,
		MaxHeaderBytes:    headerBytes,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	plain := http1.Config{
		Handler:      h,
		Rest:         rest,
		FirstTimeout: n.HeaderTimeout,
		IdleTimeout:  n.IdleTimeout,
		WriteTimeout: n.WriteTimeout,
		Log:          s.log,
	}
	if senders {
		rest.DisableGeneralOptionsHandler = true // OPTIONS * wants a token like everything else
		rest.ReadTimeout = n.HeaderTimeout + n.BodyTimeout
		rest.WriteTimeout = rest.ReadTimeout + n.WriteTimeout
	} else {
		// No ReadTimeout: it would cut the polls that wait.
		rest.Handler = boundBody(h, n.BodyTimeout)
		rest.ConnState = s.limit.connState
		plain.Opened, plain.Closed = s.limit.opened, s.limit.closed
		if quick != nil {
			plain.Loop, plain.Quick = s.loop, quick
			plain.MaxAnswer = 4*n.OutboxBytes + headerBytes // frames are escaped once more for scripts
		}
	}
	s.ports = append(s.ports, &endpoint{setting: setting, number: number, server: http1.New(plain), senders: senders})
}

// boundBody gives the body of a request some time to arrive, also when no handler
// reads it.
func boundBody(next http.Handler, limit time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(limit))
		}
		next.ServeHTTP(w, r)
	})
}

// Addrs returns where the server listens, by the setting that names the port,
// such as CLIENT_PORT. It is empty before [Server.Run] has opened all ports.
func (s *Server) Addrs() map[string]net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	addrs := make(map[string]net.Addr, len(s.addrs))
	for name, a := range s.addrs {
		addrs[name] = a
	}
	return addrs
}

// Run opens the ports, serves until ctx ends, and then ends everything in order
// within SHUTDOWN_TIMEOUT. It returns nil after that, and an error when a port
// could not be opened or served. Call it once.
func (s *Server) Run(ctx context.Context) error {
	defer s.loop.Close()
	if err := s.listen(); err != nil {
		s.drain() // dialects may have files open
		return err
	}
	logFileLimit(s.log)
	stopStatus := s.reportOnSignal()
	defer stopStatus()

	failed := make(chan error, len(s.ports))
	var serving sync.WaitGroup
	for _, p := range s.ports {
		serving.Go(func() { // ends with the port's server
			if err := p.server.Serve(p.ln); !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("%s: %w", p.setting, err)
			}
		})
	}
	var err error
	select {
	case <-ctx.Done():
		s.log.Info("shutting down", "within", s.cfg.Network.ShutdownTimeout)
	case err = <-failed:
	}
	s.drain()
	serving.Wait()
	if err == nil {
		s.log.Info("stopped")
	}
	return err
}

// listen opens all ports or none.
func (s *Server) listen() error {
	for i, p := range s.ports {
		ln, err := net.Listen("tcp", s.cfg.Network.Addr(p.number))
		if err != nil {
			for _, opened := range s.ports[:i] {
				_ = opened.ln.Close()
			}
			return fmt.Errorf("%s: %w", p.setting, err)
		}
		p.ln = ln
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.ports {
		s.addrs[p.setting] = p.ln.Addr()
		s.log.Info("listening", "setting", p.setting, "addr", p.ln.Addr().String())
	}
	return nil
}

// drain ends everything in order. What does not end in time is cut off, and a
// line in the log says so.
func (s *Server) drain() {
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.Network.ShutdownTimeout)
	defer cancel()
	note := func(what string, err error) {
		if err != nil {
			s.log.Warn("not everything ended in time", "part", what, "err", err)
		}
	}
	for _, p := range s.ports {
		if p.senders {
			note(p.setting, p.server.Shutdown(ctx))
		}
	}
	for _, part := range s.parts {
		note(part.name, part.shutdown(ctx))
	}
	for _, p := range s.ports {
		if !p.senders {
			// The last answers have been handed over; a moment lets them leave.
			last, done := context.WithTimeout(ctx, time.Second)
			_ = p.server.Shutdown(last)
			done()
		}
		_ = p.server.Close()
	}
}
