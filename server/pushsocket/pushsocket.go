// Package pushsocket speaks the Push Socket Protocol: store and forward of mail
// between devices that are named by the identity keys of Signal's libraries, with
// the key server's HTTP API that it needs. Both are on one port.
//
// client.go is the sockets' door (authentication, recieved), mailbox.go pushes
// what is stored, api.go with keys.go, messages.go and operator.go is the HTTP API's,
// rates.go holds addresses to their rates, expire.go removes what is too old,
// encode.go is what goes over the wire, and package store keeps everything. "The original" in a
// comment is the key server of Grd Me in Node, December 2015; "the wiki" its pages
// on the protocol.
//
// # The way of a message
//
// A request asks the gate of all dialects, stores the message and is answered after
// the commit. Then the hub is told that there is something for the device; the device's mailbox, if one of its
// connections is here, reads it from the store and pushes it. The hub carries a
// word and no message: what a connection is given always comes from the store, in
// its order, from where the connection stands.
//
// Goroutines: a fixed number of workers check credentials and push, and one
// removes what is too old. [New] starts them, [Dialect.Shutdown] ends them.
//
// # Who may use up what
//
// Anybody can make a key and register, so nothing that all share is open to one of
// them: an address has rates, a device a bound on its keys, a sender a share of each
// mailbox and all senders that its device does not know a part, keys a part of the file,
// and an identity that is not used a life.
//
// Lock order: Dialect.mu, mailbox.mu, client.mu, then a session's own.
package pushsocket

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"poosh/server/admission"
	"poosh/server/closed"
	"poosh/server/dialect"
	"poosh/server/hub"
	"poosh/server/metric"
	"poosh/server/network"
	"poosh/server/presence"
	"poosh/server/pushsocket/store"
	"poosh/server/rate"
	"poosh/server/route"
	"poosh/server/sends"
	"poosh/server/setting"
	"poosh/server/socketio"
	"poosh/server/websocket"
)

// hubApp is the dialect's partition of the hub; each device is a room of it.
const hubApp = "pushsocket"

// Config says how the dialect serves and how much. Zero fields mean the defaults of
// the dialect's settings, or those named here.
type Config struct {
	SocketIO socketio.Config // its Origins hold for the HTTP API too
	DB       string          // path of the database, or its address
	Limits   store.Limits    // of what is kept
	Store    store.Store     // used in place of DB when set; Shutdown closes it
	Gate     *admission.Gate // asked before a message is stored; nil is always open
	Sends    *sends.Feed     // numbers requests with messages, and is told of these; nil for its own

	// NoPrekeysStatus tells a device that it has no prekeys left: 205, as the
	// original, or 200 for clients whose HTTP library drops the body of a 205.
	NoPrekeysStatus int
	// OperatorToken is what operators identify themselves with; empty closes
	// their endpoint.
	OperatorToken string

	// Rates of each address: requests of the API with authentications on sockets;
	// identities; and keys that it takes of one identity.
	Requests, Registrations, KeyFetches Rate

	MaxBody       int           // bytes of a request's body
	MaxKey        int           // bytes of one key
	MaxRecipients int           // copies that one request may ask for, and messages
	MaxTries      int           // refused authentications of one connection
	AuthTimeout   time.Duration // a connection may be without authorization
	MaxEvents     int           // of one connection that wait; in any case twice MessagesPerDevice may
	MaxEventBytes int64         // of all connections' events that wait; 64 MiB
	StoreTimeout  time.Duration // a caller waits for the disk
	ExpireEvery   time.Duration // between two looks for what is too old; 10 min
	// LookEvery is about how often a mailbox is looked at for which nobody rings, since
	// another process may have stored something: 1 min where DB is one that processes share,
	// and else never.
	LookEvery time.Duration
	// Holder says which of many processes that share DB pushes to a device; nil for this one alone.
	Holder presence.Holder
}

func (c Config) withDefaults() Config {
	s := settings{Config: c}
	setting.Fill(s.group().Settings)
	c = s.Config
	c.MaxEventBytes = cmp.Or(c.MaxEventBytes, 64<<20)
	c.ExpireEvery = cmp.Or(c.ExpireEvery, 10*time.Minute)
	if store.IsPostgres(c.DB) {
		c.LookEvery = cmp.Or(c.LookEvery, time.Minute)
	}
	if c.SocketIO.Closed == nil {
		c.SocketIO.Closed = closed.New(0).Source("push socket", hubApp)
	}
	if c.SocketIO.Traffic == nil {
		c.SocketIO.Traffic = new(metric.Traffic)
	}
	// Mailboxes fill half an outbox, and one message more must fit.
	c.SocketIO.Outbox = max(c.SocketIO.Outbox, network.Defaults().OutboxBytes, 2*dialect.Growth*c.MaxBody+1024)
	return c
}

// How many goroutines check credentials and confirm, and how many read from the
// store for those who are pushed to. The former mostly wait for a commit that many
// share.
const (
	clientWorkers  = 16
	mailboxWorkers = 4
)

