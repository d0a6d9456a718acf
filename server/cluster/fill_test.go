package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"poosh/server/cluster/redistest"
	"poosh/server/hub"
	"poosh/server/hub/history"
)

// A library is a node that keeps everything, with its hub and log.
type library struct {
	*Cluster
	t    *testing.T
	hub  *hub.Hub
	kept *history.Log
	log  *logged
}

// much is what libraries of tests keep, if a test says nothing else.
var much = history.Config{Age: 10 * time.Minute, Bytes: 64 << 20, Events: 100_000}

// openLibrary makes a node, which leaves with the test.
func openLibrary(t *testing.T, cfg Config, keep history.Config, change ...func(*Options)) *library {
	t.Helper()
	n, err := tryLibrary(t, cfg, keep, change...)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func tryLibrary(t *testing.T, cfg Config, keep history.Config, change ...func(*Options)) (*library, error) {
	t.Helper()
	n := &library{t: t, log: &logged{}, kept: history.New(keep, app)}
	n.Cluster = New(cfg)
	n.hub = hub.NewWith(n.Cluster, n.kept)
	opt := Options{
		Log: slog.New(slog.NewTextHandler(n.log, nil)), Version: "test", Apps: []string{app, "other"}, Together: n.kept.Keeps,
		Keeping: func(app string) Keeping {
			bytes, age := n.kept.Bounds(app)
			return Keeping{bytes, age}
		},
		Fill:    func(app string, behind hub.Position) Filling { return n.kept.Fill(app, behind) },
		Deliver: n.hub.DeliverAt, Reached: n.hub.Reach,
		Begin:  n.kept.Begin,
		Missed: func(app, room string, everyone bool, _ hub.Position) { n.hub.Missed(app, room, everyone) },
	}
	for _, f := range change {
		f(&opt)
	}
	if err := n.Join(t.Context(), opt); err != nil {
		return nil, err
	}
	t.Cleanup(n.leave)
	return n, nil
}

func (n *library) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = n.Close(ctx)
}

// publish publishes, and returns what became of it.
func (n *library) publish(room, text string) error {
	answered := make(chan error, 1)
	n.Publish(&hub.Publication{App: app, Room: room, Event: "e", Data: []byte(text)}, func(h hub.Handed) { answered <- h.Err })
	return <-answered
}

// send is publish, behind which it has been delivered here.
func (n *library) send(room, text string) error {
	if err := n.publish(room, text); err != nil {
		return err
	}
	return n.Flush(n.t.Context())
}

// mustSend publishes when nothing is wrong. All has been delivered here behind it.
func (n *library) mustSend(room string, texts ...string) {
	n.t.Helper()
	for _, text := range texts {
		if err := n.publish(room, text); err != nil {
			n.t.Fatal(err)
		}
	}
	if err := n.Flush(n.t.Context()); err != nil {
		n.t.Fatal(err)
	}
}

// head is where the log is.
func (n *library) head() (at hub.Position) {
	n.kept.Hold(app, func(head hub.Position, _ hub.Reader) { at = head })
	return at
}

// behind is what the log has of a room behind a place, and whether that is all.
func (n *library) behind(room string, at hub.Position) (texts []string, numbers []uint64, whole bool) {
	texts, numbers, whole, _ = n.look(room, at)
	return texts, numbers, whole
}

// look is behind, with where the log is at that moment.
func (n *library) look(room string, at hub.Position) (texts []string, numbers []uint64, whole bool, head hub.Position) {
	n.kept.Hold(app, func(now hub.Position, read hub.Reader) {
		head = now
		if at.Epoch != head.Epoch || at.Number > head.Number {
			return
		}
		x := read([]hub.Span{{Room: room, After: at.Number, UpTo: head.Number}}, func(bool, int, int) bool { return true })
		whole = x.Whole
		for _, k := range x.List {
			texts, numbers = append(texts, string(k.Data)), append(numbers, k.At.Number)
		}
	})
	return texts, numbers, whole, head
}

// has looks whether a log has exactly this of a room behind a place.
func (n *library) has(room string, at hub.Position, want []string) {
	n.t.Helper()
	until(n.t, "what was published is there", func() bool {
		texts, _, _ := n.behind(room, at)
		return len(texts) >= len(want)
	})
	if got, _, whole := n.behind(room, at); !whole || !slices.Equal(got, want) {
		n.t.Errorf("behind %v there is, whole %v,\n%v\nwant\n%v", at, whole, short(got), short(want))
	}
}

