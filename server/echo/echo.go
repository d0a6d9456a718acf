// Package echo serves clients of laravel-echo with broadcaster socket.io, and hands them what
// Laravel's redis broadcaster publishes, as laravel-echo-server 1.6.3 did (docs/laravel-echo.md;
// a comment that says "the original" means that one).
//
// broadcast.go reads what comes from Redis, arguments.go what clients say, encode.go is what
// they are told. subscribe.go has what a client is in, presence.go who the members of a channel
// are, returning.go what a client comes back to. Who may join a private channel the application
// says, see package authorize; package api is the HTTP API.
//
// # Goroutines
//
// Clients' events come on goroutines that read for many, answers of the application on its
// own, messages of Redis on the intake's: nothing here waits on any of them but the last, which
// may be held up by the gate.
//
// Lock order, outermost first: a room's turn, listener.mu, then the hub's and Dialect.mu,
// and below them a session's own. That of the states is taken before listener.mu, and behind no
// other.
package echo

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"poosh/server/admission"
	"poosh/server/closed"
	"poosh/server/echo/api"
	"poosh/server/echo/authorize"
	"poosh/server/hub"
	"poosh/server/intake"
	"poosh/server/loop"
	"poosh/server/metric"
	"poosh/server/presence"
	"poosh/server/quota"
	"poosh/server/rate"
	"poosh/server/returning"
	"poosh/server/seldom"
	"poosh/server/sends"
	"poosh/server/socketio"
	"poosh/server/websocket"
)

// dialectName is what the dialect is called in the log, in metrics and to who watches.
const dialectName = "echo"

// A Config says what is served and how much of it. Zero fields of the first part mean the
// defaults of the dialect's settings.
type Config struct {
	Bounds
	Prefixes        []string // of channels in Redis; anyPrefix among them for channels without
	KeepSocket      bool     // leave the sender's socket in the data of events
	MaxChannelBytes int      // of a channel's name

	// Updates is the Redis where the application is told who is in presence channels; none for
	// not telling it.
	Updates intake.Address

	API       api.Config       // without apps nobody may ask anything
	Authorize authorize.Config // without a URL nobody gets into private channels
	SocketIO  socketio.Config

	Away      time.Duration // for how long a client may be away and come back as who it was
	AwayBytes int64         // of what is known of all that are away

	Process
}

// Bounds are those that another value may have when the settings are read again.
type Bounds struct {
	MaxChannels    int           // of one connection
	MaxMembers     int           // users in one presence channel
	MaxMemberBytes int           // of what a member is for the others
	Whispers       rate.Rate     // client events of one connection
	Grace          time.Duration // how long a member whose connection is cut stays one; negative for not at all
}

// A Process is what the dialect is given of the process around it, for as long as that runs.
type Process struct {
	Gate *admission.Gate // admits what is published; nil admits everything
	// Begun is closed once what Laravel publishes may reach clients; nil for from the start on.
	Begun <-chan struct{}
	// Sends gives publications their ids, and is told of them; nil for a feed of the dialect's
	// own. Rooms counts what channels cost; nil for nobody.
	Sends *sends.Feed
	Rooms *quota.Quota

	// The other processes of a cluster, see [dialect.Host]; nil in one alone.
	Desk      presence.Desk
	Census    presence.Census
	Bus       presence.Bus
	Once      presence.Once
	Subscribe func(app, room string, answer func(error))
}

func (c Config) withDefaults() Config {
	s := settings{Config: c}
	s.fill()
	c = s.Config
	c.Sends = cmp.Or(c.Sends, sends.New())
	if c.SocketIO.Closed == nil {
		c.SocketIO.Closed = closed.New(0).Source(dialectName, "")
	}
	if c.SocketIO.Traffic == nil {
		c.SocketIO.Traffic = new(metric.Traffic)
	}
	return c
}

// A Dialect is the server for clients of laravel-echo. Make one with [New].
type Dialect struct {
	hub      *hub.Hub // set once, as what follows
	loop     *websocket.Server
	log      *slog.Logger
	process  Process
	reader   *reader
	maxName  int // bytes of a channel's name
	sockets  *socketio.Server
	closed   *closed.Source
	traffic  *metric.Traffic
	asks     *authorize.Asker // nil without an address: everybody is refused
	api      *api.API
	kept     bool // events are kept for clients that come back
	states   *returning.States[*listener, *member]
	updates  *updater      // nil unless the application is told who is in presence channels
	lists    chan struct{} // has an element for each question about all channels that is being answered
	contents shelf         // of lists of all channels that other processes are reading

	bounds atomic.Pointer[Bounds] // never nil

	ignored *metric.Set[ignored]
	kinds   [kindCount]traffic
	refused atomic.Uint64 // subscriptions that were not made
	counted recoveries

	unpublished seldom.Word // events that did not get out, or maybe not everywhere
	silent      seldom.Word // pages that subscribe to nothing
	unwatch     func()      // ends and awaits who looks for those; set once

	maxLingering int           // set once; clients that are waited for
	hasty        atomic.Uint64 // those that were not, since so many are

	mu        sync.Mutex // guards what follows
	listeners map[string]*listener
	lingering map[*listener]struct{}
	over      bool // nobody lingers any more
	infos     map[string]map[string][]byte
}

