// Package pusher speaks Pusher Channels: its HTTP API, through which applications
// publish and ask who listens, and its WebSocket protocol, versions 4 to 7, for
// pusher-js, Laravel Echo and their kin, and 2, Sockudo's, for clients that resume. Where
// Pusher's documentation is silent or its libraries need more, it follows Sockudo.
//
// It must not know other dialects or the environment, nor what joins the nodes of a cluster.
// Messages are handled on the goroutines of the [websocket.Server]; an app's webhooks
// have goroutines of their own, which end when nothing waits to be sent and at
// the latest with [Dialect.Shutdown].
//
// # Parts
//
// This package is the dialect as a whole: what an operator chooses, its port, its end
// and its counts. Of its parts, each in a package of its own, api is the HTTP API and
// client the WebSocket protocol; they know nothing of each other and meet in app, where
// an application's channels, members, users, kept events and connections are. webhook
// tells an app's addresses what happens; protocol is the wire format, and answer how
// requests are refused.
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
// # Where nodes meet
//
// In a cluster five things cross nodes, all of them in app: publications (the hub's seam), who is
// in a channel (the desk: first and last, bounds, counts, the last event of a cache channel), who
// is signed in and watched (rooms of the app's own at the desk), questions of the API (the census)
// and the end of a user's connections (the bus). [app.Across] has them; it is zero in one process
// alone, which asks nobody. Nothing else here keeps state that another node would have to see, but
// idempotency keys, which are a node's own.
//
// Lock order, outermost first: an open roster, the app's users, a client, its place in
// the app, the app, then the locks of the hub, and those of caches and connections, and
// of webhooks, their endpoints and losses in this order. Under these nothing is locked
// but the counters.
package pusher

import (
	"cmp"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"poosh/server/admission"
	"poosh/server/closed"
	"poosh/server/health"
	"poosh/server/hub"
	"poosh/server/idempotency"
	"poosh/server/metric"
	"poosh/server/network"
	"poosh/server/pusher/answer"
	"poosh/server/pusher/api"
	"poosh/server/pusher/app"
	"poosh/server/pusher/client"
	"poosh/server/pusher/tally"
	"poosh/server/quota"
	"poosh/server/route"
	"poosh/server/sends"
	"poosh/server/setting"
	"poosh/server/websocket"
)

// A Config is what an operator may choose. Zero fields mean the defaults of the
// dialect's settings and of package network, or those named here.
type Config struct {
	Apps       []App  // at least one
	PathPrefix string // in front of /app and /apps, such as "/push"; both work without it too

	MaxConnections  int // open at once, of all apps; more are closed with 4100; no limit
	MaxMessageBytes int // of one message of a client; more closes its connection
	MaxBodyBytes    int // of one request
	CacheBytes      int // that one app's cached events may take
	WebhookQueue    int // events that may wait for one webhook

	// Channels, if set, counts what the public channels of all clients cost, whoever may
	// subscribe: the name and about 2,500 bytes for each that a client is in.
	Channels *quota.Quota

	// Gate admits what senders and clients publish, once they are known and their
	// event is judged; nil admits everything. Whoever made it closes it, before
	// [Dialect.Shutdown].
	Gate *admission.Gate

	// Health, if set, is what /ready tells.
	Health *health.Health
	// Closed keeps why connections left; nil for nobody.
	Closed *closed.Book
	// Sends gives events their ids and is told of them; nil for a feed of the dialect's own.
	Sends *sends.Feed

	// Keys remembers what was published with an idempotency key; nil for a store of the
	// dialect's own.
	Keys *idempotency.Store

	Across app.Across // joins the processes of a cluster, as the hub's broker does; zero for one alone

	APIRate     Rate // requests of one address; no limit
	ConnectRate Rate // connections opened by one address; no limit

	BodyTimeout  time.Duration // for a request's body to arrive
	WriteTimeout time.Duration // for an answer to leave
	PongTimeout  time.Duration // for a sign of life after a ping
	WebhookHold  time.Duration // how long a webhook waits for somebody to come back; 3 s
}