// A node that starts has what was published before it was there, at the same places, and goes on with what
// comes; after all nodes are gone too.
func TestNodeStartsWithWhatWasBefore(t *testing.T) {
	t.Parallel()
	engines := map[string]func(*testing.T) string{
		"alone":     func(t *testing.T) string { return at(redistest.Start(t).Addr) },
		"a cluster": func(t *testing.T) string { return "redis://" + redistest.Cluster(t)[1].Addr },
	}
	for name, start := range engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := config(t, start(t))
			a, b := openLibrary(t, cfg, much), openLibrary(t, cfg, much)
			begin := a.head()
			for i := 1; i <= 1500; i += 30 {
				a.mustSend("r", numbered(i, i+14)...)
				b.mustSend("r", numbered(i+15, i+29)...)
				a.mustSend("s", numbered(i, i+14)...)
			}
			c := openLibrary(t, cfg, much)
			c.has("r", begin, numbered(1, 1500))
			c.mustSend("r", numbered(1501, 1510)...)
			c.has("r", begin, numbered(1, 1510))
			a.has("r", begin, numbered(1, 1510))
			_, want, _ := a.behind("r", begin)
			if _, got, _ := c.behind("r", begin); !slices.Equal(got, want) {
				t.Error("they are at other places")
			}
			if text := c.log.String(); !strings.Contains(text, "goes on with the history") || !strings.Contains(text, "events=2250") {
				t.Errorf("its log says\n%s", text)
			}
			place := a.head()
			for _, n := range []*library{a, b, c} {
				n.leave()
			}
			d := openLibrary(t, cfg, much)
			d.has("r", begin, numbered(1, 1510))
			d.has("r", place, nil)
			d.mustSend("r", "1511")
			d.has("r", place, []string{"1511"})
			if _, _, whole := d.behind("r", hub.Position{Epoch: begin.Epoch + 1, Number: begin.Number}); whole {
				t.Error("of another log it says that it is whole")
			}
		})
	}
}

// Nodes start while others publish: nothing is missing between what is kept and what comes, and nothing is there twice.
func TestNodeStartsWhileOthersPublish(t *testing.T) {
	t.Parallel()
	cfg := config(t, at(redistest.Start(t).Addr))
	a, b := openLibrary(t, cfg, much), openLibrary(t, cfg, much)
	begin := a.head()
	var over atomic.Bool
	var sending sync.WaitGroup
	var counts [4]int
	for i := range counts {
		sending.Go(func() {
			for n := []*library{a, b}[i%2]; !over.Load(); counts[i]++ {
				if err := n.publish(fmt.Sprint("r", i), fmt.Sprint(counts[i]+1)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	var late []*library
	for range 8 {
		late = append(late, openLibrary(t, cfg, much))
	}
	over.Store(true)
	sending.Wait()
	for i, count := range counts {
		for _, n := range late {
			n.has(fmt.Sprint("r", i), begin, numbered(1, count))
		}
	}
}

// The engine goes away while a node fills its log: it goes on when that is back, and starts; and not at all if it
// does not come back. One that takes too long starts without, and says so.
func TestEngineAwayWhileFilling(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	cfg := config(t, at(redis.Addr))
	cfg.Timeout = 2 * time.Second
	a := openLibrary(t, cfg, much)
	begin := a.head()
	text := strings.Repeat("x", 10_000)
	want := make([]string, 400)
	for i := range want {
		want[i] = strconv.Itoa(i) + text
	}
	a.mustSend("r", want...)
	slow := func() (Config, *redistest.Wire) {
		wire, own := redistest.NewWire(t, redis.Addr), cfg
		own.Redis, _ = ParseEngine(at(wire.Addr))
		return own, wire
	}
	// at20 stops a node that reads where it has entered a part, until it may go on.
	at20 := func(s *stopping) func(*Options) {
		s.reached, s.goOn = make(chan struct{}), make(chan struct{})
		return func(o *Options) {
			fill := o.Fill
			o.Fill = func(app string, behind hub.Position) Filling { return stoppingFill{fill(app, behind), s} }
		}
	}
	type start struct {
		n   *library
		err error
	}
	open := func(own Config, change ...func(*Options)) <-chan start {
		ended := make(chan start, 1)
		go func() {
			n, err := tryLibrary(t, own, much, change...)
			ended <- start{n, err}
		}()
		return ended
	}

	own, wire := slow()
	var s stopping
	ended := open(own, at20(&s))
	<-s.reached
	wire.Cut()
	a.mustSend("r", "while it was away")
	close(s.goOn)
	wire.Heal()
	b := <-ended
	if b.err != nil {
		t.Fatal(b.err)
	}
	b.n.has("r", begin, append(slices.Clone(want), "while it was away"))
	if n := s.entered.Load(); n != int64(len(want))+1 {
		t.Errorf("it has entered %d, want to go on where it was", n)
	}

	own, wire = slow()
	var last stopping
	ended = open(own, at20(&last))
	<-last.reached
	wire.Cut()
	close(last.goOn)
	if b := <-ended; b.err == nil || !strings.Contains(b.err.Error(), "CLUSTER_REDIS") {
		t.Errorf("it started without an engine: %v", b.err)
	}

	own, wire = slow()
	wire.Slow(200 * time.Microsecond)
	b = <-open(own, func(o *Options) { o.fillTime = 100 * time.Millisecond })
	if b.err != nil {
		t.Fatal(b.err)
	}
	wire.Slow(0)
	if texts, _, whole := b.n.behind("r", begin); whole || len(texts) > 0 {
		t.Errorf("it has %d, whole %v", len(texts), whole)
	}
	if !strings.Contains(b.n.log.String(), "not all read") {
		t.Errorf("its log says\n%s", b.n.log)
	}
	place := b.n.head()
	b.n.mustSend("r", "later")
	b.n.has("r", place, []string{"later"})
}

// A stopping has a node that fills its log stop when it has entered 20 of more, and counts what it enters.
type stopping struct {
	entered       atomic.Int64
	reached, goOn chan struct{}
}

type stoppingFill struct {
	Filling
	*stopping
}

func (s stoppingFill) Enter(p *hub.Publication, at hub.Position, entered time.Time) {
	s.Filling.Enter(p, at, entered)
	if s.entered.Add(1) == 20 {
		close(s.reached)
		<-s.goOn
	}
}
