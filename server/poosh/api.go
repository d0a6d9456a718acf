// Package poosh speaks the language of the Node server Poosh: senders POST events
// to SERVER_PORT (api.go), clients of Socket.IO join rooms on CLIENT_PORT
// (client.go), and one frame serves them all (encode.go). It knows neither the
// environment nor another dialect. It has no goroutine of its own but, with a [Registry],
// that of a client's [command.Line], which ends with what waits there.
package poosh

import (
	"cmp"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"poosh/auth"
	"poosh/server/admission"
	"poosh/server/excerpt"
	"poosh/server/hub"
	"poosh/server/idempotency"
	"poosh/server/metric"
	"poosh/server/rotation"
	"poosh/server/sends"
	"poosh/server/setting"
)

// defaultMaxWire is that of [Config].MaxWire, for which there is no setting.
const defaultMaxWire = 4 << 20

// A Config says who may send and how much. Zero fields mean the defaults of the
// dialect's settings, or those named here.
type Config struct {
	// Secret is what senders sign with. It must not be empty.
	Secret string
	// Previous is the secret that senders may sign with beside it; empty for none.
	Previous string

	// MaxBody is the largest body in bytes, after inflating; more is answered 413.
	MaxBody int64

	// MaxWire is how many bytes of a body that is refused are read on, to be thrown
	// away: most senders write all of it before they look for an answer. A body
	// announced larger than MaxBody and MaxWire together is answered at once, and its
	// connection closed; a compressed body is never read further than that. 4 MiB.
	MaxWire int64

	// Gate admits what has a good token; what it refuses is answered 503. nil admits
	// everything.
	Gate *admission.Gate

	Traffic *metric.Traffic // counts requests and events; nil for nobody
	// Sends gives each send its id and is told of it. nil for a feed of the API's own.
	Sends *sends.Feed
	// Keys remembers sends with an idempotency key. nil for a store of the API's own.
	Keys *idempotency.Store
}

func (c Config) withDefaults() Config {
	s := settings{API: c}
	setting.Fill(s.group().Settings)
	if s.API.MaxWire == 0 {
		s.API.MaxWire = defaultMaxWire
	}
	if s.API.Traffic == nil {
		s.API.Traffic = new(metric.Traffic)
	}
	return s.API
}

// An API answers SERVER_PORT: it takes POST /send from senders that know the
// secret and publishes to the hub, in [App]. Make one with [NewAPI] and serve
// its [API.Router]. It starts no goroutine and keeps nothing between requests but
// counts and buffers.
//
// # Order
//
// Of the Node server (express 4.19, body-parser 1.20): first the body, if its media
// type is application/json, then the token, then the path. So a body that is too
// large or no JSON is 413 or 400 on every path and for every method, with a wrong
// token too; a token is right or wrong before the path is looked at. Only a request
// without any token is refused before its body is read, which the Node server did
// after it. GET /history, which that did not have, is judged by its token alone, over path
// and query, before the query is looked at.
//
// # Answers
//
// 200 to a send has no body; X-Poosh-Delivered says how many connections were handed the
// event, and X-Poosh-Id is its id. With ?explain=1 the body is an account of what became
// of the event, see [sends.Account]. A second request with the Idempotency-Key of one before
// sends nothing and is answered the same, with Idempotent-Replayed: true; see package
// idempotency. Refusals have a short JSON object with one key, error, but for 401: that
// has no body, as the Node server's had none, and no WWW-Authenticate. GET and HEAD
// are 401 on every path, with a good token too, but for GET /history where there is a history.
//
// # What the listener owes
//
// The http.Server must bound the time for headers and body (ReadTimeout) and the
// size of headers, which the Node server kept to 16 KB. It answers by itself 400 to
// what is no HTTP or has an undecodable path such as /%, and 417 to unknown
// expectations. Set DisableGeneralOptionsHandler, or OPTIONS * is answered without a
// token.
type API struct {
	hub     *hub.Hub
	log     *slog.Logger
	maxWire int64 // set once
	gate    *admission.Gate
	sends   *sends.Feed
	keys    *idempotency.Keys

	rules    atomic.Pointer[rules] // each request is judged by one
	previous *rotation.Watch       // who signs with the previous secret

	messages sync.Pool          // of *message
	bodies   [numReasons][]byte // what refusals answer
	refused  [numReasons]atomic.Uint64
	traffic  *metric.Traffic
}

