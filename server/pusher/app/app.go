package app

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"math"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"poosh/server/closed"
	"poosh/server/hub"
	"poosh/server/idempotency"
	"poosh/server/metric"
	"poosh/server/pusher/protocol"
	"poosh/server/pusher/tally"
	"poosh/server/pusher/webhook"
	"poosh/server/quota"
	"poosh/server/rate"
	"poosh/server/rotation"
	"poosh/server/sends"
)

// Shared is what all apps of a dialect have in common.
type Shared struct {
	Hub *hub.Hub

	Across Across // joins the processes of a cluster

	Sends *sends.Feed        // gives sends their ids, and is told of them; nil for one of the list's own
	Keys  *idempotency.Store // remembers idempotency keys; nil for one of the list's own

	// Channels, if set, counts what the public channels of all clients cost.
	Channels *quota.Quota

	CacheBytes   int           // that one app's cached events may take
	WebhookQueue int           // events that may wait for one webhook
	WebhookHold  time.Duration // how long a webhook waits for somebody to come back

	// Closed keeps why connections left; nil for nobody.
	Closed *closed.Book

	// Count counts n things. It is called from any goroutine and must not block.
	Count func(what tally.Thing, n int)
	Log   *slog.Logger

	process string // what this process calls itself when it tells others; set once
}

// An App is an application at work. It has its channels and what is decided about
// them, and its connections. Its methods may be called from any goroutine.
type App struct {
	Clients  *closed.Source    // set once; counts connections
	Previous *rotation.Watch   // set once; who uses the previous secret
	Keys     *idempotency.Keys // set once; what was published under an idempotency key

	rules   atomic.Pointer[rules] // never nil
	removed atomic.Bool           // it is no app any more

	id      string // set once
	shared  *Shared
	hubName string
	kept    bool // events are kept for clients that resume
	passing bool // events are not kept, though a log is there
	traffic metric.Traffic
	kinds   [kinds]changes
	users   users
	cache   *cache
	hooks   *webhook.Hooks
	counter counter
	across  *across // set once; nil in one process alone

	mu     sync.Mutex             // guards what follows
	open   int                    // connections admitted, also those still in their handshake
	conns  map[string]*Connection // by socket id
	trails map[*Connection]*trail // of conns that may resume; in them they would cost all
	by     [versions]int          // of conns, by the version of the protocol
}

// A rules is what an app goes by until the settings are read again. It never changes.
type rules struct {
	conf         Config        // with its defaults
	api, connect *rate.Limiter // nil without one
}

// newApp makes an app of a valid configuration. logged says that a log within the bounds of
// its history was made for it when the server started, if it has one, and has all since.
func newApp(conf Config, s *Shared, logged bool) *App {
	a := &App{
		id: conf.ID, shared: s, hubName: HubName(conf.ID),
		cache: newCache(s.CacheBytes, time.Duration(conf.CacheTTL), s.Across.joined(), s.Count),
		hooks: webhook.New(conf.Webhooks, s.hooksOf(&conf)),
		conns: make(map[string]*Connection), trails: make(map[*Connection]*trail),
		Keys: s.Keys.App(), Previous: rotation.New("pusher", conf.ID, s.Log),
	}
	a.kept = logged && conf.History > 0 && s.Hub != nil && s.Hub.Keeps(a.hubName)
	a.passing = !a.kept && s.Hub != nil && s.Hub.Keeps(a.hubName)
	if conf.History > 0 && !a.kept {
		s.Log.Warn("nothing is kept of an app that was added, or has another history than before, until the server is started anew", "id", conf.ID)
	}
	a.rules.Store(&rules{conf, rate.New(conf.APIRate), rate.New(conf.ConnectRate)})
	book := s.Closed
	if book == nil {
		book = closed.New(0)
	}
	a.Clients = book.Source("pusher", conf.ID)
	a.counter.app = a
	a.across = newAcross(a, s.Across)
	return a
}

// hooksOf are what all webhooks of an app have in common.
func (s *Shared) hooksOf(conf *Config) webhook.Options {
	return webhook.Options{
		Key: conf.Key, Secret: conf.Secret, Queue: s.WebhookQueue, Hold: s.WebhookHold,
		Count: s.Count, Log: s.Log.With("app", conf.ID),
	}
}

