// Package pushsocket speaks the Push Socket Protocol: store and forward of mail
// between devices that are named by the identity keys of Signal's libraries, with
// the key server's HTTP API that it needs. Both are on one port.
//
// client.go is the sockets' door (authentication, recieved), mailbox.go pushes
// what is stored, api.go and the files beside it are the HTTP API's, encode.go is
// what goes over the wire, and package store keeps everything. "The original" in a
// comment is the key server of Grd Me in Node, December 2015; "the wiki" its pages
// on the protocol.
//
// # The way of a message
//
// A request stores it and is answered after the commit. Then the hub is told that
// there is something for the device; the device's mailbox, if one of its
// connections is here, reads it from the store and pushes it. The hub carries a
// word and no message: what a connection is given always comes from the store, in
// its order, from where the connection stands.
//
// Goroutines: a fixed number of workers check credentials and push, and one
// removes what is too old. [New] starts them, [Dialect.Shutdown] ends them.
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
	"time"

	"poosh/server/hub"
	"poosh/server/pushsocket/store"
	"poosh/server/socketio"
	"poosh/server/wire"
)

// growth is by how much a message may be larger on the wire than it was posted: a
// broken byte becomes U+FFFD and is written as the six characters \ufffd.
const growth = 6

// hubApp is the dialect's partition of the hub; each device is a room of it.
const hubApp = "pushsocket"

// Config says how the dialect serves and how much. Zero fields mean the defaults
// named here.
type Config struct {
	SocketIO socketio.Config
	DB       string       // path of the database; push-socket.db
	Limits   store.Limits // of what is kept
	Store    store.Store  // used in place of DB when set; Shutdown closes it

	// NoPrekeysStatus tells a device that it has no prekeys left: 205, as the
	// original, or 200 for clients whose HTTP library drops the body of a 205.
	NoPrekeysStatus int
	// OperatorToken is what operators identify themselves with; empty closes
	// their endpoint.
	OperatorToken string

	MaxBody       int           // bytes of a request's body; 102,400
	MaxRecipients int           // copies that one request may ask for; 500
	MaxTries      int           // refused authentications of one connection; 10
	AuthTimeout   time.Duration // a connection may be without authorization; 2 min
	MaxEvents     int           // of one connection that wait; 4,096, or twice MessagesPerDevice
	ExpireEvery   time.Duration // between two looks for what is too old; 10 min
}

func (c Config) withDefaults() Config {
	def(&c.DB, "push-socket.db")
	def(&c.NoPrekeysStatus, http.StatusResetContent)
	def(&c.MaxBody, 102_400)
	def(&c.MaxRecipients, 500)
	def(&c.MaxTries, 10)
	def(&c.AuthTimeout, 2*time.Minute)
	if c.MaxEvents == 0 {
		c.MaxEvents = max(4096, 2*c.Limits.WithDefaults().MessagesPerDevice)
	}
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
	loop    *wire.Loop
	log     *slog.Logger
	sockets *socketio.Server

	clients   *workers // run clients
	deliverer *workers // run mailboxes
	stop      context.CancelFunc
	janitor   sync.WaitGroup

	mu        sync.Mutex // guards what follows
	mailboxes map[store.DeviceID]*mailbox
	requests  int // being answered
	closing   bool
	idle      chan struct{} // closed when closing and requests is 0

	countMu sync.Mutex // guards counts; the innermost lock
	counts  map[string]uint64
}

// New opens the store and starts the dialect's goroutines. Call Shutdown in any
// case.
func New(cfg Config, h *hub.Hub, loop *wire.Loop, log *slog.Logger) (*Dialect, error) {
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
	d := &Dialect{cfg: cfg, store: st, hub: h, loop: loop, log: log, stop: stop,
		clients: newWorkers(clientWorkers), deliverer: newWorkers(mailboxWorkers),
		mailboxes: make(map[store.DeviceID]*mailbox), counts: make(map[string]uint64), idle: make(chan struct{})}
	d.sockets = socketio.New(loop, cfg.SocketIO, d, log)
	d.janitor.Go(func() { d.expire(ctx) }) // ends with Shutdown
	return d, nil
}

// ServeHTTP answers every request of the listener.
func (d *Dialect) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, socketio.Path) {
		d.sockets.ServeHTTP(w, r)
		return
	}
	if !d.begin() {
		w.Header().Set("Retry-After", "1")
		writeError(w, http.StatusServiceUnavailable, "server is shutting down")
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
	d.requests++
	return true
}

func (d *Dialect) done() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.requests--
	if d.closing && d.requests == 0 {
		close(d.idle)
	}
}

// Shutdown takes no request any more, answers those it has, closes the sessions so
// that they connect anew elsewhere, ends the goroutines and closes the store. When
// ctx ends first, sessions are cut off; the rest is done all the same.
func (d *Dialect) Shutdown(ctx context.Context) error {
	d.mu.Lock()
	if d.closing {
		d.mu.Unlock()
		return errors.New("push socket: shut down already")
	}
	d.closing = true
	if d.requests == 0 {
		close(d.idle)
	}
	d.mu.Unlock()
	var err error
	select {
	case <-d.idle:
	case <-ctx.Done():
		err = ctx.Err()
	}
	err = errors.Join(err, d.sockets.Shutdown(ctx))
	d.stop()
	d.janitor.Wait()
	d.clients.close()
	d.deliverer.close()
	d.closeMailboxes() // of sessions whose end came too late for a worker
	return errors.Join(err, d.store.Close())
}

// expire removes messages that are too old, until ctx ends.
func (d *Dialect) expire(ctx context.Context) {
	tick := time.NewTicker(d.cfg.ExpireEvery)
	defer tick.Stop()
	for {
		n, err := d.store.Expire(ctx, time.Now().Add(-d.store.Limits().MaxAge))
		if err != nil && ctx.Err() == nil {
			d.log.Error("push socket: removing old messages", "err", err)
		}
		if n > 0 {
			d.count("messages expired", n)
			d.log.Info("push socket: old messages removed", "messages", n)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
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

func (d *Dialect) count(name string, n int) {
	if n == 0 {
		return
	}
	d.countMu.Lock()
	d.counts[name] += uint64(n)
	d.countMu.Unlock()
}
