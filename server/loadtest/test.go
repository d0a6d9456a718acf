package loadtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"poosh/server/websocketclient"
)

// giveUp is how many clients in a row may fail to connect until no more are tried.
const giveUp = 64

const (
	// grace is how long what was due may still leave, and how long something that was
	// published may take to come after anything else has.
	grace = 3 * time.Second
	// linger bounds how long deliveries are waited for altogether.
	linger = time.Minute
	// hasty is the same for who has interrupted the test.
	hasty = time.Second
)

// A Test is one test, of which [Test.Progress] tells from any goroutine.
type Test struct {
	cfg     Config
	tail    []byte
	rooms   []room
	clients []*client
	shards  []shard
	dialer  *websocket.Dialer
	polls   *http.Client
	posts   *http.Client
	posting context.Context // of what is posted
	ends    []func()        // of what publishes in a Redis; of Run's goroutine
	faults  faults
	connect timings
	serving sync.WaitGroup // the clients

	deserted chan struct{} // closed when no client is left while events are published
	over     atomic.Bool   // connections that end now are no faults
	stage    atomic.Pointer[string]
	failed   atomic.Pointer[error] // why the first client could not connect

	tried, joined, alive, failing                         atomic.Int64
	accepted, refused, unanswered, unsent, late, probes   atomic.Int64
	begin, connecting, connected, published, lastAccepted atomic.Int64 // times
	interrupted                                           atomic.Bool
}

// timings are durations that several goroutines count.
type timings struct {
	mu sync.Mutex // guards h
	h  Histogram
}

func (t *timings) record(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.h.Record(d)
}

// New prepares a test of a configuration that [Config.Check] finds nothing wrong with.
func New(cfg Config) *Test {
	if cfg.Publish == ByEcho {
		cfg.Rooms, cfg.Join = cfg.Clients, ""
	}
	cfg.Server.spread = cfg.Clients > portsOfOne
	t := &Test{
		cfg: cfg, tail: NewPayload(cfg.Size).Tail(), deserted: make(chan struct{}),
		rooms: make([]room, cfg.Rooms), shards: make([]shard, 4*runtime.GOMAXPROCS(0)),
		dialer: &websocket.Dialer{
			NetDialContext: cfg.Server.dial, TLSClientConfig: cfg.Server.tls.Clone(), HandshakeTimeout: cfg.Timeout,
			ReadBufferSize: 2 << 10, WriteBufferSize: 512, WriteBufferPool: &sync.Pool{},
		},
		polls: keeping(cfg.Server, 2*cfg.Clients, 0),
	}
	if cfg.API != nil {
		t.posts = keeping(cfg.API, cfg.Publishers, cfg.Timeout)
	}
	run := strconv.FormatUint(rand.Uint64(), 36)
	for i := range t.rooms {
		r := &t.rooms[i]
		r.name = cfg.Prefix + run + "-" + strconv.Itoa(i)
		if cfg.Room != "" {
			r.name = cfg.Room
		}
		r.sources = make([]source, len(publishersOf(i, cfg.Rooms, cfg.Publishers)))
		if cfg.Rate == 0 && (cfg.Publish == ByEmit || cfg.Publish == ByEcho) {
			for k := range r.sources {
				r.sources[k].came = make(chan struct{}, 1)
			}
		}
	}
	t.say("connecting")
	return t
}

// keeping returns a client that keeps its connections, and goes nowhere else.
func keeping(to *Target, conns int, timeout time.Duration) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext: to.dial, TLSClientConfig: to.tls.Clone(), TLSHandshakeTimeout: 30 * time.Second,
			MaxIdleConnsPerHost: conns, MaxConnsPerHost: conns, DisableCompression: true, ForceAttemptHTTP2: false,
			MaxResponseHeaderBytes: websocketclient.MaxHead,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       timeout,
	}
}

func (t *Test) say(stage string) { t.stage.Store(&stage) }

// Errors of [Test.Run], beside what is in the report.
var (
	ErrNobody    = errors.New("no client could connect")
	ErrRefused   = errors.New("the server refuses what is published")
	errPublisher = errors.New("a publisher could not connect")
	ErrLost      = errors.New("nothing that is published reaches any client")
)