func (c Config) withDefaults() Config {
	s := settings{Config: c}
	setting.Fill(s.group().Settings)
	n := network.Defaults()
	s.Config.BodyTimeout = cmp.Or(s.Config.BodyTimeout, n.BodyTimeout)
	s.Config.WriteTimeout = cmp.Or(s.Config.WriteTimeout, n.WriteTimeout)
	s.Config.WebhookHold = cmp.Or(s.Config.WebhookHold, 3*time.Second)
	return s.Config
}

// A Dialect serves the apps of one configuration. Make one with [New].
type Dialect struct {
	cfg    Config
	prefix string
	loop   *websocket.Server
	answer answer.Writer
	counts *metric.Set[tally.Thing]

	apps    *app.List
	api     *api.API
	clients *client.Server
	routes  *route.Router // set once
}

// New makes a dialect whose connections live on loop. It fails for a configuration
// that cannot work, naming every mistake.
func New(cfg Config, h *hub.Hub, loop *websocket.Server, log *slog.Logger) (*Dialect, error) {
	cfg = cfg.withDefaults()
	if log == nil {
		log = slog.Default()
	}
	d := &Dialect{cfg: cfg, loop: loop, counts: metric.Closed[tally.Thing](tally.Names[:])}
	if p := strings.Trim(cfg.PathPrefix, "/"); p != "" {
		d.prefix = "/" + p
	}
	d.answer = answer.Writer{Count: d.counts.Add, Log: log.With("dialect", "pusher")}
	var err error
	if d.apps, err = app.NewList(cfg.Apps, &app.Shared{
		Hub: h, Across: cfg.Across, Sends: cfg.Sends, Keys: cfg.Keys, Channels: cfg.Channels,
		CacheBytes: cfg.CacheBytes, WebhookQueue: cfg.WebhookQueue, WebhookHold: cfg.WebhookHold,
		Closed: cfg.Closed, Count: d.counts.Add, Log: d.answer.Log,
	}); err != nil {
		return nil, err
	}
	d.api = api.New(d.ofAPI(cfg), d.apps, d.answer)
	d.clients = client.New(ofClients(cfg), d.apps, loop, d.answer)
	d.routes = d.mount()
	return d, nil
}

func (d *Dialect) ofAPI(cfg Config) api.Config {
	return api.Config{Prefix: d.prefix, MaxBodyBytes: cfg.MaxBodyBytes, Rate: cfg.APIRate, Gate: cfg.Gate}
}

func ofClients(cfg Config) client.Config {
	return client.Config{MaxConnections: cfg.MaxConnections, MaxMessageBytes: cfg.MaxMessageBytes, PongTimeout: cfg.PongTimeout,
		Rate: cfg.ConnectRate, Gate: cfg.Gate}
}

// change prepares what follows from a configuration that was read anew; see
// [dialect.Running]. PathPrefix, times of the network, and what is not for operators stay
// as they are.
func (d *Dialect) change(cfg Config) (commit func(), err error) {
	cfg = cfg.withDefaults()
	apps, err := d.apps.Change(cfg.Apps, app.Bounds{CacheBytes: cfg.CacheBytes, WebhookQueue: cfg.WebhookQueue})
	if err != nil {
		return nil, err
	}
	return func() {
		d.api.Change(d.ofAPI(cfg))
		d.clients.Change(ofClients(cfg))
		apps()
	}, nil
}

// Apps returns the applications at work, for who looks at them from inside the process.
func (d *Dialect) Apps() *app.List { return d.apps }

// Stats describe a dialect.
type Stats struct {
	Connections int               // open now
	Channels    int               // with somebody in them now
	Counts      map[string]uint64 // what happened since the start, by the names of package tally
	Ended       map[string]uint64 // connections that have ended, by reason
}

// Stats returns the numbers of this moment.
func (d *Dialect) Stats() Stats {
	st := Stats{Connections: d.clients.Len(), Channels: d.apps.Channels(), Counts: d.counts.All(), Ended: make(map[string]uint64)}
	for a := range d.apps.All() {
		for why, n := range a.Clients.By() {
			st.Ended[why] += n
		}
	}
	return st
}

// ServeHTTP serves both doors; see [Dialect.mount].
func (d *Dialect) ServeHTTP(w http.ResponseWriter, r *http.Request) { d.routes.ServeHTTP(w, r) }
