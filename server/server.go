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
	"sync/atomic"
	"time"

	"poosh/server/admin"
	"poosh/server/admission"
	"poosh/server/closed"
	"poosh/server/cluster"
	"poosh/server/dialect"
	"poosh/server/fleet"
	"poosh/server/handover"
	"poosh/server/health"
	"poosh/server/hub"
	"poosh/server/hub/history"
	"poosh/server/idempotency"
	"poosh/server/incident"
	"poosh/server/inspect"
	"poosh/server/latency"
	"poosh/server/loop"
	"poosh/server/network"
	"poosh/server/overview"
	"poosh/server/passing"
	"poosh/server/poosh"
	input "poosh/server/quota"
	"poosh/server/sends"
	"poosh/server/series"
	"poosh/server/systemd"
	"poosh/server/websocket"
)

// A Server is one poosh process. Make one with [New], and start it once.
type Server struct {
	cfg  *Config // as it was at the start; what counts is in now
	log  *slog.Logger
	now  atomic.Pointer[inForce]
	hub  *hub.Hub
	kept *history.Log // nil when nothing is kept

	cluster *cluster.Cluster // nil for a process that is alone
	joined  bool             // that it is one of it; owned by Run
	// delivered are those who count what comes by it and is handed to clients
	delivered delivered

	passing     *passing.Node // requests for sessions of other nodes; nil for a process that is alone
	passingEnds chan error    // what serving them says in the end; owned by Run

	file *handover.File // of HISTORY_FILE; nil without it, and before all ports are open
	loop *loop.Loop
	// websockets are the WebSockets on the loop, of all dialects.
	websockets *websocket.Server
	limit      *limiter
	security   // what ports that speak TLS share

	// What has not arrived whole: of clients, and of senders, whose requests the loop
	// reads, and rarely net/http.
	clientInput, senderInput, senderRest *input.Quota
	rooms                                *input.Quota // of all clients

	gate      *admission.Gate
	health    *health.Health
	sends     *sends.Feed
	fleet     *fleet.Fleet
	keys      *idempotency.Store
	latency   *latency.Meter     // nil without the operators' port
	dialects  []started          // that are on, set once
	ports     []*port            // set once
	admin     *admin.Server      // the operators' port; nil when there is none
	incidents *incident.Recorder // of that port; nil without it, as what follows
	series    *series.Recorder
	live      *overview.Live
	known     atomic.Pointer[[]inspect.App] // see learnApps

	closed *closed.Book  // connections that have left
	begun  chan struct{} // closed by Run, see [dialect.Host]
	asked  chan struct{} // to end, by an operator; capacity 1

	manager *systemd.Manager
	ready   atomic.Bool // the manager knows that the ports are open

	reloading  sync.Mutex // held by a reload, and while the process joins its cluster
	committing sync.Mutex // held while one has its settings count, and when the end begins; see unlessEnding

	mu    sync.Mutex // guards addrs
	addrs map[string]net.Addr
}

// What is inForce until the settings are read again.
type inForce struct {
	cfg     *Config
	network network.Config // its network, as the limit of open files allows
}

// config is what counts now.
func (s *Server) config() *Config { return s.now.Load().cfg }

// network is what the ports of all dialects share now.
func (s *Server) network() *network.Config { return &s.now.Load().network }

// fitted is what ports may share, as the limit of open files allows, and what is less for
// that than was asked for.
func fitted(n *network.Config, operators bool) (network.Config, []lowered) {
	fit := *n
	files, ok := fileLimit()
	if !ok {
		return fit, nil
	}
	reserve := 0
	if operators {
		reserve = admin.MaxConnections
	}
	return fit, fitFiles(&fit, files, reserve)
}

// A started dialect, by its name.
type started struct {
	name string
	*dialect.Running
}

// New builds a server, and starts what a dialect has beside its ports. It opens no
// port; see [Server.Run]. cfg is the server's from here on.
func New(cfg *Config, log *slog.Logger) (*Server, error) {
	s := &Server{cfg: cfg, log: log, closed: closed.New(closed.Kept), begun: make(chan struct{}), asked: make(chan struct{}, 1), addrs: make(map[string]net.Addr)}
	s.keep()
	fit, less := fitted(&cfg.Network, cfg.Admin.On())
	if files, ok := fileLimit(); ok {
		log.Info("open files", "limit", files)
	}
	for _, l := range less {
		log.Warn("lowered to what the limit of open files allows", "setting", l.setting, "from", l.from, "to", l.to)
	}
	s.now.Store(&inForce{cfg, fit})
	n := s.network()
	s.manager = systemd.New(log)
	if cfg.Admin.On() {
		s.latency = latency.New()
		s.hub.Measure(s.latency)
	}
	s.limit = newLimiter(*n, log)
	s.clientInput, s.rooms = input.New(n.InputBytes), input.New(n.RoomBytes)
	s.senderInput, s.senderRest = input.New(n.InputBytes/4*3), input.New(n.InputBytes/4)
	var err error
	s.loop, err = loop.New(loop.Config{
		Outbox:       n.OutboxBytes,
		MaxBlocked:   n.BacklogBytes,
		WriteTimeout: n.WriteTimeout,
		Log:          log,
	})
	if err != nil {
		return nil, err
	}
	s.websockets = websocket.NewServer(s.loop, websocket.Config{
		MessageTimeout: n.BodyTimeout,
		Input:          s.clientInput,
		Released:       s.limit.released,
	})
	s.pass()
	s.gate = admission.New(s.backlog(), 0)
	s.health = health.New(health.Config{Hub: s.hub, Loop: s.loop, Gate: s.gate, Log: log})
	s.sends, s.keys = sends.New(), idempotency.New(cfg.Idempotency)
	s.fleet = s.newFleet()
	if err := s.secure(); err != nil {
		s.loop.Close()
		return nil, err
	}
	for _, d := range cfg.on() {
		if err := s.start(d); err != nil {
			s.drain(cfg.Network.ShutdownTimeout) // those that are started may have files open
			s.loop.Close()
			return nil, err
		}
	}
	s.bridge(cfg.bridges())
	s.admin = s.operators()
	return s, nil
}