// Run does the test, and returns what became of it, also with an error: that says that
// there was nothing to measure. The end of ctx ends it early, with the numbers so far.
func (t *Test) Run(ctx context.Context) (*Report, error) {
	cpu := ownCPU()
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	t.connecting.Store(now())
	t.connectAll(ctx, life)
	t.connected.Store(now())
	err := t.measure(ctx, life)
	t.interrupted.Store(ctx.Err() != nil)
	report := t.report()
	report.OwnCores = (ownCPU() - cpu).Seconds() / time.Duration(now()-t.connecting.Load()).Seconds()
	t.over.Store(true)
	t.say("closing")
	end()
	t.serving.Wait()
	for _, end := range t.ends {
		end()
	}
	t.polls.CloseIdleConnections()
	if t.posts != nil {
		t.posts.CloseIdleConnections()
	}
	return report, err
}

// connectAll connects the clients, some at a time, and returns when each is in its room or
// has failed to get there, or when too many have failed.
func (t *Test) connectAll(ctx, life context.Context) {
	slots := make(chan struct{}, t.cfg.AtOnce)
	take := func() bool {
		select {
		case slots <- struct{}{}:
			return true
		case <-ctx.Done():
			return false
		}
	}
	begin := now()
	for i := range t.cfg.Clients {
		due := now()
		if t.cfg.ConnectRate > 0 {
			due = begin + int64(float64(i)*float64(time.Second)/t.cfg.ConnectRate)
			if due > now() && !wait(ctx, due) {
				break
			}
		}
		if t.failing.Load() >= giveUp || !take() {
			break
		}
		if t.cfg.ConnectRate == 0 {
			due = now()
		}
		c := &client{test: t, number: i, room: i % len(t.rooms), shard: &t.shards[i%len(t.shards)], ready: make(chan struct{})}
		c.tracks = make([]track, len(t.rooms[c.room].sources))
		t.clients = append(t.clients, c)
		t.tried.Add(1)
		t.serving.Go(func() { c.run(life, due, func() { <-slots }) }) // ends with life
	}
	for range cap(slots) { // until none is on its way
		if !take() {
			return
		}
	}
}

// measure publishes, or waits while others do, and waits for what is on its way.
func (t *Test) measure(ctx, life context.Context) error {
	if t.joined.Load() == 0 {
		if ctx.Err() != nil {
			return nil
		}
		if why := t.failed.Load(); why != nil {
			return fmt.Errorf("%w: %w", ErrNobody, *why)
		}
		return ErrNobody
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	// What is on its way when the test is interrupted may arrive, but not for long.
	var abandon context.CancelFunc
	t.posting, abandon = context.WithCancel(life)
	defer abandon()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(hasty, abandon) })()
	t.serving.Go(func() { t.watch(ctx, stop) }) // ends with ctx
	if t.cfg.Publish == ByOthers {
		t.say("listening")
		t.begin.Store(now())
		wait(ctx, now()+int64(t.cfg.Duration))
		t.published.Store(now())
		return nil
	}
	t.say("joining")
	list, err := t.publishers(life)
	if err == nil {
		err = t.probeAll(ctx, list)
	}
	if err != nil || ctx.Err() != nil {
		return err
	}
	t.say("publishing")
	begin := now()
	t.begin.Store(begin)
	end := begin + int64(t.cfg.Duration)
	var publishing sync.WaitGroup
	for _, p := range list {
		publishing.Go(func() { p.run(ctx, begin, end, end+int64(grace)) })
	}
	publishing.Wait()
	t.published.Store(now())
	t.say("waiting")
	t.settle(ctx)
	return nil
}

// watch ends the publishing when nobody is left who could get anything.
func (t *Test) watch(ctx context.Context, stop func()) {
	for wait(ctx, now()+int64(20*time.Millisecond)) {
		if t.alive.Load() == 0 {
			t.faults.addN("every connection has ended", 1)
			close(t.deserted)
			stop()
			return
		}
	}
}

// publishers are ready to send.
func (t *Test) publishers(life context.Context) (list []*publisher, err error) {
	for i := range t.cfg.Publishers {
		p := &publisher{t: t, number: i, rooms: roomsOf(i, len(t.rooms), t.cfg.Publishers), event: NewPayload(t.cfg.Size)}
		if t.cfg.Publish == ByEcho { // whoever is not there cannot emit
			p.rooms = slices.DeleteFunc(p.rooms, func(r int) bool { return t.rooms[r].members.Load() == 0 })
			if len(p.rooms) == 0 {
				continue
			}
		}
		if p.via, err = t.newSender(life); err != nil {
			t.faults.add("publisher", err)
			return nil, fmt.Errorf("%w: %w", errPublisher, err)
		}
		list = append(list, p)
	}
	return list, nil
}