// A traffic counts subscriptions of one kind of channel.
type traffic struct{ made, ended atomic.Uint64 }

const kindCount = 3

var kindNames = [kindCount]string{"public", "private", "presence"}

func (k kind) index() int {
	switch {
	case k.presence:
		return 2
	case k.private:
		return 1
	}
	return 0
}

// New returns a dialect. It starts nothing that [Dialect.Shutdown] does not end.
func New(cfg Config, h *hub.Hub, loop *websocket.Server, log *slog.Logger) *Dialect {
	cfg = cfg.withDefaults()
	d := &Dialect{hub: h, loop: loop, log: log, process: cfg.Process, reader: newReader(&cfg), maxName: cfg.MaxChannelBytes,
		closed: cfg.SocketIO.Closed, traffic: cfg.SocketIO.Traffic, kept: h.Keeps(App), lists: make(chan struct{}, maxLists), maxLingering: maxLingering,
		ignored: metric.Closed[ignored](ignoredNames[:]), listeners: make(map[string]*listener),
		lingering: make(map[*listener]struct{}), infos: make(map[string]map[string][]byte)}
	d.states = newStates(h, cfg.Away, cfg.AwayBytes)
	if cfg.Authorize.URL != "" {
		d.asks = authorize.New(cfg.Authorize, log)
	}
	d.bounds.Store(&cfg.Bounds)
	d.api = api.New(cfg.API, door{d}, d.traffic)
	cfg.SocketIO.Begin = func(r *http.Request) any { return visitor(r.Header.Get("Cookie")) }
	if d.kept && cfg.SocketIO.Recovery == socketio.RecoveryAsked {
		// Handlers of laravel-echo take one argument, so one more harms nobody: and pages of
		// version 1 with a client of socket.io 3 or 4 are repaired by it, unasked.
		cfg.SocketIO.Recovery = socketio.RecoveryOn
	}
	if !cfg.Updates.IsZero() {
		d.updates = newUpdater(d, cfg.Updates)
	}
	d.sockets = socketio.New(loop, cfg.SocketIO, d, log)
	var watching sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	watching.Go(func() { d.watchUnsubscribed(ctx) }) // ends with Shutdown
	d.unwatch = func() { cancel(); watching.Wait() }
	if d.across() {
		d.process.Desk.Hear(App, others{d})
		d.process.Bus.Handle(busKind, d.answerCount)
	}
	return d
}

// across reports whether other processes have to be asked.
func (d *Dialect) across() bool { return d.process.Desk != nil }

// Shutdown takes nobody any more, writes what waits for clients, and closes them so that they
// connect anew elsewhere. It returns when all are gone, or soon after ctx ended.
func (d *Dialect) Shutdown(ctx context.Context) error {
	d.unwatch()
	err := d.sockets.Shutdown(ctx)
	d.mu.Lock()
	d.over = true
	var left []*listener
	for l := range d.lingering {
		left = append(left, l)
	}
	d.mu.Unlock()
	for _, l := range left {
		l.endGrace()
	}
	if d.asks != nil {
		d.asks.Close()
	}
	if d.updates != nil {
		d.updates.stop(ctx)
	}
	return err
}

// enlist has a client be found by its id.
func (d *Dialect) enlist(l *listener) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.listeners[l.sub.ID()] = l
}

// strike is the end of that, unless another one has the id by now.
func (d *Dialect) strike(l *listener) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.listeners[l.sub.ID()] == l {
		delete(d.listeners, l.sub.ID())
	}
}

// find returns the client of an id, or nil.
func (d *Dialect) find(id string) *listener {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.listeners[id]
}

// maxLingering bounds the clients whose connections are cut and who are waited for. Others go
// at once, and are counted.
const maxLingering = 1 << 16

// linger has a client's memberships last a little longer than its connection. It reports false
// if they must not.
func (d *Dialect) linger(l *listener, for_ time.Duration) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.over:
		return false
	case len(d.lingering) >= d.maxLingering:
		d.hasty.Add(1)
		return false
	}
	d.lingering[l] = struct{}{}
	l.grace = &loop.Timer{Fire: func() { l.session.Guard(l.endGrace) }}
	d.loop.Schedule(l.grace, for_)
	return true
}

// lingered takes a client off those, and reports whether it was there.
func (d *Dialect) lingered(l *listener) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, was := d.lingering[l]
	if delete(d.lingering, l); was {
		d.loop.Cancel(l.grace)
	}
	return was
}
