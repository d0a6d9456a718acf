// Package pusher speaks Pusher Channels: its HTTP API, through which applications
// publish and ask who listens, and its WebSocket protocol, versions 4 to 7, for
// pusher-js, Laravel Echo and their kin. Where Pusher's documentation is silent or
// its libraries need more, it follows Sockudo.
//
// It must not know other dialects, the environment, or how many nodes there are.
// Messages are handled on the goroutines of the [websocket.Server]; an app's webhooks
// have goroutines of their own, which end when nothing waits to be sent and at
// the latest with [Dialect.Shutdown].
//
// # Why
//
// A channel is a hub room and an app a hub app, named [HubApp]: events take the
// way that all dialects share. What is decided in one step for a channel (who is
// in it, what its newcomer is told, whether it is occupied, which event it caches)
// is decided with the channel's [hub.Roster] open; ordinary events do not wait for
// it. The Data of a publication is a JSON string, as it stands in every frame; Meta is
// the user's id of a client event.
//
// # Where nodes would meet
//
// In a cluster four things cross nodes: publications (the hub's seam), the rosters
// (first and last connection, and counts), who is signed in ([users]), and the
// last event of a cache channel ([cache]). Nothing else here keeps state that
// another node would have to see.
//
// Lock order, outermost first: an open roster, users.mu, client.mu, app.mu, then
// the locks of the hub, and those of caches and connections, and of webhooks, their
// endpoints and losses in this order. Under these nothing is locked but the counters.
package pusher

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"poosh/server/admission"
	"poosh/server/hub"
	"poosh/server/quota"
	"poosh/server/websocket"
)

// A Config is what an operator may choose. Zero fields mean the defaults named
// here.
type Config struct {
	Apps       []App  // at least one
	PathPrefix string // in front of /app and /apps, such as "/push"; both work without it too

	MaxConnections  int // open at once, of all apps; more are closed with 4100; no limit
	MaxMessageBytes int // of one message of a client; more closes its connection; 64 KiB
	MaxBodyBytes    int // of one request; 10 MB
	CacheBytes      int // that one app's cached events may take; 64 MiB
	WebhookQueue    int // events that may wait for one webhook; 10,000

	// Channels, if set, counts what the public channels of all clients cost, whoever may
	// subscribe: the name and channelCost for each that a client is in.
	Channels *quota.Quota

	// Gate admits what senders and clients publish, once they are known and their
	// event is judged; nil admits everything. Whoever made it closes it, before
	// [Dialect.Shutdown].
	Gate *admission.Gate

	APIRate     Rate // requests of one address; no limit
	ConnectRate Rate // connections opened by one address; no limit

	BodyTimeout  time.Duration // for a request's body to arrive; 30 s
	WriteTimeout time.Duration // for an answer to leave; 60 s
	PongTimeout  time.Duration // for a sign of life after a ping; 30 s
	WebhookHold  time.Duration // how long a webhook waits for somebody to come back; 3 s
}

