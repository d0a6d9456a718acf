// Package socktopus speaks Socktopus, a relay for serverless applications: a
// client joins under a connection id with a token that its application made, and
// the application sends to that id over HTTP. Nothing is stored, but where an operator wants
// it for some seconds: away.go.
//
// api.go is the application's door, with what it posts in body.go, client.go the
// clients', encode.go what goes over the wire. Protocol rules are those of the original
// (socktopus in Go, April 2025) where a comment says "the original". Handlers run on the
// HTTP server's goroutines, messages and timers on the loop's; the package has none of its
// own but, with a [presence.Holder], that of a client's [command.Line], which ends with what
// waits there.
//
// Lock order: app.mu, then the hub's, then client.mu, then a connection's own.
package socktopus

import (
	"cmp"
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"poosh/server/admission"
	"poosh/server/closed"
	"poosh/server/hub"
	"poosh/server/metric"
	"poosh/server/presence"
	"poosh/server/rotation"
	"poosh/server/route"
	"poosh/server/sends"
	"poosh/server/setting"
	"poosh/server/websocket"
)

// Config says what the dialect serves and how much of it. Zero fields mean the
// defaults of the dialect's settings, or those named here.
type Config struct {
	Secrets map[string]string // secret values by name; names of any case, none twice
	// Previous are the secrets before those of the same names, which are as good as they are.
	Previous map[string]string

	// Origins are the pages whose browsers may join, in the forms that [CheckOrigin]
	// takes; none means all.
	Origins []string

	ReadTimeout time.Duration // a client that sends no PING for so long is closed
	MaxBody     int           // bytes of one body of /send or /kick
	MaxMessage  int           // bytes of one message of a client
	MaxToken    int           // bytes of a token; 8 KiB
	MaxMessages int           // messages of one /send, and connections of one /kick
	MaxKicks    int           // requests to /kick that may wait at once
	Keep        bool          // messages wait for who is between two connections; see away.go
	KeepBytes   int64         // that these may take, of one application
	Outbox      int           // bytes that may wait on one connection; the loop's

	// Gate admits what /send publishes; nil admits everything.
	Gate *admission.Gate

	Closed *closed.Book // keeps why connections left; nil for nobody
	// Sends gives requests to /send their ids, and is told of their messages; nil for a
	// feed of the dialect's own.
	Sends *sends.Feed

	Holder presence.Holder // says who has an id, among many processes; nil for this one alone
	Bus    presence.Bus    // carries what is kept between them; set with Holder
	// Delivered has somebody told what is handed to clients of this process; nil where the dialect counts.
	Delivered func(app string, count func(p *hub.Publication, took int))
}

func (c Config) withDefaults() Config {
	s := settings{Config: c}
	setting.Fill(s.group().Settings)
	if s.Config.MaxToken == 0 {
		s.Config.MaxToken = 8 << 10
	}
	if s.Config.Closed == nil {
		s.Config.Closed = closed.New(0)
	}
	return s.Config
}

// A Dialect serves Socktopus. Make one with [New]; it is the http.Handler of its
// listener.
type Dialect struct {
	rules  atomic.Pointer[rules] // never nil; who looks at several things loads it once
	hub    *hub.Hub
	loop   *websocket.Server
	log    *slog.Logger
	routes *route.Router    // set once
	wall   func() time.Time // the clock that tokens are made by; time.Now but in tests; set once

	open admission.Door // connections that have not been reported closed

	refused      *metric.Set[refusal]
	sent, failed atomic.Uint64 // messages
	kept, missed atomic.Uint64 // messages that waited, and of those the ones that nobody came for
	lost         atomic.Uint64 // connections that were gone before they were one
}

// A rules is what counts until the settings are read again. It never changes.
type rules struct {
	Config
	apps    map[string]*app // by name in lower case
	names   []string        // of apps, sorted
	origins originList
	tooMany string        // what a body with too many elements is refused with
	kicks   chan struct{} // a place for each request to /kick that may wait
}

// cfg is what an operator has chosen.
func (d *Dialect) cfg() *Config { return &d.rules.Load().Config }

// An app is one application: a secret, and the clients that joined with it.
type app struct {
	name    string // lower case
	room    string // the application's name in the hub
	secrets atomic.Pointer[secrets]
	old     *rotation.Watch
	removed atomic.Bool // there is no secret of its name any more

	ends    *closed.Source
	traffic metric.Traffic

	mu      sync.Mutex // guards what follows
	clients map[string]*client
	bars    map[string]*bar
	away    absences
}

// New returns a dialect that serves the applications of cfg. It starts nothing.
func New(cfg Config, h *hub.Hub, loop *websocket.Server, log *slog.Logger) (*Dialect, error) {
	cfg = cfg.withDefaults()
	cfg.Sends = cmp.Or(cfg.Sends, sends.New())
	d := &Dialect{hub: h, loop: loop, log: log, refused: metric.Closed[refusal](refusalNames()), wall: time.Now}
	d.rules.Store(new(rules))
	commit, err := d.change(cfg)
	if err != nil {
		return nil, err
	}
	commit()
	d.routes = d.mount()
	if cfg.Bus != nil {
		cfg.Bus.Handle(kindKeep, d.answerKeeping)
	}
	return d, nil
}

// fold is the one spelling of an application's name. The original found secrets in
// any case but kept the clients of MyApp and myapp apart.
func fold(name string) string { return strings.ToLower(name) }

// leave takes no client any more, ends the waits of /kick, so that who is kicked is told
// that and not to come back, and returns the clients who are there.
func (d *Dialect) leave() []*client {
	d.open.Close()
	for _, a := range d.rules.Load().apps {
		for _, b := range a.allBars() {
			b.fire(true)
		}
	}
	var all []*client
	for _, a := range d.rules.Load().apps {
		all = append(all, a.all()...)
	}
	return all
}

// Shutdown takes no client any more, ends the waits of /kick, and closes every
// connection once what waits for it is written, so that its client joins again
// elsewhere. It returns when all are closed, or with ctx's error.
func (d *Dialect) Shutdown(ctx context.Context) error {
	for _, c := range d.leave() {
		c.Leave()
	}
	return d.open.Wait(ctx)
}

// Stats are counts of this moment and since the start.
type Stats struct {
	Connected int               // clients that can be sent to
	Sent      uint64            // messages that were handed to their recipients
	Failed    uint64            // messages that were not
	Lost      uint64            // connections that were gone before they were one
	Refused   map[string]uint64 // requests that were not done, by reason
	Ended     map[string]uint64 // connections that have ended, by reason
}

// Stats returns the counts so far.
func (d *Dialect) Stats() Stats {
	st := Stats{d.connected(), d.sent.Load(), d.failed.Load(), d.lost.Load(), d.refused.All(), make(map[string]uint64)}
	for _, a := range d.rules.Load().apps {
		for why, n := range a.ends.By() {
			st.Ended[why] += n
		}
	}
	return st
}

func (d *Dialect) connected() int {
	n := 0
	for _, a := range d.rules.Load().apps {
		n += d.hub.Len(a.room)
	}
	return n
}