// ID is what the app is called in the API's paths, for as long as it is there.
func (a *App) ID() string { return a.id }

// Conf is what the app goes by now, with its defaults. It is nobody's to change; who looks
// at several things asks once.
func (a *App) Conf() *Config { return &a.rules.Load().conf }

// APILimit bounds requests; nil without one.
func (a *App) APILimit() *rate.Limiter { return a.rules.Load().api }

// ConnectLimit bounds connections that are opened; nil without one.
func (a *App) ConnectLimit() *rate.Limiter { return a.rules.Load().connect }

// Disabled reports whether the app is switched off: it is not to be published as, nor
// connected to.
func (a *App) Disabled() bool { return a.Conf().Disabled() }

// Disabled is that of an app with these settings.
func (c *Config) Disabled() bool { return c.Enabled != nil && !*c.Enabled }

// Admit counts a connection about to be opened. It reports false at the app's limit;
// otherwise Release undoes it.
func (a *App) Admit() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if most := a.Conf().MaxConnections; most > 0 && a.open >= most {
		return false
	}
	a.open++
	return true
}

// Release gives back the place of a connection that was admitted and has ended.
func (a *App) Release() {
	a.mu.Lock()
	a.open--
	a.mu.Unlock()
}

// Connections returns the connections of this moment.
func (a *App) Connections() []*Connection {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := make([]*Connection, 0, len(a.conns))
	for _, c := range a.conns {
		list = append(list, c)
	}
	return list
}

// Find returns the connection of a socket id, or nil.
func (a *App) Find(id string) *Connection {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.conns[id]
}

// Allows reports whether a page of this origin may connect.
func (a *App) Allows(origin string) bool {
	pages := a.Conf().AllowedOrigins
	if len(pages) == 0 || origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	if err != nil {
		return false
	}
	host := strings.ToLower(u.Hostname())
	for _, want := range pages {
		want = strings.ToLower(want)
		below, wild := strings.CutPrefix(want, "*.")
		switch {
		case want == "*", want == host, want == strings.ToLower(u.Host), want == strings.ToLower(origin):
			return true
		case wild && strings.HasSuffix(host, "."+below):
			return true
		}
	}
	return false
}

// Publish hands an event to a channel's subscribers but for the connection except,
// a socket id, and returns how many took it. Its data is what [protocol.JSONString] made.
// A cache channel keeps it, in one step with the handing out: a newcomer sees it once.
// For that it waits until it is the channel's turn, so it is for goroutines that may
// block.
func (a *App) Publish(channel, event string, data []byte, except string) int {
	p := &hub.Publication{App: a.hubName, Room: channel, Event: event, Data: data, Except: except, Passing: a.passing}
	if r := a.keep(p); r != nil {
		defer r.Close()
	}
	return a.publish(p)
}

// Send is [App.Publish] in a cluster. It waits for nobody: done is called once, from any goroutine
// and maybe before Send returns, with what became of the event. It must not block.
func (a *App) Send(channel, event string, data []byte, except string, done func(hub.Handed)) {
	p := &hub.Publication{App: a.hubName, Room: channel, Event: event, Data: data, Except: except, Passing: a.passing}
	a.keepAcross(p)
	a.traffic.Published(len(data), 0) // who took it each process counts
	a.shared.Hub.Send(p, done)
}

// Joined reports whether other processes have to be asked.
func (a *App) Joined() bool { return a.across != nil }

// publish hands an event of an application or a client out, and counts it.
func (a *App) publish(p *hub.Publication) int {
	took := a.shared.Hub.Publish(p)
	a.traffic.Published(len(p.Data), took)
	return took
}

// Explain is [App.Publish] for who wants to know what became of the event.
func (a *App) Explain(channel, event string, data []byte, except string) (*hub.Publication, *hub.Explanation) {
	p := &hub.Publication{App: a.hubName, Room: channel, Event: event, Data: data, Except: except, Passing: a.passing}
	if r := a.keep(p); r != nil {
		defer r.Close()
	}
	became := a.shared.Hub.Explain(p)
	took := became.Took
	if a.across != nil {
		took = 0 // each process counts its own
	}
	a.traffic.Published(len(p.Data), took)
	return p, became
}