// A Dialect serves the Push Socket Protocol. Make one with [New]; it is the
// http.Handler of its listener.
type Dialect struct {
	cfg     Config // set once; of what may change, rules has what counts
	rules   atomic.Pointer[rules]
	store   store.Store
	hub     *hub.Hub
	loop    *websocket.Server
	log     *slog.Logger
	sockets *socketio.Server
	routes  *route.Router

	requests, registrations, fetches *rate.Limiter // by address

	clients   *workers        // run clients
	deliverer *workers        // run mailboxes
	ctx       context.Context // ends with stop; what waits for the store goes by it
	stop      context.CancelFunc
	janitor   sync.WaitGroup

	answering admission.Door // requests

	held atomic.Int64 // bytes of events that wait

	mu        sync.Mutex // guards what follows
	mailboxes map[store.DeviceID]*mailbox
	ended     bool // no mailbox is opened any more

	bells  bells // that wait for the other processes
	counts *metric.Set[happening]
}

// A rules is what counts until the settings are read again. It never changes.
type rules struct {
	origins       []string
	operatorToken string
}

// New opens the store and starts the dialect's goroutines. Call Shutdown in any
// case.
func New(cfg Config, h *hub.Hub, loop *websocket.Server, log *slog.Logger) (*Dialect, error) {
	cfg = cfg.withDefaults()
	cfg.Sends = cmp.Or(cfg.Sends, sends.New())
	if cfg.NoPrekeysStatus != http.StatusOK && cfg.NoPrekeysStatus != http.StatusResetContent {
		return nil, fmt.Errorf("push socket: status %d for a device without prekeys", cfg.NoPrekeysStatus)
	}
	st := cfg.Store
	if st == nil {
		var err error
		if st, err = store.Open(cfg.DB, cfg.Limits); err != nil {
			return nil, fmt.Errorf("push socket: %w", err)
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	d := &Dialect{cfg: cfg, store: st, hub: h, loop: loop, log: log, ctx: ctx, stop: stop,
		requests: rate.PerAddress(cfg.Requests), registrations: rate.PerAddress(cfg.Registrations), fetches: rate.PerAddress(cfg.KeyFetches),
		clients: newWorkers(clientWorkers), deliverer: newWorkers(mailboxWorkers),
		mailboxes: make(map[store.DeviceID]*mailbox), counts: metric.Closed[happening](happeningNames[:])}
	d.rules.Store(&rules{cfg.SocketIO.Origins, cfg.OperatorToken})
	d.sockets = socketio.New(loop, cfg.SocketIO, d, log)
	d.routes = d.mount()
	d.bells.again.Fire = d.ringAgain
	if cfg.Holder != nil {
		cfg.Holder.Changed(d.changed)
	}
	d.janitor.Go(d.expire) // ends with Shutdown
	return d, nil
}

// ServeHTTP answers every request of the listener.
func (d *Dialect) ServeHTTP(w http.ResponseWriter, r *http.Request) { d.routes.ServeHTTP(w, r) }

// Shutdown takes no request any more, answers those it has, closes the sessions so
// that they connect anew elsewhere, ends the goroutines and closes the store. It
// returns soon after ctx ended, whatever is under way: sessions are cut off then,
// and nobody waits for the store. Requests have half of the time and sessions most of
// the rest, so that one that does not end leaves the others theirs.
func (d *Dialect) Shutdown(ctx context.Context) error {
	if !d.answering.Close() {
		return errors.New("push socket: shut down already")
	}
	defer d.stop()
	defer context.AfterFunc(ctx, d.stop)()
	err := inPart(ctx, 1, 2, d.answered)
	err = errors.Join(err, inPart(ctx, 3, 4, d.sockets.Shutdown))
	// What clients said last is worked on before anything is cut off.
	err = errors.Join(err, d.clients.close(ctx), d.deliverer.close(ctx))
	d.closeMailboxes() // of sessions whose end came too late for a worker
	d.stop()
	d.janitor.Wait()
	return errors.Join(err, d.store.Close(ctx))
}

// answered waits until all requests are.
func (d *Dialect) answered(ctx context.Context) error {
	if err := d.answering.Wait(ctx); err != nil {
		return fmt.Errorf("requests: %w", err)
	}
	return nil
}

// inPart ends something in a part of the time that ctx has left.
func inPart(ctx context.Context, part, of time.Duration, end func(context.Context) error) error {
	if last, ok := ctx.Deadline(); ok {
		short, cancel := context.WithTimeout(ctx, time.Until(last)*part/of)
		defer cancel()
		ctx = short
	}
	return end(ctx)
}

// Stats are counts of this moment and since the start.
type Stats struct {
	Sockets    socketio.Stats
	Authorized int               // devices with a connection
	Counts     map[string]uint64 // what was stored, pushed, confirmed and refused, by name
}

// Stats returns the counts so far.
func (d *Dialect) Stats() Stats {
	sockets := d.sockets.Stats()
	d.mu.Lock()
	authorized := len(d.mailboxes)
	d.mu.Unlock()
	return Stats{sockets, authorized, d.allCounts()}
}

// failed counts and logs an error of the store, unless everything ends, which is
// why then.
func (d *Dialect) failed(doing, remote string, err error) {
	if d.ctx.Err() != nil {
		return
	}
	d.count(storeFailed, 1)
	d.log.Error("push socket: "+doing, "remote", remote, "err", err)
}

func (d *Dialect) count(what happening, n int) { d.counts.Add(what, n) }
