package health

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"poosh/server/admission"
	"poosh/server/hub"
	"poosh/server/logtest"
	"poosh/server/loop"
	"poosh/server/stalltest"
)

const patience = 30 * time.Second

// A process is one whose health is looked at.
type process struct {
	*Health
	t    *testing.T
	hub  *hub.Hub
	loop *loop.Loop
	gate *admission.Gate
	log  *logtest.Buffer

	stalled func() time.Duration // this process, since it was made
}

// newProcess makes one of nothing but a hub, a loop and a gate. At its end it has no
// file open that it has not had before.
func newProcess(t *testing.T, cfg loop.Config) *process {
	t.Helper()
	cfg.Log = slog.New(slog.DiscardHandler)
	// The first use of the network opens descriptors that stay: they are not a process's.
	if near, far, err := pair(t.Context()); err != nil {
		t.Fatal(err)
	} else {
		_, _ = near.Close(), far.Close()
	}
	before := openFiles(t)
	l, err := loop.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, hub: hub.New(), loop: l, gate: admission.New(l, 0), log: new(logtest.Buffer), stalled: stalltest.Watch(t)}
	p.Health = New(Config{Hub: p.hub, Loop: l, Gate: p.gate, Log: slog.New(slog.NewTextHandler(p.log, nil))})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := p.Close(ctx); err != nil {
			t.Error(err)
		}
		if n := p.hub.Len(App); n != 0 {
			t.Errorf("%d canaries are left", n)
		}
		if err := errors.Join(p.hub.Check(), p.loop.Check()); err != nil {
			t.Error(err)
		}
		l.Close()
		if conns := p.Own(); conns != 0 {
			t.Errorf("%d of its connections are left", conns)
		}
		if after := openFiles(t); after > before {
			t.Errorf("%d files are open, %d before", after, before)
		}
	})
	return p
}

func openFiles(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("this system does not say which files are open") // not Linux: the rest is the same there
	}
	return len(list)
}

// look asks for a look that is taken now.
func (p *process) look() Report {
	p.t.Helper()
	p.mu.Lock()
	p.at = time.Time{}
	p.mu.Unlock()
	began, before := time.Now(), p.stalled()
	r := p.Ready(p.t.Context())
	if took := time.Since(began) - (p.stalled() - before); took > Patience+time.Second {
		p.t.Errorf("it took %v", took)
	}
	return r
}

// wants looks until what is said is this: a status, and the parts that are wrong with
// words of why. It returns how often it has looked.
func (p *process) wants(status string, faults ...string) (looks int) {
	p.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		looks++
		r := p.look()
		var got []string
		for _, f := range r.Faults {
			got = append(got, f.Part+": "+f.Why)
		}
		if r.Status == status && strings.Join(got, ", ") == strings.Join(faults, ", ") {
			return looks
		}
		// A look has a second, which a busy machine may take for something else.
		if time.Now().After(end) {
			p.t.Fatalf("it is %s for %q, want %s for %q\n%s", r.Status, got, status, faults, p.log)
		}
	}
}

// A process that works is ready, time and again, and its canaries are told from what
// others publish.
func TestReady(t *testing.T) {
	for _, goroutines := range []bool{false, true} {
		p := newProcess(t, loop.Config{Goroutines: goroutines})
		looks := 0
		for range 5 {
			looks += p.wants(OK)
		}
		conns := p.Own()
		if want := int64(p.loop.Shards()); conns != want {
			t.Errorf("%d connections of %d shards", conns, want)
		}
		if h, l := p.hub.Stats(), p.loop.Stats(); h.Published != 0 || h.Delivered != 0 || l.Conns != conns {
			t.Errorf("the hub counts %+v, the loop %d connections", h, l.Conns)
		}
		if p.log.String() != "" && looks == 5 {
			t.Errorf("the log says %s", p.log)
		}
	}
}

// Nobody who does not ask costs anything.
func TestNothingIsOpenBeforeSomebodyAsks(t *testing.T) {
	p := newProcess(t, loop.Config{})
	if conns := p.Own(); conns != 0 || p.loop.Stats().Conns != 0 {
		t.Errorf("%d connections", p.loop.Stats().Conns)
	}
}

// However many ask, there is one look in a second.
func TestAskersShareALook(t *testing.T) {
	p := newProcess(t, loop.Config{})
	var looks atomic.Int64
	p.Need("counted", func(context.Context) error {
		looks.Add(1)
		time.Sleep(20 * time.Millisecond)
		return nil
	})
	ask := func() {
		var asking sync.WaitGroup
		for range 200 {
			asking.Go(func() {
				if r := p.Ready(t.Context()); r.Status != OK {
					t.Errorf("%+v", r)
				}
			})
		}
		asking.Wait()
	}
	began := time.Now()
	ask()
	ask()
	if n := looks.Load(); n != 1 && time.Since(began) < fresh {
		t.Errorf("%d looks", n)
	}
	before := looks.Load()
	time.Sleep(fresh + 50*time.Millisecond)
	began = time.Now()
	ask()
	if n := looks.Load(); n != before+1 && time.Since(began) < fresh {
		t.Errorf("%d looks after a second, %d before", n, before)
	}
}