// probeAll publishes to each room until everybody there has got something. Who has not by
// then is no member: it is counted as a fault, and nothing more is expected of it.
func (t *Test) probeAll(ctx context.Context, list []*publisher) error {
	pauses := 20 * time.Millisecond
	for round, deadline := 0, now()+int64(t.cfg.Timeout); ctx.Err() == nil; round++ {
		missing := false
		for _, p := range list {
			more, err := p.probe(round)
			if err != nil {
				t.faults.add("publish", err)
				return t.notTaken(err)
			}
			missing = missing || more
		}
		if !missing {
			break
		}
		if now() > deadline {
			break
		}
		for until := now() + int64(pauses); now() < until && !t.allProbed(); {
			if !wait(ctx, now()+int64(2*time.Millisecond)) {
				return nil
			}
		}
		pauses = min(2*pauses, time.Second/2)
	}
	if ctx.Err() != nil { // it is not known who would have been reached
		return nil
	}
	return t.outsiders()
}

// Refused reports whether an error of [Test.Run] is that the server said no, and not that
// there was no answer.
func Refused(err error) bool {
	var no *answerError
	var said *saidError
	return errors.As(err, &no) || errors.As(err, &said)
}

// Why is an error of [Test.Run] in words that have no address and no signature in them.
func Why(err error) string {
	for _, known := range []error{ErrNobody, ErrRefused, ErrLost, errPublisher} {
		if errors.Is(err, known) {
			if joined, ok := err.(interface{ Unwrap() []error }); ok {
				return known.Error() + ": " + bounded(why(joined.Unwrap()[1]))
			}
			return known.Error()
		}
	}
	return "what is published has no answer: " + bounded(why(err))
}

func (t *Test) notTaken(err error) error {
	var no *answerError
	if errors.As(err, &no) {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return err
}

func (t *Test) allProbed() bool {
	for i := range t.rooms {
		if r := &t.rooms[i]; r.probed.Load() < r.members.Load() {
			return false
		}
	}
	return true
}

// outsiders counts those whom no probe has reached, and takes them out of their rooms.
func (t *Test) outsiders() error {
	inside, outside := 0, 0
	for _, c := range t.clients {
		c.shard.mu.Lock()
		switch {
		case c.in && c.probed:
			inside++
		case c.in:
			c.in = false
			outside++
		}
		c.shard.mu.Unlock()
	}
	t.faults.addN("join: nothing that is published reaches the client", int64(outside))
	if inside == 0 && outside > 0 {
		return ErrLost
	}
	return nil
}

// settle waits until everything that was taken has come, or nothing comes any more.
func (t *Test) settle(ctx context.Context) {
	patience, began := grace, now()
	seen, at := t.seen(), now()
	for t.missing() > 0 && now()-began < int64(linger) && t.alive.Load() > 0 {
		time.Sleep(10 * time.Millisecond)
		if ctx.Err() != nil {
			patience = hasty
		}
		if n := t.seen(); n != seen {
			seen, at = n, now()
		}
		if now()-at > int64(patience) {
			return
		}
	}
}

// seen is how many deliveries there were.
func (t *Test) seen() (n int64) {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		n += s.delivered
		s.mu.Unlock()
	}
	return n
}

// missing is how many deliveries are still due to clients that are there.
func (t *Test) missing() int64 { stay, _ := t.shortfall(); return stay }

// shortfall is how many events clients did not get that the server took: those that are
// there, and those whose connections have ended.
func (t *Test) shortfall() (stay, ended int64) {
	for _, c := range t.clients {
		c.shard.mu.Lock()
		in, gone := c.in, c.ended && c.probed
		var short int64
		for i := range c.tracks {
			short += max(t.rooms[c.room].sources[i].accepted.Load()-int64(c.tracks[i].got), 0)
		}
		c.shard.mu.Unlock()
		switch {
		case in:
			stay += short
		case gone:
			ended += short
		}
	}
	return stay, ended
}
