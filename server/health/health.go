// Package health says whether the process works: alive when it answers, and ready when
// what is published now would reach those who listen. It is asked by balancers,
// supervisors and operators, on the ports of clients too, so whoever asks costs nothing:
// one look a second at the most is taken, and all who ask share what it showed.
//
// # What ready means
//
// A look sends a publication of its own, a canary, on the way of all others: past the
// gate, through the hub, by each shard of the loop onto a socket and off it again; see
// canary. Dialects tell beside that whether what they need is there, such as a
// database. A look has [Patience]; what has not answered by then is stuck, and is not
// asked again before it has answered.
//
// That much waits for clients who are slow is not a fault: the process would be taken
// away from its clients for having many. Nor is a full port.
//
// # Goroutines
//
// A look has one, and each thing that is looked at another one. They end by themselves,
// within Patience unless they are stuck; [Health.Close] waits for them.
package health

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"poosh/server/admission"
	"poosh/server/hub"
	"poosh/server/loop"
	"poosh/server/respond"
)

const (
	// Patience is how long a look at everything takes at the most.
	Patience = time.Second
	// fresh is for how long what it showed is told.
	fresh = time.Second
)

// Config is what a process consists of.
type Config struct {
	Hub  *hub.Hub
	Loop *loop.Loop
	Gate *admission.Gate
	Log  *slog.Logger // is told when the process ceases to be ready, and when it is again
}

// A Health is the health of one process. Make one with [New]; its methods may be called
// from any goroutine.
type Health struct {
	cfg     Config
	canary  *canary
	looks   sync.WaitGroup // under way
	closing sync.Once
	over    chan struct{} // closed when no look is under way any more, once closing

	draining atomic.Bool

	mu     sync.Mutex // guards what follows
	parts  []*part
	report Report // of the last look
	at     time.Time
	under  chan struct{} // closed when the look that is under way is over; nil without one
	closed bool
}

// New makes the health of a process. Nothing is opened or started before somebody asks.
func New(cfg Config) *Health {
	h := &Health{cfg: cfg, canary: newCanary(cfg.Hub, cfg.Loop), over: make(chan struct{})}
	h.parts = []*part{
		{name: "publications", ready: h.passes, own: true},
		{name: "canary", ready: h.canary.fly, where: h.canary.where, own: true},
	}
	return h
}

// Need has the process be ready only while ready returns nil. What its error says goes to
// the log alone. Call it before anybody asks.
func (h *Health) Need(name string, ready func(context.Context) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.parts = append(h.parts, &part{name: name, ready: ready})
}

// Drain has the process not be ready any more: it is about to end.
func (h *Health) Drain() { h.draining.Store(true) }

// Draining reports whether the process is about to end.
func (h *Health) Draining() bool { return h.draining.Load() }

// Close ends what is open, and waits for what is under way until ctx ends. Nobody is
// told that the process is ready any more.
func (h *Health) Close(ctx context.Context) error {
	h.Drain()
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	h.closing.Do(func() {
		h.looks.Go(h.canary.close) // waits for the hub
		go func() {                // ends with the looks, which may be stuck
			h.looks.Wait()
			close(h.over)
		}()
	})
	select {
	case <-h.over:
		return nil
	case <-ctx.Done():
		return errors.New("a look at the process's health is stuck")
	}
}

// Own returns how many open connections the loop counts that are the process's own
// canary's, for who tells of clients.
func (h *Health) Own() (conns int64) { return h.canary.own() }

// A Report says whether a process is ready.
type Report struct {
	Status string  `json:"status"`
	Faults []Fault `json:"faults,omitempty"` // what is wrong
}

// What a report's Status may be. A process that is degraded is ready.
const (
	OK       = "ok"
	Degraded = "degraded"
	NotReady = "not ready"
)

// A Fault is something that does not work, in words for strangers too.
type Fault struct {
	Part string `json:"part"`
	Why  string `json:"why"`

	soft bool  // the process is ready all the same
	own  bool  // it is the process itself that does not work, and nothing beside it
	err  error // for the log
}

var (
	draining = Report{Status: NotReady, Faults: []Fault{{Part: "server", Why: "is shutting down"}}}
	unknown  = Report{Status: NotReady, Faults: []Fault{{Part: "server", Why: "was not looked at"}}}
)

