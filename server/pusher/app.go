package pusher

import (
	"net/url"
	"strings"
	"sync"
	"time"

	"poosh/server/hub"
)

// An app is an application at work.
type app struct {
	d            *Dialect
	conf         App // set once
	hubName      string
	disabled     bool
	users        users
	cache        *cache
	hooks        *webhooks
	counter      counter
	apiLimit     *limiter // nil without one
	connectLimit *limiter // nil without one

	mu      sync.Mutex // guards what follows
	open    int        // connections admitted, also those still in their handshake
	clients map[*client]struct{}
}

func newApp(d *Dialect, conf App) *app {
	a := &app{
		d: d, conf: conf, hubName: HubApp(conf.ID), disabled: conf.Enabled != nil && !*conf.Enabled,
		cache:    newCache(d.cfg.CacheBytes, time.Duration(conf.CacheTTL), &d.counts),
		apiLimit: newLimiter(conf.APIRate), connectLimit: newLimiter(conf.ConnectRate),
		clients: make(map[*client]struct{}),
	}
	a.hooks = newWebhooks(a)
	a.counter.app = a
	return a
}

// admit counts a connection about to be opened. It reports false at the app's
// limit; otherwise release undoes it.
func (a *app) admit() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.conf.MaxConnections > 0 && a.open >= a.conf.MaxConnections {
		return false
	}
	a.open++
	return true
}

func (a *app) release() {
	a.mu.Lock()
	a.open--
	a.mu.Unlock()
}

// all returns the connections of this moment.
func (a *app) all() []*client {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := make([]*client, 0, len(a.clients))
	for c := range a.clients {
		list = append(list, c)
	}
	return list
}

// allows reports whether a page of this origin may connect.
func (a *app) allows(origin string) bool {
	if len(a.conf.AllowedOrigins) == 0 || origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	if err != nil {
		return false
	}
	host := strings.ToLower(u.Hostname())
	for _, want := range a.conf.AllowedOrigins {
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

// publish hands an event to a channel's subscribers but for the connection except,
// a socket id. Its data is what [jsonString] made. A cache channel keeps it, in one step with the handing out: a
// newcomer sees it once.
func (a *app) publish(channel, event string, data []byte, except string) {
	p := &hub.Publication{App: a.hubName, Room: channel, Event: event, Data: data, Except: except}
	if !kindOf(channel).cache {
		a.d.hub.Publish(p)
		return
	}
	r := a.d.hub.Open(a.hubName, channel)
	defer r.Close()
	a.cache.put(channel, p)
	a.d.hub.Publish(p)
}

// announce publishes an event of the protocol to a channel.
func (a *app) announce(channel, event string, data []byte, except string) {
	a.d.hub.Publish(&hub.Publication{
		App: a.hubName, Room: channel, Event: event, Data: jsonString(data), Except: except,
	})
}