// keep makes the hub, with a log behind it if there is to be one, and a cluster.
func (s *Server) keep() {
	kept := history.New(history.Config{})
	apps := 0
	if s.cfg.History.On() {
		kept.Add(poosh.App, s.cfg.History)
		apps++
	}
	for _, d := range s.cfg.on() {
		if d.Kept == nil {
			continue
		}
		for _, k := range d.Kept() {
			kept.Add(k.App, history.Config{Age: k.Age, Bytes: k.Bytes, Events: k.Events})
			apps++
		}
	}
	var log hub.Log
	if apps > 0 {
		s.kept, log = kept, kept
	}
	var broker hub.Broker
	if s.cfg.Cluster.On() {
		s.cluster = cluster.New(s.cfg.Cluster)
		broker = s.cluster
	}
	s.hub = hub.NewWith(broker, log)
}

// start starts a dialect and prepares its ports.
func (s *Server) start(d *dialect.Dialect) error {
	host := dialect.Host{
		Hub: s.hub, WebSockets: s.websockets, Gate: s.gate, Rooms: s.rooms, Health: s.health, Closed: s.closed, Sends: s.sends, Keys: s.keys,
		Network: *s.network(), Log: s.log, Begun: s.begun,
	}
	s.across(&host)
	r, err := d.Start(&host)
	if err != nil {
		return err
	}
	s.dialects = append(s.dialects, started{d.Name, r})
	if r.Ready != nil {
		s.health.Need(d.Name, r.Ready)
	}
	for i := range d.Ports {
		s.add(&d.Ports[i], r.Routes[d.Ports[i].Setting])
	}
	return nil
}

// bridge joins each of these with all others.
func (s *Server) bridge(sides []*dialect.Bridge) {
	for i, a := range sides {
		for _, b := range sides[i+1:] {
			s.hub.Bridge(a.App, b.App, carry(a, b))
			s.hub.Bridge(b.App, a.App, carry(b, a))
		}
	}
}

// carry makes of one side's publications those of the other's.
func carry(from, to *dialect.Bridge) func(*hub.Publication) bool {
	return func(p *hub.Publication) bool {
		return (from.Export == nil || from.Export(p)) && (to.Import == nil || to.Import(p))
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

// afterEnd is more than enough for what comes after everything has ended: files are closed,
// and the last lines of the log leave.
const afterEnd = 5 * time.Second

// Run opens the ports, serves until ctx ends or an operator asks for the end, and then
// ends everything in order within SHUTDOWN_TIMEOUT. It returns nil after that, and an error when a port
// could not be opened or served. Call it once.
func (s *Server) Run(ctx context.Context) error {
	defer s.loop.Close()
	err := s.join(ctx)
	if err == nil {
		err = s.listenForNodes()
	}
	if err == nil {
		err = s.listen()
	}
	if err == nil {
		// With the ports open: this is the process that takes the last one's place.
		if err = s.goOn(); err != nil {
			s.each(nil, func(p *port) { _ = p.ln.Close() }) // nothing serves them, which would
		}
	}
	if err != nil {
		s.drain(s.cfg.Network.ShutdownTimeout) // dialects may have files open
		return err
	}
	close(s.begun)
	stopStatus := s.reportOnSignal()
	defer stopStatus()
	defer s.keepCertificates()()

	failed := make(chan error, len(s.ports)+1)
	var serving sync.WaitGroup
	for _, p := range s.ports {
		serving.Go(func() { // ends with the port's server
			if err := p.server.Serve(p.ln); !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("%s: %w", p.Setting, err)
			}
		})
	}
	if s.admin != nil {
		s.incidents.Start()
		defer s.incidents.Close()
		s.series.Start()
		defer s.series.Close()
		serving.Go(func() { // ends with drain
			if err := s.admin.Serve(); err != nil {
				failed <- err
			}
		})
	}
	s.manager.Ready()
	s.ready.Store(true)
	stopWatching := s.manager.Watch(s.health.Stuck)
	select {
	case <-ctx.Done():
	case <-s.asked:
	case err = <-failed:
	}
	stopWatching()
	within := s.beginEnd()
	s.manager.Stopping(within + afterEnd)
	if err == nil {
		s.log.Info("shutting down", "within", within)
		began := time.Now()
		err = s.announce(failed)
		within -= time.Since(began)
	}
	s.drain(within)
	serving.Wait()
	if err == nil {
		s.log.Info("stopped")
	}
	return err
}