// blocking is a receiver that blocks in Deliver, with its room locked.
type blocking struct{ release chan struct{} }

func (b blocking) Deliver([]byte) bool {
	<-b.release
	return true
}

// A hub that is stuck is told of, on and on, and forgotten when it is stuck no more.
func TestStuckHub(t *testing.T) {
	p := newProcess(t, loop.Config{})
	p.wants(OK)
	b := blocking{make(chan struct{})}
	release := sync.OnceFunc(func() { close(b.release) })
	t.Cleanup(release) // or what is stuck would keep the test from ending
	sub := p.hub.Register(App, "stuck", 0, nil, b)
	const why = "hub: what is published does not come through"
	p.wants(NotReady, why)
	began, before := time.Now(), p.stalled()
	p.wants(NotReady, why) // at once: it is known to be stuck
	if took := time.Since(began) - (p.stalled() - before); took > Patience/2 {
		t.Errorf("to say it again took %v", took)
	}
	if !strings.Contains(p.log.String(), "level=WARN msg=\"not ready\" part=hub") {
		t.Errorf("the log says %q", p.log)
	}
	release()
	p.hub.Unregister(sub)
	p.recovers()
}

// recovers waits until all is well again.
func (p *process) recovers() {
	p.t.Helper()
	for end := time.Now().Add(patience); p.look().Status != OK; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			p.t.Fatalf("it did not become ready again: %s", p.log)
		}
	}
	if !strings.Contains(p.log.String(), "ready again") {
		p.t.Errorf("the log says %q", p.log)
	}
}

// deaf is a protocol that blocks the goroutine that reads for many connections.
type deaf struct{ release chan struct{} }

func (d deaf) Data(_ *loop.Conn, data []byte) {
	if len(data) > 0 {
		<-d.release
	}
}

func (deaf) Closed(*loop.Conn, error) {}
func (deaf) RemoteAddr() string       { return "deaf" }

