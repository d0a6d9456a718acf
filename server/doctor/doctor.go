// Package doctor examines a server from outside, as its clients reach it: through whatever
// proxy, balancer and network stand in between. It names what these do wrong, why that
// matters, and the lines that mend it in nginx, haproxy, Caddy and Apache.
//
// It knows what a server of Poosh answers and nothing of how that is served. It reads no
// settings: who calls it says what is known of the server, and hands it those who send
// events and those who listen for them, see [Canary]. What it starts has ended when
// [Examine] returns, and everything has a deadline.
//
// # One fault, one name
//
// A proxy that lets no WebSocket through also lets no upgrade through, and no event over
// it. Only what is the cause is named: what cannot be told while that is so is in
// [Report].NotLooked, with the reason.
package doctor

import (
	"context"
	"crypto/x509"
	"errors"
	"net/netip"
	"net/url"
	"slices"
	"sync"
	"time"
)

// A Config says what is examined. URL must be there; everything else may be zero.
type Config struct {
	// URL is where clients connect, http or https, with the path that stands before
	// /socket.io/, if there is one.
	URL *url.URL
	// Agent is what the examination calls itself in User-Agent.
	Agent string

	// Roots are the authorities that clients believe; nil for those of the system.
	Roots *x509.CertPool
	// Source is the address of this machine that connections come from; the zero Addr for
	// the one that the system chooses.
	Source netip.Addr
	// Resolve finds the addresses of a name; nil for the system's resolver.
	Resolve func(ctx context.Context, host string) ([]netip.Addr, error)

	// Patience is the longest that a connection is left idle; 0 for [Patience].
	Patience time.Duration
	// Origin is that of a page which may connect; empty for any page.
	Origin string
	// Upstream is where the proxy reaches the server, host and port, for the lines that
	// are advised; empty for what is usual.
	Upstream string

	// SocketIO says that socket.io is spoken there. Without it only name, certificate and
	// canaries are looked at.
	SocketIO bool
	// Events says that Server-Sent Events are at /events beside socket.io, and EventsMeant
	// that clients use them: that they are not handed on is a fault then.
	Events, EventsMeant bool
	// Send publishes an event, which has no payload, to a room of socket.io, and returns
	// how many took it; nil for who cannot.
	Send func(ctx context.Context, room, event string) (delivered int, err error)
	// SendLarge publishes an event as large as a sender may send; nil for who cannot, or
	// does not go through a proxy.
	SendLarge func(ctx context.Context) error
	// Seen asks the server where a session of socket.io is from, as [standing.Client].Remote
	// has it; nil for who cannot.
	Seen func(ctx context.Context, session string) (remote string, err error)
	// Trusts reports whether the server takes an address for a proxy's; nil for who does
	// not know.
	Trusts func(netip.Addr) bool

	Canaries []Canary
	Looks    []Look
	// Blind says what the caller cannot have looked at, and why.
	Blind []NotLooked

	// Progress is told what is looked at now; nil for nobody. It is called from several
	// goroutines.
	Progress func(what string)
}

// Patience is how long a connection is left idle by default: longer than the heartbeat of a
// server that has no other one set.
const Patience = 30 * time.Second

// most is the time for everything beside being idle.
const most = 100 * time.Second

// oneStep is the time for one request or one handshake.
const oneStep = 10 * time.Second

// A Report is what was found.
type Report struct {
	URL       string      `json:"url"`
	Faults    []Fault     `json:"faults"`
	Good      []string    `json:"good"`       // what was looked at and is well
	NotLooked []NotLooked `json:"not_looked"` // and why

	// Unreachable says that nothing there answers at all.
	Unreachable bool `json:"unreachable"`
}

// A Fault is one thing that is wrong.
type Fault struct {
	ID     string `json:"id"`               // names the kind; it does not change
	Seen   string `json:"seen"`             // what happened, one line
	Why    string `json:"why"`              // it matters, one sentence
	Do     string `json:"do,omitempty"`     // what to do that is no line of a proxy's
	Advice []Mend `json:"advice,omitempty"` // for each proxy that it can be mended in
}

// A Mend is what to change in one proxy's configuration.
type Mend struct {
	Proxy  string   `json:"proxy"` // nginx, haproxy, caddy or apache
	Where  string   `json:"where"` // the block that the lines stand in
	Add    []string `json:"add,omitempty"`
	Remove []string `json:"remove,omitempty"` // beginnings of lines that must not stand there, nor in a block within it
}

// A NotLooked is something that could not be told.
type NotLooked struct {
	What string `json:"what"`
	Why  string `json:"why"`
}

