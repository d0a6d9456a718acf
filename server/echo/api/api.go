// Package api is the HTTP API of laravel-echo-server 1.6.3 (src/api/http-api.ts,
// src/subscribers/http-subscriber.ts and src/server.ts): who listens, and events by hand. Keys
// are those of its configuration, and nothing is signed. It knows no client and no hub: the
// dialect answers, see [Dialect].
//
// What the original said stays to the byte. What ended it is an answer: a body that is no
// JSON, or JSON of another shape, is 400.
package api

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"iter"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"poosh/server/hub"
	"poosh/server/metric"
	"poosh/server/respond"
	"poosh/server/route"
	"poosh/server/sends"
)

// A Dialect is what the API asks. Its methods may be called from any goroutine, may wait until
// ctx ends, and answer for all processes of a cluster.
type Dialect interface {
	// Connections returns how many clients are connected.
	Connections(ctx context.Context) (int, error)
	// Channels yields the channels that somebody is in whose names begin with prefix. An error
	// is the last that is yielded.
	Channels(ctx context.Context, prefix string) iter.Seq2[Channel, error]
	// Channel returns how many are in one channel; nobody for one that is unknown.
	Channel(ctx context.Context, name string) (Channel, error)
	// Members returns who is in a presence channel, each user once, the newest first.
	Members(ctx context.Context, name string) ([]Member, error)
	// Publish sends an event to its channels as if it came from Redis. An [Error] is answered
	// as it says, every other one 503, with Retry-After unless it is [hub.ErrUncertain]: then some of
	// it may have been published. With explain it gives an account of it, and may wait for
	// other processes longer.
	Publish(ctx context.Context, e Event, explain bool) (Sent, error)
}

// A Sent is an event that was published.
type Sent struct {
	ID     string // of the send to the first of its channels
	Handed int    // to how many connections; negative where several processes act as one, and nobody counts

	Account *sends.Account // what became of it; nil unless it was asked for
}

// A Channel is one that somebody may be in.
type Channel struct {
	Name  string
	Count int // connections in it
	Users int // of a presence channel
}

// A Member is who somebody is in a presence channel, as the application said it.
type Member struct {
	UserID json.RawMessage
	Info   json.RawMessage // nil for none
}

// An Event is one that an application sends over HTTP.
type Event struct {
	Channels []string        // not empty
	Name     string          // not empty
	Data     json.RawMessage // valid JSON, in valid UTF-8
	Except   string          // id of the socket that gets no copy; empty for none
}

// An Error is an answer that a [Dialect] gives to an event that cannot be.
type Error struct {
	Status int
	Text   string    // for people; no secret
	Cause  hub.Cause // why, for programs that ask for an explanation; empty for none
}

// Error is the text for people.
func (e *Error) Error() string { return e.Text }

// What a zero field of a [Config] means.
const (
	MaxBody     = 1 << 20
	MaxChannels = 100
)

// A Config is what an operator may choose.
type Config struct {
	Apps        []App
	CORS        CORS
	MaxBody     int // bytes of a body; 0 means [MaxBody]
	MaxChannels int // of one event; 0 means [MaxChannels]
}

// An App is a client of laravel-echo-server's: an id in paths, and its key.
type App struct{ ID, Key string }

// A CORS is what pages of other origins are told that they may do (apiOriginAllow); without
// an Origin they are told nothing.
type CORS struct{ Origin, Methods, Headers string }

// An API answers requests. Make one with [New]; its methods may be called from any goroutine.
// It starts none.
type API struct {
	dialect Dialect
	started time.Time
	traffic *metric.Traffic
	counts  *metric.Set[status]

	rules atomic.Pointer[Config] // filled, never nil
}

// New makes an API that asks a dialect. traffic counts requests and what they are answered;
// nil for nobody.
func New(cfg Config, d Dialect, traffic *metric.Traffic) *API {
	if traffic == nil {
		traffic = new(metric.Traffic)
	}
	a := &API{dialect: d, started: time.Now(), traffic: traffic, counts: metric.Closed[status](statusNames[:])}
	a.Change(cfg)
	return a
}

// Change has other settings count for requests that come from now on.
func (a *API) Change(cfg Config) {
	cfg.MaxBody, cfg.MaxChannels = cmp.Or(cfg.MaxBody, MaxBody), cmp.Or(cfg.MaxChannels, MaxChannels)
	a.rules.Store(&cfg)
}

// Apps are those that may ask, as the settings have them now. They must not be changed.
func (a *API) Apps() []App { return a.rules.Load().Apps }

// Mount mounts the API on a port whose routes are for paths as they were sent, or decoded.
func (a *API) Mount(r *route.Router) {
	r.On("/", a.open(a.root))
	for path, handle := range map[string]func(*call) error{
		"/status":                   (*call).status,
		"/channels":                 (*call).channels,
		"/channels/{channel}":       (*call).channel,
		"/channels/{channel}/users": (*call).users,
	} {
		r.On("/apps/{app}"+path, route.Methods{http.MethodGet: a.keyed(handle), http.MethodHead: a.keyed(handle), http.MethodOptions: a.options("GET,HEAD")})
	}
	r.On("/apps/{app}/events", route.Methods{http.MethodPost: a.keyed((*call).events), http.MethodOptions: a.options("POST")})
}

// open has a path answer everybody.
func (a *API) open(handle http.HandlerFunc) route.Methods {
	return route.Methods{http.MethodGet: handle, http.MethodHead: handle, http.MethodOptions: a.options("GET,HEAD")}
}

// root says that somebody is there.
func (a *API) root(w http.ResponseWriter, _ *http.Request) {
	a.cors(w)
	a.counts.Add(statusOf(http.StatusOK), 1)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write([]byte("OK"))
}

// options answers what a browser asks before a request of another origin, as Express does.
func (a *API) options(allow string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		a.cors(w)
		w.Header().Set("Allow", allow)
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(http.StatusOK)
		_, _ = w.Write([]byte(allow))
	}
}

// cors tells pages of other origins what the operator lets them do.
func (a *API) cors(w http.ResponseWriter) {
	c := a.rules.Load().CORS
	if c.Origin == "" {
		return
	}
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", c.Origin)
	h.Set("Access-Control-Allow-Methods", c.Methods)
	h.Set("Access-Control-Allow-Headers", c.Headers)
}

// mayAsk reports whether a request shows the key of the app in its path. The header counts
// before the query (src/server.ts, getAuthKey).
func (c *Config) mayAsk(app string, r *http.Request) bool {
	shown := r.URL.Query().Get("auth_key")
	if head := r.Header.Get("Authorization"); head != "" {
		shown = strings.Replace(head, "Bearer ", "", 1)
	}
	got, ok := sha256.Sum256([]byte(shown)), 0
	for _, of := range c.Apps {
		want := sha256.Sum256([]byte(of.Key))
		if of.ID == app && of.Key != "" {
			ok |= subtle.ConstantTimeCompare(got[:], want[:])
		}
	}
	return ok == 1
}

// form is how the original wrote JSON.
var form = respond.Express