// A shard whose reader is stuck is told of, whichever it is.
func TestStuckReader(t *testing.T) {
	p := newProcess(t, loop.Config{})
	p.wants(OK)
	for shard := range p.loop.Shards() {
		near, far, err := pair(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		d := deaf{make(chan struct{})}
		release := sync.OnceFunc(func() { close(d.release) })
		t.Cleanup(release)
		c, err := p.loop.AttachTo(shard, near, loop.Options{}, d)
		if err != nil {
			t.Fatal(err)
		}
		c.Start()
		if _, err := far.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		p.wants(NotReady, "loop: what clients send is not read")
		release()
		p.recovers()
		_ = far.Close()
	}
}

// Senders who are not let in, since nobody inside leaves, are told of; those who wait
// until the loop has caught up are no fault.
func TestStuckGate(t *testing.T) {
	p := newProcess(t, loop.Config{})
	p.wants(OK)
	inside := 0
	for p.gate.Try() == nil {
		inside++
	}
	p.wants(NotReady, "publications: senders are not let in")
	p.gate.Leave()
	p.recovers()
	for range inside - 1 {
		p.gate.Leave()
	}
	if n := p.gate.Refused(); n != 1 { // the one of Try above
		t.Errorf("%d are counted as refused", n)
	}
	late := newProcess(t, loop.Config{MaxBlocked: -1})
	late.wants(Degraded, "publications: senders wait until what is published has been written")
	if code := late.look().Code(); code != 200 {
		t.Errorf("status %d", code)
	}
}

// What a dialect needs is told of by its name; what is wrong with it is for the log.
func TestNeeds(t *testing.T) {
	p := newProcess(t, loop.Config{})
	var wrong atomic.Pointer[error]
	p.Need("a dialect", func(context.Context) error {
		if err := wrong.Load(); err != nil {
			return *err
		}
		return nil
	})
	p.wants(OK)
	err := errors.New("/var/lib/poosh/x.db: no such file")
	wrong.Store(&err)
	p.wants(NotReady, "a dialect: is not available")
	if !strings.Contains(p.log.String(), err.Error()) {
		t.Errorf("the log says %q", p.log)
	}
	wrong.Store(nil)
	p.recovers()
}

// A process is stuck when it is itself what does not work, and not when something beside
// it is away, when clients are slow, or when it ends.
func TestStuck(t *testing.T) {
	p := newProcess(t, loop.Config{})
	away := errors.New("away")
	p.Need("a dialect", func(context.Context) error { return away })
	p.wants(NotReady, "a dialect: is not available")
	if err := p.Stuck(t.Context()); err != nil {
		t.Errorf("without its database: %v", err)
	}
	late := newProcess(t, loop.Config{MaxBlocked: -1})
	late.wants(Degraded, "publications: senders wait until what is published has been written")
	if err := late.Stuck(t.Context()); err != nil {
		t.Errorf("with slow clients: %v", err)
	}
	closed := newProcess(t, loop.Config{})
	if err := closed.gate.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	closed.wants(NotReady, "publications: senders are not let in")
	if err := closed.Stuck(t.Context()); err == nil || !strings.Contains(err.Error(), "senders are not let in") {
		t.Errorf("with nobody let in: %v", err)
	}
	closed.Drain()
	if err := closed.Stuck(t.Context()); err != nil {
		t.Errorf("at the end: %v", err)
	}
}

// What does not answer is asked once, however often somebody looks.
func TestStuckNeedIsAskedOnce(t *testing.T) {
	p := newProcess(t, loop.Config{})
	var asked atomic.Int64
	released := make(chan struct{})
	release := sync.OnceFunc(func() { close(released) })
	t.Cleanup(release)
	p.Need("a dialect", func(context.Context) error {
		asked.Add(1)
		<-released
		return nil
	})
	for range 3 {
		p.wants(NotReady, "a dialect: does not answer")
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("it was asked %d times", n)
	}
	release()
	p.recovers()
}

// A connection of the canary that breaks is no fault: the next one has another.
func TestCanaryHasAnotherPerch(t *testing.T) {
	p := newProcess(t, loop.Config{})
	p.wants(OK)
	for range 3 {
		p.canary.mu.Lock()
		_ = p.canary.perch[0].peer.Close()
		p.canary.mu.Unlock()
		p.wants(OK)
	}
	p.canary.perch[0].conn.Abort(loop.ErrReset)
	p.wants(OK)
}

// A process that is about to end is not ready, at once and whatever a look has shown,
// and alive.
func TestDraining(t *testing.T) {
	p := newProcess(t, loop.Config{})
	p.wants(OK)
	p.Drain()
	for _, row := range []struct {
		path string
		code int
		body string
	}{
		{"/live", 200, `{"status":"ok"}`},
		{"/ready", 503, `{"status":"not ready","faults":[{"part":"server","why":"is shutting down"}]}`},
	} {
		w := httptest.NewRecorder()
		if row.path == "/live" {
			p.ServeLive(w, httptest.NewRequest("GET", row.path, nil))
		} else {
			p.ServeReady(w, httptest.NewRequest("GET", row.path, nil))
		}
		if w.Code != row.code || w.Body.String() != row.body || !json.Valid(w.Body.Bytes()) || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %s", row.path, w.Code, w.Body)
		}
	}
	if strings.Contains(p.log.String(), "not ready") {
		t.Errorf("the log says %q", p.log)
	}
}

// Whoever goes is not waited for.
func TestAskerLeaves(t *testing.T) {
	p := newProcess(t, loop.Config{})
	release := make(chan struct{})
	defer close(release)
	p.Need("slow", func(context.Context) error {
		<-release
		return nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r := p.Ready(ctx); r.Status != NotReady {
		t.Errorf("%+v", r)
	}
}

// Close says that something is stuck, and does not wait for ever.
func TestCloseDoesNotWaitForWhatIsStuck(t *testing.T) {
	p := newProcess(t, loop.Config{})
	released := make(chan struct{})
	release := sync.OnceFunc(func() { close(released) })
	t.Cleanup(release)
	p.Need("a dialect", func(context.Context) error {
		<-released
		return nil
	})
	p.wants(NotReady, "a dialect: does not answer")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := p.Close(ctx); err == nil {
		t.Error("it says that nothing is stuck")
	}
	release()
}

// away is a cluster whose other nodes cannot be reached.
type away struct{ behind chan struct{} }

func (a away) CaughtUp() <-chan struct{} { return a.behind }
func (away) Late() bool                  { return true }
func (away) Why() error                  { return admission.ErrAway }

// A node that cannot reach the others serves its clients: a balancer must not take it away, since
// none would be left.
func TestClusterAway(t *testing.T) {
	p := newProcess(t, loop.Config{})
	p.gate = admission.New(admission.Both(p.loop, away{make(chan struct{})}), 0)
	p.cfg.Gate = p.gate
	r := p.look()
	if r.Status != Degraded || len(r.Faults) != 1 || !strings.Contains(r.Faults[0].Why, admission.ErrAway.Error()) {
		t.Errorf("%+v", r)
	}
}