// An exam is one examination.
type exam struct {
	Config
	host, port string // of the URL
	to         netip.AddrPort

	mu       sync.Mutex // guards what follows
	report   Report
	quickest time.Duration // of all answers; 0 before the first
	connect  time.Duration // until a connection was there, the quickest of all
	timing   Timing        // of the advice
}

// Timing is what the server says of itself in a handshake.
type Timing struct {
	Interval, Timeout time.Duration // between heartbeats, and how late one may be
	MaxPayload        int           // bytes of one message
}

// Examine looks at everything. It returns soon after ctx ended, with what was found until
// then.
func Examine(ctx context.Context, c Config) Report {
	if c.Patience <= 0 {
		c.Patience = Patience
	}
	ctx, cancel := context.WithTimeout(ctx, most+c.Patience)
	defer cancel()
	x := &exam{Config: c, host: c.URL.Hostname(), port: portOf(c.URL)}
	x.report = Report{URL: c.URL.String(), Faults: []Fault{}, Good: []string{}, NotLooked: append([]NotLooked{}, c.Blind...)}
	x.examine(ctx)
	slices.SortStableFunc(x.report.Faults, func(a, b Fault) int { return order(a.ID) - order(b.ID) })
	return x.report
}

func portOf(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	if u.Scheme == "https" {
		return "443"
	}
	return "80"
}

func (x *exam) examine(ctx context.Context) {
	if !x.reach(ctx) {
		return
	}
	if x.URL.Scheme == "https" && !x.certificate(ctx) {
		return
	}
	var all sync.WaitGroup
	defer all.Wait()
	if x.SocketIO {
		x.socketIO(ctx, &all)
	}
	x.progress("events")
	for _, c := range x.Canaries {
		all.Go(func() { x.canary(ctx, c) }) // ends with ctx
	}
	for _, l := range x.Looks {
		all.Go(func() { x.look(ctx, l) }) // ends with ctx
	}
}

// socketIO looks at what a server of socket.io is reached through. What takes long goes on
// in goroutines of all, which end with ctx.
func (x *exam) socketIO(ctx context.Context, all *sync.WaitGroup) {
	x.progress("handshake")
	first, ok := x.open(ctx)
	if !ok {
		return
	}
	cached := x.cached(ctx, first)
	sessions := !cached && x.polls(ctx)
	web := x.webSocket(ctx)
	x.progress("heartbeat")
	all.Go(func() { x.idle(ctx, sessions, web, x.Events && !cached) })
	all.Go(func() {
		if sessions {
			x.progress("sizes, addresses and events of polling clients")
			if web {
				x.upgrade(ctx)
			}
			x.sizes(ctx)
			x.forwarded(ctx)
			x.pollingCanary(ctx)
		} else {
			for _, what := range []string{"change from polling to WebSocket", "size of bodies", "addresses of clients", "an event for a polling client"} {
				x.skip(what, "sessions of polling clients do not work")
			}
		}
		switch {
		case x.has("unsteady"): // the fault of any answer would be that of who is away
			x.skip("headers, forms and versions of answers, and "+streams, askedAnother)
		case !cached:
			x.answers(ctx)
			x.streams(ctx)
		}
	})
}

func (x *exam) progress(what string) {
	if x.Progress != nil {
		x.Progress(what)
	}
}

// maxSeen bounds what is told of one thing, in bytes: a stranger's text may be part of it.
const maxSeen = 1000

// fault notes that something is wrong; of each kind the first is told.
func (x *exam) fault(id, seen string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !slices.ContainsFunc(x.report.Faults, func(f Fault) bool { return f.ID == id }) {
		x.report.Faults = append(x.report.Faults, x.describe(id, bounded(seen, maxSeen)))
	}
}

func (x *exam) has(ids ...string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.ContainsFunc(x.report.Faults, func(f Fault) bool { return slices.Contains(ids, f.ID) })
}

func (x *exam) good(what string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.report.Good = append(x.report.Good, what)
}

func (x *exam) skip(what, why string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.report.NotLooked = append(x.report.NotLooked, NotLooked{what, bounded(why, maxSeen)})
}

// ErrSecret says that a server refuses what is signed with the secret that is known here.
var ErrSecret = errors.New("the signature is refused")

// ErrClock says that a server finds a signature too old or too new.
var ErrClock = errors.New("the time of the signature is refused")

// ErrNotPassed says that something else answers in place of the server's API.
var ErrNotPassed = errors.New("that is no answer of the server")

// ErrNoAuthorization says that the server does not see the header in which a request says
// whose it is.
var ErrNoAuthorization = errors.New("the header Authorization does not arrive")

// ErrUnheard says that a Redis has handed what is published in it to nobody.
var ErrUnheard = errors.New("nobody listens in that Redis")

// ErrTooLarge says that something on the way takes no body as large as the server would.
var ErrTooLarge = errors.New("the body is refused as too large")