// A rules is what requests are judged by until the settings are read again. It never
// changes.
type rules struct {
	check    *auth.Poosh
	previous *auth.Poosh // nil without a previous secret
	maxBody  int64
	tooLarge []byte // what a larger body is answered with
}

func newRules(cfg Config) *rules {
	r := &rules{check: auth.NewPoosh(cfg.Secret), maxBody: cfg.MaxBody,
		tooLarge: errorBody("body is larger than " + strconv.FormatInt(cfg.MaxBody, 10) + " bytes")}
	if cfg.Previous != "" {
		r.previous = auth.NewPoosh(cfg.Previous)
	}
	return r
}

// Change has another secret and other bounds count for requests that come from now on. It
// may be called from any goroutine; the rest of cfg is not looked at.
func (a *API) Change(cfg Config) { a.rules.Store(newRules(cfg.withDefaults())) }

// NewAPI returns the API that publishes to a hub. It panics when the secret is
// empty: everybody could sign with that.
func NewAPI(cfg Config, h *hub.Hub, log *slog.Logger) *API {
	if cfg.Secret == "" {
		panic("poosh: no secret")
	}
	cfg = cfg.withDefaults()
	cfg.Sends = cmp.Or(cfg.Sends, sends.New())
	if cfg.Keys == nil {
		cfg.Keys = idempotency.New(idempotency.Config{})
	}
	a := &API{keys: cfg.Keys.App(), hub: h, log: log, maxWire: cfg.MaxWire, gate: cfg.Gate, sends: cfg.Sends, traffic: cfg.Traffic, previous: rotation.New(dialectName, appID, log)}
	a.rules.Store(newRules(cfg))
	a.messages.New = func() any { return new(message) }
	for why := range a.bodies {
		a.bodies[why] = errorBody(refusals[why].text)
	}
	return a
}

// Stats are counts since the API was made.
type Stats struct {
	Sent      uint64 // events published
	Delivered uint64 // connections handed one, summed over all events

	// Refused counts requests that were not published, by the reason's name. Every
	// reason is there. OPTIONS is neither sent nor refused.
	Refused map[string]uint64
}

// Stats returns the counts so far. It may be called from any goroutine.
func (a *API) Stats() Stats {
	sent := a.traffic.Totals()
	s := Stats{Sent: sent.Published, Delivered: sent.Delivered, Refused: make(map[string]uint64, numReasons-1)}
	for why := accepted + 1; why < numReasons; why++ {
		s.Refused[refusals[why].name] = a.refused[why].Load()
	}
	return s
}

// refusedBy are the counts of refusals, every reason among them.
func (a *API) refusedBy() []metric.Sample {
	list := make([]metric.Sample, 0, numReasons-1)
	for why := accepted + 1; why < numReasons; why++ {
		list = append(list, metric.Of(a.refused[why].Load(), refusals[why].name))
	}
	return list
}

// judged answers who has no good token, and others as it is told: answer has the body
// of the request until it returns.
func (a *API) judged(answer func(http.ResponseWriter, *http.Request, *message)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		token, why := a.head(r)
		if why != accepted {
			a.refuse(w, r, nil, why, nil)
			return
		}
		m := a.messages.Get().(*message)
		defer a.release(m)
		by := a.rules.Load()
		m.by = by
		why, err := m.read(r, by.maxBody, by.maxBody+a.maxWire)
		if why == accepted && by.check.Verify(m.values[payloadKey], token) != nil {
			why = m.second(token)
		}
		if why != accepted {
			a.refuse(w, r, m, why, err)
			return
		}
		answer(w, r, m)
	}
}

// second judges a token that the secret did not make.
func (m *message) second(token string) reason {
	if m.by.previous == nil || m.by.previous.Verify(m.values[payloadKey], token) != nil {
		return badToken
	}
	m.old = true
	return accepted
}

// head judges what can be judged without the body, and returns the token.
func (a *API) head(r *http.Request) (token string, why reason) {
	// net/http refuses these before any handler; a front that is none may not.
	if expect := r.Header["Expect"]; len(expect) > 0 && !equalFold(expect[0], "100-continue") {
		return "", badExpectation
	}
	if !knownMethod(r.Method) {
		return "", unknownMethod
	}
	// Node.js joins most repeated headers, but of Authorization keeps the first.
	if header := r.Header["Authorization"]; len(header) > 0 {
		token = strings.Trim(header[0], " \t")
	}
	switch {
	case token == "":
		return "", noToken
	case !auth.IsPooshToken(token):
		return "", badToken
	}
	return token, accepted
}

