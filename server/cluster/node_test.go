package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"poosh/server/cluster/redistest"
	"poosh/server/hub"
	"poosh/server/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// app is the one of tests.
const app = "shop"

// until polls with a generous deadline.
var until = redistest.Until

// prefixes counts those that tests have.
var prefixes atomic.Int64

// prefix is one that no other test has.
func prefix() string { return fmt.Sprintf("test%d", prefixes.Add(1)) }

// A process is a node with what it delivered.
type process struct {
	*Cluster
	t   testing.TB
	log *logged

	mu     sync.Mutex // guards what follows
	got    map[string][]string
	missed []string
}

// logged keeps lines of a log.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// config is that of tests.
func config(t testing.TB, url string) Config {
	t.Helper()
	engine, err := ParseEngine(url)
	if err != nil {
		t.Fatal(err)
	}
	return Config{Redis: engine, Prefix: prefix(), Lease: 10 * time.Second, Timeout: 5 * time.Second, Backlog: 4 << 20, QueueBytes: 32 << 20}
}

// wired is cfg for a node that a wire of its own leads to an engine, which the test may cut.
func wired(t testing.TB, cfg Config, addr string) (Config, *redistest.Wire) {
	t.Helper()
	wire := redistest.NewWire(t, addr)
	cfg.Redis = config(t, at(wire.Addr)).Redis
	return cfg, wire
}

func at(addr string) string { return "redis://" + addr }

// join makes a node, which leaves with the test.
func join(t testing.TB, cfg Config, change ...func(*Options)) *process {
	t.Helper()
	p := &process{t: t, log: &logged{}, got: make(map[string][]string)}
	opt := Options{
		Log: slog.New(slog.NewTextHandler(p.log, nil)), Version: "test", Apps: []string{app},
		Deliver: p.deliver,
		Missed: func(app, room string, everyone bool, _ hub.Position) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.missed = append(p.missed, room)
		},
	}
	for _, f := range change {
		f(&opt)
	}
	p.Cluster = New(cfg)
	if err := p.Join(t.Context(), opt); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = p.Close(ctx)
	})
	return p
}

func (p *process) deliver(pub *hub.Publication, _ hub.Position) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	room := pub.Room
	if pub.Everyone {
		room = "*"
	}
	p.got[room] = append(p.got[room], string(pub.Data))
	return 1
}

// enter seats somebody in a room, and waits for it.
func (p *process) enter(rooms ...string) {
	p.t.Helper()
	entered := make(chan error, len(rooms))
	for _, room := range rooms {
		p.Fence(app, room, false, func(_ hub.Position, err error) {
			if err == nil {
				p.Occupied(app, room, false)
			}
			entered <- err
		})
	}
	for range rooms {
		select {
		case err := <-entered:
			if err != nil {
				p.t.Fatalf("enter: %v", err)
			}
		case <-time.After(time.Minute):
			p.t.Fatal("enter is not answered")
		}
	}
}

// send publishes, and waits for what became of it.
func (p *process) send(room, text string) hub.Handed {
	p.t.Helper()
	answered := make(chan hub.Handed, 2)
	pub := &hub.Publication{App: app, Room: room, Event: "e", Data: []byte(text)}
	if room == "*" {
		pub.Room, pub.Everyone = "", true
	}
	p.Publish(pub, func(h hub.Handed) { answered <- h })
	return becameOf(p.t, answered)
}

// becameOf waits for what became of a publication.
func becameOf(t testing.TB, answered <-chan hub.Handed) hub.Handed {
	t.Helper()
	select {
	case h := <-answered:
		return h
	case <-time.After(time.Minute):
		t.Fatal("a send is not answered")
		return hub.Handed{}
	}
}

// mustSend is send for when nothing is wrong.
func (p *process) mustSend(room, text string) {
	p.t.Helper()
	if h := p.send(room, text); h.Err != nil {
		p.t.Fatalf("send: %v", h.Err)
	}
}

// sendOn publishes numbers from 1 on until stop is called, or the test ends. stop waits until the last one
// is answered, and returns that.
func (p *process) sendOn(room string) (stop func() (last int)) {
	n := 0
	over, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-over:
				return
			default:
			}
			if h := p.send(room, fmt.Sprint(n+1)); h.Err != nil {
				p.t.Errorf("send: %v", h.Err)
				return
			}
			n++
		}
	}()
	stop = sync.OnceValue(func() int {
		close(over)
		<-ended
		return n
	})
	p.t.Cleanup(func() { stop() })
	return stop
}

func (p *process) in(room string) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.got[room])
}

func (p *process) missedRooms() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := slices.Clone(p.missed)
	slices.Sort(list)
	return list
}

// hasExactly waits until a room has had this and nothing else, in this order.
func (p *process) hasExactly(room string, want []string) {
	p.t.Helper()
	until(p.t, fmt.Sprintf("%d publications in %q, of which there are %d", len(want), room, len(p.in(room))), func() bool { return len(p.in(room)) >= len(want) })
	if got := p.in(room); !slices.Equal(got, want) {
		p.t.Fatalf("in %q there is\n%v\nwant\n%v", room, short(got), short(want))
	}
}

func short(list []string) []string {
	if len(list) > 60 {
		return append(slices.Clone(list[:60]), "...")
	}
	return list
}

// numbered are texts from first to last.
func numbered(first, last int) (list []string) {
	for i := first; i <= last; i++ {
		list = append(list, fmt.Sprint(i))
	}
	return list
}

// away waits until a node knows that the engine is away, or is back.
func (p *process) away(away bool) {
	p.t.Helper()
	until(p.t, fmt.Sprintf("the node knows that the engine is away: %v", away), func() bool { return p.Up() != away })
}

// live waits until every partition has a link.
func (p *process) live() {
	p.t.Helper()
	until(p.t, "every partition has a link", func() bool {
		for _, part := range p.parts {
			part.mu.Lock()
			l := part.link
			part.mu.Unlock()
			if l == nil {
				return false
			}
			select {
			case <-l.failed:
				return false
			default:
			}
		}
		return true
	})
}

// lost is how often links ended.
func (p *process) lost() uint64 { return p.count.lost.Load() }
