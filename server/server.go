// Package server wires poosh: it reads the configuration, opens the ports, and
// starts and stops the parts in order. It holds no protocol rule.
//
// How it ends: see drain.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"

	"poosh/server/admission"
	"poosh/server/hub"
	"poosh/server/loop"
	"poosh/server/poosh"
	input "poosh/server/quota"
	"poosh/server/socketio"
	"poosh/server/websocket"
)

// A Server is one poosh process. Make one with [New], and start it once.
type Server struct {
	cfg  Config
	log  *slog.Logger
	hub  *hub.Hub
	loop *loop.Loop
	// websockets are the WebSockets on the loop, of all dialects.
	websockets *websocket.Server
	limit      *limiter

	// What has not arrived whole: of clients, and of senders, whose requests the loop
	// reads, and rarely net/http.
	clientInput, senderInput, senderRest *input.Quota
	rooms                                *input.Quota // of Poosh's clients

	gate  *admission.Gate
	ports []*port
	parts []part

	counts  []func() []any          // what dialects add to the line of logStatus
	polling []func() socketio.Stats // of dialects whose clients may poll

	api     *poosh.API
	clients *poosh.Clients
	sockets *socketio.Server

	mu    sync.Mutex // guards addrs
	addrs map[string]net.Addr
}

// A part is a dialect's client side: how to end its connections in order.
type part struct {
	name     string
	shutdown func(context.Context) error
}

// New builds a server. It opens no port; see [Server.Run].
func New(cfg Config, log *slog.Logger) (*Server, error) {
	cfg = cfg.withDefaults()
	if n, ok := fileLimit(); ok {
		cfg.Network.fitFiles(n, log)
	}
	s := &Server{cfg: cfg, log: log, hub: hub.New(), addrs: make(map[string]net.Addr)}
	s.limit = newLimiter(cfg.Network, log)
	s.clientInput = input.New(cfg.Network.InputBytes)
	s.senderInput, s.senderRest = input.New(cfg.Network.InputBytes/4*3), input.New(cfg.Network.InputBytes/4)
	var err error
	s.loop, err = loop.New(loop.Config{
		Outbox:       cfg.Network.OutboxBytes,
		MaxBlocked:   cfg.Network.BacklogBytes,
		WriteTimeout: cfg.Network.WriteTimeout,
		Log:          log,
	})
	if err != nil {
		return nil, err
	}
	s.websockets = websocket.NewServer(s.loop, websocket.Config{
		MaxMessage:     cfg.SocketIO.MaxPacketBytes,
		MessageTimeout: cfg.Network.BodyTimeout,
		Input:          s.clientInput,
		Released:       s.limit.released,
	})
	s.gate = admission.New(s.loop, 0)
	s.rooms = input.New(cfg.Network.RoomBytes)
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
			s.loop.Close()
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
		Rooms:            s.rooms,
	}, s.hub, s.log)
	sockets := s.socketIOConfig()
	sockets.Origins = cfg.Poosh.ClientOrigins
	s.sockets = socketio.New(s.websockets, sockets, s.clients, s.log)
	s.add(portConfig{setting: "CLIENT_PORT", number: cfg.Poosh.ClientPort, handler: clientRoutes(s.sockets), where: socketIOWhere,
		bounds: s.limit.forClients()})
	s.add(portConfig{setting: "SERVER_PORT", number: cfg.Poosh.ServerPort, handler: s.api.Router(), where: sendWhere,
		bounds: s.limit.forSenders(), senders: true})
	s.parts = append(s.parts, part{"socket.io", s.sockets.Shutdown})
	s.polling = append(s.polling, s.sockets.Stats)
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
