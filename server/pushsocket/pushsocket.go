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
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"poosh/server/admission"
	"poosh/server/hub"
	"poosh/server/pushsocket/store"
	"poosh/server/socketio"
	"poosh/server/websocket"
)

// growth is by how much a message may be larger on the wire than it was posted: a
// broken byte becomes U+FFFD and is written as the six characters \ufffd.
const growth = 6

// hubApp is the dialect's partition of the hub; each device is a room of it.
const hubApp = "pushsocket"

// Config says how the dialect serves and how much. Zero fields mean the defaults
// named here.
type Config struct {
	SocketIO socketio.Config // its Origins hold for the HTTP API too
	DB       string          // path of the database; push-socket.db
	Limits   store.Limits    // of what is kept
	Store    store.Store     // used in place of DB when set; Shutdown closes it
	Gate     *admission.Gate // asked before a message is stored; nil is always open

	// NoPrekeysStatus tells a device that it has no prekeys left: 205, as the
	// original, or 200 for clients whose HTTP library drops the body of a 205.
	NoPrekeysStatus int
	// OperatorToken is what operators identify themselves with; empty closes
	// their endpoint.
	OperatorToken string

	// Rates of each address: requests of the API with authentications on sockets,
	// 6,000 a minute; identities, 60 an hour; and keys that it takes of one
	// identity, 100 an hour.
	Requests, Registrations, KeyFetches Rate

	MaxBody       int           // bytes of a request's body; 102,400
	MaxKey        int           // bytes of one key; 4,096
	MaxRecipients int           // copies that one request may ask for, and messages; 500
	MaxTries      int           // refused authentications of one connection; 10
	AuthTimeout   time.Duration // a connection may be without authorization; 2 min
	MaxEvents     int           // of one connection that wait; 4,096, or twice MessagesPerDevice
	MaxEventBytes int64         // of all connections' events that wait; 64 MiB
	StoreTimeout  time.Duration // a caller waits for the disk; 10 s
	ExpireEvery   time.Duration // between two looks for what is too old; 10 min
}

func (c Config) withDefaults() Config {
	def(&c.DB, "push-socket.db")
	def(&c.NoPrekeysStatus, http.StatusResetContent)
	def(&c.Requests, Rate{6000, time.Minute})
	def(&c.Registrations, Rate{60, time.Hour})
	def(&c.KeyFetches, Rate{100, time.Hour})
	def(&c.MaxBody, 102_400)
	def(&c.MaxKey, 4096)
	def(&c.MaxRecipients, 500)
	def(&c.MaxTries, 10)
	def(&c.AuthTimeout, 2*time.Minute)
	if c.MaxEvents == 0 {
		c.MaxEvents = max(4096, 2*c.Limits.WithDefaults().MessagesPerDevice)
	}
	def(&c.MaxEventBytes, 64<<20)
	def(&c.StoreTimeout, 10*time.Second)
	def(&c.ExpireEvery, 10*time.Minute)
	// Mailboxes fill half an outbox, and one message more must fit.
	c.SocketIO.Outbox = max(c.SocketIO.Outbox, 1<<20, 2*growth*c.MaxBody+1024)
	return c
}

func def[T comparable](v *T, value T) {
	if *v == *new(T) {
		*v = value
	}
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
	cfg     Config
	store   store.Store
	hub     *hub.Hub
	loop    *websocket.Server
	log     *slog.Logger
	sockets *socketio.Server

	requests, registrations, fetches *limiter // by address

	clients   *workers        // run clients
	deliverer *workers        // run mailboxes
	ctx       context.Context // ends with stop; what waits for the store goes by it
	stop      context.CancelFunc
	janitor   sync.WaitGroup

	held atomic.Int64 // bytes of events that wait

	mu        sync.Mutex // guards what follows
	mailboxes map[store.DeviceID]*mailbox
	ended     bool // no mailbox is opened any more
	answering int  // requests
	closing   bool
	idle      chan struct{} // closed when closing and answering is 0

	countMu sync.Mutex // guards counts; the innermost lock
	counts  map[string]uint64
}

// New opens the store and starts the dialect's goroutines. Call Shutdown in any
// case.
func New(cfg Config, h *hub.Hub, loop *websocket.Server, log *slog.Logger) (*Dialect, error) {
	cfg = cfg.withDefaults()
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
		requests: newLimiter(cfg.Requests), registrations: newLimiter(cfg.Registrations), fetches: newLimiter(cfg.KeyFetches),
		clients: newWorkers(clientWorkers), deliverer: newWorkers(mailboxWorkers),
		mailboxes: make(map[store.DeviceID]*mailbox), counts: make(map[string]uint64), idle: make(chan struct{})}
	d.sockets = socketio.New(loop, cfg.SocketIO, d, log)
	d.janitor.Go(d.expire) // ends with Shutdown
	return d, nil
}

// ServeHTTP answers every request of the listener.
func (d *Dialect) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, socketio.Path) {
		d.sockets.ServeHTTP(w, r)
		return
	}
	if !d.begin() {
		w.Header().Set("Retry-After", admission.RetryAfter)
		d.reject(w, http.StatusServiceUnavailable, "shutting down", admission.ErrClosed.Error())
		return
	}
	defer d.done()
	d.serveAPI(w, r)
}

// Quick reports whether ServeHTTP serves a request without waiting: see
// [socketio.Server.Quick].
func (d *Dialect) Quick(r *http.Request) bool { return d.sockets.Quick(r) }

// begin counts a request. It fails once Shutdown began.
func (d *Dialect) begin() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closing {
		return false
	}
	d.answering++
	return true
}

func (d *Dialect) done() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.answering--
	if d.closing && d.answering == 0 {
		close(d.idle)
	}
}

// Shutdown takes no request any more, answers those it has, closes the sessions so
// that they connect anew elsewhere, ends the goroutines and closes the store. It
// returns soon after ctx ended, whatever is under way: sessions are cut off then,
// and nobody waits for the store. Requests have half of the time and sessions most of
// the rest, so that one that does not end leaves the others theirs.
func (d *Dialect) Shutdown(ctx context.Context) error {
	d.mu.Lock()
	if d.closing {
		d.mu.Unlock()
		return errors.New("push socket: shut down already")
	}
	d.closing = true
	if d.answering == 0 {
		close(d.idle)
	}
	d.mu.Unlock()
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
	select {
	case <-d.idle:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("requests: %w", ctx.Err())
	}
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
	d.countMu.Lock()
	defer d.countMu.Unlock()
	return Stats{sockets, authorized, maps.Clone(d.counts)}
}

// failed counts and logs an error of the store, unless everything ends, which is
// why then.
func (d *Dialect) failed(doing, remote string, err error) {
	if d.ctx.Err() != nil {
		return
	}
	d.count("store failed", 1)
	d.log.Error("push socket: "+doing, "remote", remote, "err", err)
}

func (d *Dialect) count(name string, n int) {
	if n == 0 {
		return
	}
	d.countMu.Lock()
	d.counts[name] += uint64(n)
	d.countMu.Unlock()
}