func (c Config) withDefaults() Config {
	setDefault(&c.MaxMessageBytes, 64<<10)
	setDefault(&c.MaxBodyBytes, 10_000_000)
	setDefault(&c.CacheBytes, 64<<20)
	setDefault(&c.WebhookQueue, 10_000)
	setDefault(&c.BodyTimeout, 30*time.Second)
	setDefault(&c.WriteTimeout, 60*time.Second)
	setDefault(&c.PongTimeout, 30*time.Second)
	setDefault(&c.WebhookHold, 3*time.Second)
	return c
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// HubApp returns the name that a Pusher app has in the hub.
func HubApp(id string) string { return "pusher:" + id }

// A Dialect serves the apps of one configuration. Make one with [New].
type Dialect struct {
	cfg    Config
	prefix string
	hub    *hub.Hub
	loop   *websocket.Server
	log    *slog.Logger

	apps  map[string]*app // by id; set once
	byKey map[string]*app // set once

	apiLimit     *limiter // by address; nil without one
	connectLimit *limiter // by address; nil without one
	conns        atomic.Int64
	counts       counters

	draining atomic.Bool
}

// New makes a dialect whose connections live on loop. It fails for a configuration
// that cannot work, naming every mistake.
func New(cfg Config, h *hub.Hub, loop *websocket.Server, log *slog.Logger) (*Dialect, error) {
	cfg = cfg.withDefaults()
	if log == nil {
		log = slog.Default()
	}
	d := &Dialect{
		cfg: cfg, hub: h, loop: loop, log: log.With("dialect", "pusher"),
		apps: make(map[string]*app), byKey: make(map[string]*app),
	}
	var wrong []error
	if p := strings.Trim(cfg.PathPrefix, "/"); p != "" {
		d.prefix = "/" + p
	}
	if len(cfg.Apps) == 0 {
		wrong = append(wrong, errors.New("no app is named"))
	}
	for _, conf := range cfg.Apps {
		conf = conf.withDefaults()
		if err := conf.Validate(); err != nil {
			wrong = append(wrong, err)
			continue
		}
		switch {
		case d.apps[conf.ID] != nil:
			wrong = append(wrong, fmt.Errorf("app %q: another app has the same id", conf.ID))
		case d.byKey[conf.Key] != nil:
			wrong = append(wrong, fmt.Errorf("app %q: another app has the same key", conf.ID))
		default:
			a := newApp(d, conf)
			d.apps[conf.ID], d.byKey[conf.Key] = a, a
			d.log.Info("app", "id", conf.ID, "key", conf.Key, "disabled", a.disabled, "client_events", conf.ClientEvents,
				"max_event_bytes", conf.MaxEventBytes, "max_connections", conf.MaxConnections, "webhooks", len(conf.Webhooks))
			if len(conf.Secret) < shortSecret {
				d.log.Warn("the app's secret is short and may be guessed: want 20 random characters or more", "id", conf.ID)
			}
		}
	}
	if err := errors.Join(wrong...); err != nil {
		return nil, err
	}
	d.apiLimit = newAddressLimiter(cfg.APIRate)
	d.connectLimit = newAddressLimiter(cfg.ConnectRate)
	return d, nil
}

// now is the clock of connections: it never jumps, and a time during which the process
// did not run is none, or all of them would be found silent at its end.
func (d *Dialect) now() time.Duration { return d.loop.Now() }

// Stats describe a dialect.
type Stats struct {
	Connections int               // open now
	Channels    int               // with somebody in them now
	Counts      map[string]uint64 // what happened since the start, by name
}

// Stats returns the numbers of this moment. The names of the counts are
//
//   - "api <status>", "rate limited <api or connect> <app or address>";
//   - "connect", "connect failed", "connect refused <status or code>", "close <code>";
//   - "message refused", "subscribe", "subscribe refused", "unsubscribe refused",
//     "sign-in", "sign-in refused", "watchlist cut", "client event", "client event
//     refused", "cache evicted";
//   - "webhook sent", "webhook retried", "webhook refused" and "webhook dropped
//     <reason>", where full and share say that too many events waited, in all or of
//     one network, tries that no try succeeded, and end that the server ended.
func (d *Dialect) Stats() Stats {
	st := Stats{Connections: int(d.conns.Load()), Counts: d.counts.all()}
	for _, a := range d.apps {
		for range d.hub.Rooms(a.hubName) {
			st.Channels++
		}
	}
	return st
}

// counters are counts by name.
type counters struct {
	mu     sync.Mutex
	byName map[string]uint64
}

// add counts n things more. Names are ours alone, never a client's.
func (c *counters) add(name string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byName == nil {
		c.byName = make(map[string]uint64)
	}
	c.byName[name] += uint64(n)
}

func (c *counters) all() map[string]uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make(map[string]uint64, len(c.byName))
	for name, n := range c.byName {
		all[name] = n
	}
	return all
}

// ServeHTTP serves both doors: the API under /apps and connections under /app,
// and whether the server is well under /up, /live and, as soketi has it, /, /ready
// and /accept-traffic.
func (d *Dialect) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer d.recoverRequest(w, r)
	if !websocket.IsUpgrade(r) {
		// The port is a WebSocket's too, whose server has no such limits of its own.
		// A body that nobody reads is waited for as well.
		rc, now := http.NewResponseController(w), time.Now()
		_ = rc.SetReadDeadline(now.Add(d.cfg.BodyTimeout)) // not of every test's writer
		_ = rc.SetWriteDeadline(now.Add(d.cfg.BodyTimeout + d.cfg.WriteTimeout))
	}
	path := r.URL.EscapedPath()
	parts, ok := segments(path)
	if d.prefix != "" {
		if rest, found := strings.CutPrefix(path, d.prefix); found && strings.HasPrefix(rest, "/") {
			parts, ok = segments(rest)
		}
	}
	if !ok {
		d.fail(w, errBadPath)
		return
	}
	switch parts[0] {
	case "app":
		d.connect(w, r, parts[1:])
	case "apps", "users":
		d.api(w, r, parts)
	case "up", "live", "ready", "accept-traffic", "":
		if parts[0] == "" && websocket.IsUpgrade(r) {
			d.connect(w, r, nil)
			return
		}
		d.health(w, r, parts)
	default:
		if websocket.IsUpgrade(r) {
			d.connect(w, r, nil)
			return
		}
		d.fail(w, errNoRoute)
	}
}