// Ready says what a look showed that is not older than a second. It takes no longer than
// [Patience], or until ctx ends.
func (h *Health) Ready(ctx context.Context) Report {
	h.mu.Lock()
	switch {
	case h.draining.Load(), h.closed:
		h.mu.Unlock()
		return draining
	case h.under == nil && time.Since(h.at) < fresh && !h.at.IsZero():
		defer h.mu.Unlock()
		return h.report
	case h.under == nil:
		h.under = make(chan struct{})
		h.looks.Go(func() { h.look(h.under) }) // ends with what it looks at, or after Patience
	}
	under := h.under
	h.mu.Unlock()
	select {
	case <-under:
	case <-ctx.Done():
		return unknown
	}
	if h.draining.Load() {
		return draining
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.report
}

// Stuck says what is wrong with the process itself, which a restart would mend; nil while
// nothing is. That something beside it is away, such as a database, is not that, and neither
// is that the process ends. It takes as long as [Health.Ready].
func (h *Health) Stuck(ctx context.Context) error {
	report := h.Ready(ctx)
	if h.draining.Load() {
		return nil
	}
	for _, f := range report.Faults {
		if f.own && !f.soft {
			return fmt.Errorf("%s %s: %w", f.Part, f.Why, cmp.Or(f.err, errors.New("no more is known")))
		}
	}
	return ctx.Err()
}

// look looks at everything at once.
func (h *Health) look(under chan struct{}) {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	faults, own := make([]*Fault, len(h.parts)), make([]bool, len(h.parts)) // which is set before anybody asks
	var looking sync.WaitGroup
	for i, p := range h.parts {
		own[i] = p.own
		looking.Go(func() { faults[i] = p.look(ctx, &h.looks) })
	}
	looking.Wait()
	r := Report{Status: OK}
	for i, f := range faults {
		switch {
		case f == nil:
			continue
		case !f.soft:
			r.Status = NotReady
		case r.Status == OK:
			r.Status = Degraded
		}
		f.own = own[i]
		r.Faults = append(r.Faults, *f)
	}
	h.mu.Lock()
	before := h.report.Status
	h.report, h.at, h.under = r, time.Now(), nil
	h.mu.Unlock()
	h.tell(before, r)
	close(under)
}

// tell has the log say what has changed.
func (h *Health) tell(before string, r Report) {
	switch {
	case h.draining.Load():
	case r.Status == NotReady:
		for _, f := range r.Faults {
			h.cfg.Log.Warn("not ready", "part", f.Part, "why", f.Why, "err", f.err)
		}
	case before == NotReady:
		h.cfg.Log.Info("ready again", "status", r.Status)
	}
}

// passes reports whether senders are let in.
func (h *Health) passes(ctx context.Context) error {
	err := h.cfg.Gate.Pass(ctx)
	if errors.Is(err, admission.ErrAway) {
		// All nodes of a cluster see it at once: where one is not ready, none would be left.
		return &Fault{Why: "senders are refused: " + err.Error(), soft: true}
	}
	if errors.Is(err, admission.ErrOverloaded) && h.cfg.Loop.Late() {
		return &Fault{Why: "senders wait until what is published has been written", soft: true}
	}
	if err != nil {
		return &Fault{Why: "senders are not let in", err: err}
	}
	return nil
}

// Soft is what a part returns that does not work as it should while the process is ready all
// the same; why is told to strangers too.
func Soft(why string) error { return &Fault{Why: why, soft: true} }

// Because is what a part returns that keeps the process from being ready: why is told to strangers too, and err to
// the log alone.
func Because(why string, err error) error { return &Fault{Why: why, err: err} }

// Error has a Fault be what a part returns that has words of its own.
func (f *Fault) Error() string { return f.Why }

// ServeLive answers who asks whether the process is alive: that it answers says so.
func (h *Health) ServeLive(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	respond.Go.JSON(w, http.StatusOK, Report{Status: OK})
}

// ServeReady answers who asks whether the process is ready: 200, or 503 and what is
// wrong.
func (h *Health) ServeReady(w http.ResponseWriter, r *http.Request) {
	report := h.Ready(r.Context())
	w.Header().Set("Cache-Control", "no-store")
	respond.Go.JSON(w, report.Code(), report)
}

// Code is the HTTP status that says the same.
func (r Report) Code() int {
	if r.Status == NotReady {
		return http.StatusServiceUnavailable
	}
	return http.StatusOK
}