// keep keeps an event that is about to be published to a cache channel. It returns the
// channel, which must be closed behind that, and nil for a channel of another kind.
func (a *App) keep(p *hub.Publication) *hub.Roster {
	if !protocol.KindOf(p.Room).Cache {
		return nil
	}
	if a.across != nil {
		a.keepAcross(p)
		return nil
	}
	r := a.shared.Hub.Open(a.hubName, p.Room)
	a.cache.put(p.Room, p)
	return r
}

// keepAcross has an event kept where all processes find it, if its channel keeps one.
func (a *App) keepAcross(p *hub.Publication) {
	if protocol.KindOf(p.Room).Cache {
		p.Cached = uint32(min(max(time.Duration(a.Conf().CacheTTL)/time.Second, 1), math.MaxUint32))
		a.across.tellFilled(p.Room)
	}
}

// announce publishes an event of the protocol to a channel.
func (a *App) announce(channel, event string, data []byte, except string) {
	a.shared.Hub.Publish(&hub.Publication{
		App: a.hubName, Room: channel, Event: event, Data: protocol.JSONString(data), Except: except,
		Passing: true,
	})
}

// Keeps reports whether the app's events are kept for clients that resume.
func (a *App) Keeps() bool { return a.kept }

// Count returns how many connections and users are in a channel now, in this process.
func (a *App) Count(channel string) (connections, users int) {
	return a.shared.Hub.Count(a.hubName, channel)
}

// Channels yields every channel that somebody is in, in this process, as [hub.Hub.Rooms] does.
func (a *App) Channels() iter.Seq[hub.RoomCount] { return a.shared.Hub.Rooms(a.hubName) }

// Members returns who is in a presence channel: a copy, so that nobody who comes or
// goes waits for who reads it. It knows of channels that somebody is in in this process.
func (a *App) Members(channel string) []hub.Member { return a.shared.Hub.Members(a.hubName, channel) }

// Cached returns the data of a cache channel's last event, a JSON string, if there is
// one, and how long it will be kept yet. In a cluster it is kept elsewhere.
func (a *App) Cached(channel string) (data []byte, left time.Duration, ok bool) {
	event, left := a.cache.get(channel)
	if event == nil {
		return nil, 0, false
	}
	return event.Data, left, true
}

// Len returns how many connections the app has in this process.
func (a *App) Len() int { return a.shared.Hub.Len(a.hubName) }

// OfUser returns the connections that are signed in as a user; with members also those
// that are the user in a presence channel alone.
func (a *App) OfUser(id string, members bool) []*Connection {
	list := a.users.of(id)
	if !members {
		return list
	}
	for _, c := range a.Connections() {
		if !c.IsUser(id) && c.isMember(id) {
			list = append(list, c)
		}
	}
	return list
}

// close ends the app's timers and sends the webhooks that wait, until ctx ends. Its
// connections have ended before.
func (a *App) close(ctx context.Context) error {
	a.counter.stop()
	a.Keys.Close()
	if a.across != nil {
		a.users.await(ctx)
		a.across.stop()
		if !a.Removed() {
			a.across.deaf()
		}
	}
	return a.hooks.Close(ctx)
}

// check is [List.Check] for one app.
func (a *App) check() error {
	a.mu.Lock()
	open, conns, trails := a.open, len(a.conns), len(a.trails)
	a.mu.Unlock()
	online, watched := a.users.len()
	if seats := a.Len(); open+conns+trails+online+watched+seats > 0 {
		return fmt.Errorf("app %s: %d open, %d connections, %d that may resume, %d users, %d watched, %d in the hub",
			a.id, open, conns, trails, online, watched, seats)
	}
	if x := a.across; x != nil {
		x.mu.Lock()
		defer x.mu.Unlock()
		if n := len(x.waiting) + len(x.counted); n > 0 {
			return fmt.Errorf("app %s: %d connections wait for other nodes, or are counted there", a.id, n)
		}
	}
	return nil
}