// release puts a message back.
func (a *API) release(m *message) {
	m.reset()
	a.messages.Put(m)
}

// noLength is the Content-Length of answers without a body. It is shared.
var noLength = []string{"0"}

// null is the payload of an event that was sent without one. It is shared.
var null = []byte("null")

// publication makes what a message wants published. Nothing in it is the
// message's memory: the hub's publications never change, messages are used again.
//
// No room is everyone: the Node server took it for the room "undefined", where
// nobody is, but its Laravel package and the example in its README come from before
// rooms, when every event reached everyone. That is for the missing key alone; null,
// which is what an unset variable of PHP becomes, must not turn into a broadcast.
// Numbers and booleans name a room as in JavaScript, where names were compared as
// strings.
func publication(m *message) (*hub.Publication, reason) {
	event := m.values[eventKey]
	if event.Kind() != auth.String {
		return nil, badEvent
	}
	pub := &hub.Publication{App: App, Event: event.String(), Data: null}
	if !Deliverable(pub.Event) {
		return nil, reservedEvent
	}
	switch room := m.values[roomKey]; room.Kind() {
	case auth.Absent:
		pub.Everyone = true
	case auth.String, auth.Number, auth.Bool:
		pub.Room = room.String()
	default:
		return nil, badRoom
	}
	// Whatever is no string leaves out nobody: null is what the id of nobody becomes in most
	// languages, and the Node server took no notice of the key.
	if except := m.values[exceptKey]; except.Kind() == auth.String {
		pub.Except = except.String()
	}
	// Clients get the payload as its author spelled it, not as JavaScript would
	// print it: what JSON.parse makes of both is the same, and a client in another
	// language gets integers above 2^53 whole.
	if payload := m.values[payloadKey]; payload.Kind() != auth.Absent {
		pub.Data = payload.AppendCompact(make([]byte, 0, len(payload.Bytes())))
	}
	return pub, accepted
}

// Deliverable reports whether an event may have a name.
//
// Refused are names that reach no listener or hurt clients. All others the Node
// server delivered and so do we, those with a meaning of their own too: error,
// reconnect, message and the like fire the page's handler of that name, and an
// empty name is a name. So does disconnect, which is kept although socket.io-client
// from 4.7 on drops the connection over it and comes back: pages of 1.x may rely on
// being told to disconnect, and one frame goes to clients of all versions.
func Deliverable(event string) bool {
	switch event {
	case
		// The Node server emitted these on its own namespace instead of to clients
		// (socket.io 1.3.5, lib/namespace.js, exports.events), and the room stayed set
		// for the next event. connection was answered 500.
		"connect", "connection", "newListener",
		// socket.io-parser from 4.2.4 on takes these for an attack and closes the
		// connection. Nothing of their name is ever sent to a client on purpose.
		"connect_error", "disconnecting", "removeListener",
		// Clients before 1.4 look handlers up in a plain object and find these there:
		// component-emitter before 1.2 throws.
		"__proto__", "constructor", "toString", "toLocaleString", "valueOf", "hasOwnProperty",
		"isPrototypeOf", "propertyIsEnumerable",
		"__defineGetter__", "__defineSetter__", "__lookupGetter__", "__lookupSetter__":
		return false
	}
	return true
}

// clip shortens a stranger's text for the log.
func clip(s string) string { return excerpt.Of(s, 200) }

// logRefusal writes one line for a request that was refused. Requests that mean to
// send are worth a warning; probes and scanners are not.
func (a *API) logRefusal(r *http.Request, why reason) {
	level := slog.LevelDebug
	if r.Method == http.MethodPost {
		level = slog.LevelWarn
	}
	ctx := r.Context()
	if !a.log.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("reason", refusals[why].name), slog.Int("status", refusals[why].status),
		slog.String("method", clip(r.Method)), slog.String("path", clip(r.URL.Path)), slog.String("remote", r.RemoteAddr),
	}
	a.log.LogAttrs(ctx, level, "refused", attrs...)
}
