package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
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
	wire *redistest.Wire // to the engine; nil for none of its own
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
		Missed: func(app, room string, everyone bool, at hub.Position) {
			if n.kept.Keeps(app) {
				n.kept.Begin(app, at)
			}
		},
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
	n.kept.Hold(app, func(head hub.Position, read hub.Reader) {
		if at.Epoch != head.Epoch || at.Number > head.Number {
			return
		}
		x := read([]hub.Span{{Room: room, After: at.Number, UpTo: head.Number}}, func(bool, int, int) bool { return true })
		whole = x.Whole
		for _, k := range x.List {
			texts, numbers = append(texts, string(k.Data)), append(numbers, k.At.Number)
		}
	})
	return texts, numbers, whole
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

// What the engine keeps is bounded: in bytes by the node that keeps most, and in time. A node that keeps less
// has the newest, and says of what was before that it does not know.
func TestKeptIsBounded(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	cfg := config(t, at(redis.Addr))
	large, little := much, much
	large.Bytes, little.Bytes = 4<<20, 1<<20
	a := openLibrary(t, cfg, large)
	b := openLibrary(t, cfg, little)
	until(t, "each knows what the other one keeps", func() bool {
		a.beatNow()
		b.beatNow()
		return a.most().Bytes == large.Bytes && b.most().Bytes == large.Bytes
	})
	begin := a.head()
	text := strings.Repeat("x", 3000)
	for i := 0; i < 3000; i += 100 {
		var list []string
		for k := range 100 {
			list = append(list, strconv.Itoa(i+k)+text)
		}
		[]*library{a, b}[i/100%2].mustSend("r", list...)
	}
	redistest.Until(t, "all is there", func() bool { return a.head() == b.head() })
	all, _, _ := a.behind("r", begin)
	c, d := openLibrary(t, cfg, large), openLibrary(t, cfg, little)
	got, numbers, whole := c.behind("r", begin)
	if whole || len(got) < len(all)*9/10 || !strings.HasPrefix(got[len(got)-1], "2999") {
		t.Errorf("it has %d, whole %v, of %d", len(got), whole, len(all))
	}
	if _, _, whole := c.behind("r", hub.Position{Epoch: begin.Epoch, Number: numbers[0]}); !whole {
		t.Error("behind what it has it is not whole")
	}
	few, _, whole := d.behind("r", begin)
	if whole || len(few) < len(all)/5 || len(few) > len(all)/3 {
		t.Errorf("who keeps a fourth has %d, whole %v, of %d", len(few), whole, len(all))
	}
	used, _ := strconv.Atoi(strings.TrimPrefix(redis.Do("EVAL", keptMemory, "1", string(a.partition(app, "", true).tag), app), ":"))
	if used == 0 || used > 5<<20 {
		t.Errorf("it takes %d bytes of the engine", used)
	}
	t.Logf("%d events of %d bytes take %d bytes of the engine", len(got), len(text), used)
}

// most is what a node knows that any keeps.
func (n *library) most() Keeping {
	if all := n.keeping.Load(); all != nil {
		return (*all)[app]
	}
	return Keeping{}
}

// keptMemory sums up what the chunks of an app take.
const keptMemory = `local sum = redis.call('MEMORY', 'USAGE', KEYS[1] .. ':h:' .. ARGV[1], 'SAMPLES', 0) or 0
local last = redis.call('HGET', KEYS[1] .. ':h:' .. ARGV[1], 'l') or 0
for i = 1, last do sum = sum + (redis.call('MEMORY', 'USAGE', KEYS[1] .. ':hc:' .. i .. ':' .. ARGV[1], 'SAMPLES', 0) or 0) end
return sum`

// What is too old ends by itself, with nobody there.
func TestKeptEnds(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	cfg := config(t, at(redis.Addr))
	short := much
	short.Age = 2 * time.Second
	a := openLibrary(t, cfg, short)
	begin := a.head()
	a.mustSend("r", numbered(1, 100)...)
	place := a.head()
	pattern := string(a.partition(app, "", true).tag) + ":h*"
	if n := redis.Do("EVAL", "return #redis.call('KEYS', ARGV[1])", "0", pattern); n == ":0" {
		t.Fatal("nothing is kept")
	}
	a.leave()
	until(t, "nothing is kept", func() bool {
		return redis.Do("EVAL", "return #redis.call('KEYS', ARGV[1])", "0", pattern) == ":0"
	})
	b := openLibrary(t, cfg, short)
	if texts, _, whole := b.behind("r", begin); len(texts) > 0 || whole {
		t.Errorf("there is %v, whole %v", texts, whole)
	}
	if _, _, whole := b.behind("r", place); !whole {
		t.Error("behind the last one something is missing")
	}
	b.mustSend("r", "101")
	c := openLibrary(t, cfg, short)
	c.has("r", place, []string{"101"})
	// Chunks are cut by time too, so that the engine drops what is too old while others come.
	for i := range 30 {
		c.mustSend("r", fmt.Sprint(200+i))
		time.Sleep(100 * time.Millisecond) // the time is what is tested
	}
	if n, _ := strconv.Atoi(strings.TrimPrefix(redis.Do("EVAL", "return #redis.call('KEYS', ARGV[1])", "0", pattern), ":")); n < 5 || n > 40 {
		t.Errorf("there are %d keys", n)
	}
}

// An engine that has forgotten everything, or that was started anew with what it had, begins a new log: no place of before is
// good any more, on nodes that were there and on those that come later.
func TestKeptBeginsAnew(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	cfg := config(t, at(redis.Addr))
	a := openLibrary(t, cfg, much)
	for _, step := range []struct {
		name string
		do   func()
	}{
		{"FLUSHALL", func() { redis.Do("FLUSHALL") }},
		{"a restart with what it had", func() { redis.Kill(); redis.Run() }},
	} {
		begin := a.head()
		a.mustSend("r", numbered(1, 50)...)
		before := a.head()
		step.do()
		until(t, "it goes on", func() bool { return a.send("r", "51") == nil && a.head().Epoch != before.Epoch })
		place := a.head()
		a.mustSend("r", "52")
		b := openLibrary(t, cfg, much)
		for name, n := range map[string]*library{"who was there": a, "who came later": b} {
			for _, at := range []hub.Position{begin, before} {
				if texts, _, whole := n.behind("r", at); whole || len(texts) > 0 {
					t.Errorf("%s, %s: of before there is %v, whole %v", step.name, name, texts, whole)
				}
			}
			until(t, "what is new", func() bool {
				texts, _, whole := n.behind("r", place)
				return whole && slices.Equal(texts, []string{"52"})
			})
		}
		b.leave()
	}
}

// Whoever publishes and keeps nothing leaves a gap, of which a node that starts knows: other settings, another
// version, and an app that was changed.
func TestKeptKnowsOfGaps(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	cfg := config(t, at(redis.Addr))
	a := openLibrary(t, cfg, much)
	gap := func(name string, do func()) {
		t.Helper()
		begin := a.head()
		a.mustSend("r", "1")
		do()
		a.mustSend("r", "2")
		place := a.head()
		a.mustSend("r", "3")
		b := openLibrary(t, cfg, much)
		if _, _, whole := b.behind("r", begin); whole {
			t.Errorf("%s: over the gap it says that all is there", name)
		}
		b.has("r", place, []string{"3"})
		b.leave()
	}
	gap("an event of who keeps nothing", func() {
		redis.Do("HINCRBY", a.partition(app, "", true).tag.state(), "n", "1")
	})
	gap("a node that forgot the app", func() {
		b := openLibrary(t, cfg, much)
		b.kept.Forget(app)
		answered := make(chan error, 1)
		b.Publish(&hub.Publication{App: app, Room: "r", Event: "e", Passing: true}, func(h hub.Handed) { answered <- h.Err })
		if err := <-answered; err != nil {
			t.Fatal(err)
		}
		b.leave()
	})
	// What is of its moment alone is no gap, and neither is what others publish or tell.
	begin := a.head()
	a.mustSend("r", "1")
	for _, p := range []*hub.Publication{{App: app, Room: "r", Passing: true}, {App: "other", Everyone: true}} {
		answered := make(chan error, 1)
		a.Publish(p, func(h hub.Handed) { answered <- h.Err })
		if err := <-answered; err != nil {
			t.Fatal(err)
		}
	}
	a.mustSend("r", "2")
	openLibrary(t, cfg, much).has("r", begin, []string{"1", "2"})
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
	// part waits until a part has been read, but not all.
	part := func(pages *atomic.Int64) { until(t, "a part is read", func() bool { return pages.Load() > 20 }) }
	counted := func(pages *atomic.Int64) func(*Options) {
		return func(o *Options) {
			fill := o.Fill
			o.Fill = func(app string, behind hub.Position) Filling { return counting{fill(app, behind), pages} }
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
	var pages atomic.Int64
	wire.Slow(500 * time.Microsecond)
	ended := open(own, counted(&pages))
	part(&pages)
	wire.Cut()
	a.mustSend("r", "while it was away")
	wire.Slow(0)
	wire.Heal()
	b := <-ended
	if b.err != nil {
		t.Fatal(b.err)
	}
	b.n.has("r", begin, append(slices.Clone(want), "while it was away"))

	own, wire = slow()
	pages.Store(0)
	wire.Slow(500 * time.Microsecond)
	ended = open(own, counted(&pages))
	part(&pages)
	wire.Cut()
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

// counting counts what is entered.
type counting struct {
	Filling
	n *atomic.Int64
}

func (c counting) Enter(p *hub.Publication, at hub.Position, entered time.Time) {
	c.n.Add(1)
	c.Filling.Enter(p, at, entered)
}

// An engine that is full keeps nothing of what it refuses, and all of what it takes.
func TestKeptWhenRedisIsFull(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	cfg := config(t, at(redis.Addr))
	a := openLibrary(t, cfg, much)
	begin := a.head()
	a.mustSend("r", numbered(1, 10)...)
	redis.Do("CONFIG", "SET", "maxmemory", "1")
	if err := a.send("r", "refused"); !errors.Is(err, hub.ErrAway) {
		t.Errorf("it became %v", err)
	}
	redis.Do("CONFIG", "SET", "maxmemory", "0")
	a.mustSend("r", "11")
	openLibrary(t, cfg, much).has("r", begin, numbered(1, 11))
}

// What is kept needs no more rights than all else: those that docs/cluster.md lists.
func TestKeptWithLeastRights(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	cfg := config(t, "redis://poosh:open-sesame@"+redis.Addr)
	user := append([]string{"ACL", "SETUSER", "poosh", "reset", "on", ">open-sesame"}, leastRights(t, cfg.Prefix)...)
	redis.Do(append(user, "&"+cfg.Prefix+":*")...)
	little := much
	little.Bytes = 64 << 10 // so that chunks end and are dropped
	a := openLibrary(t, cfg, little)
	begin := a.head()
	a.mustSend("r", numbered(1, 1000)...)
	b := openLibrary(t, cfg, little)
	if got, _, whole := b.behind("r", begin); whole || len(got) < 100 || got[len(got)-1] != "1000" {
		t.Errorf("it has %d, whole %v", len(got), whole)
	}
}

// After a failover of Sentinels a new log begins, on all nodes: of before nobody says that it is whole.
func TestKeptOverFailover(t *testing.T) {
	t.Parallel()
	primary, _, sentinels := redistest.Sentinel(t)
	addrs := make([]string, len(sentinels))
	for i, s := range sentinels {
		addrs[i] = s.Addr
	}
	cfg := config(t, "redis-sentinel://"+strings.Join(addrs, ",")+"/"+redistest.Master)
	a := openLibrary(t, cfg, much)
	begin := a.head()
	a.mustSend("r", numbered(1, 100)...)
	openLibrary(t, cfg, much).has("r", begin, numbered(1, 100))
	primary.Kill()
	until(t, "it goes on with the replica", func() bool { return a.send("r", "101") == nil && a.head().Epoch != begin.Epoch })
	place := a.head()
	a.mustSend("r", "102")
	b := openLibrary(t, cfg, much)
	for _, n := range []*library{a, b} {
		if _, _, whole := n.behind("r", begin); whole {
			t.Error("of before it says that it is whole")
		}
		n.has("r", place, []string{"102"})
	}
}

// The truth is what was published, by its number.
type truth struct {
	mu sync.Mutex // guards what follows
	of map[hub.Position][2]string
}

func (w *truth) note(o *Options) {
	deliver := o.Deliver
	o.Deliver = func(p *hub.Publication, at hub.Position) int {
		w.mu.Lock()
		if p.App == app && !p.Passing {
			w.of[at] = [2]string{p.Room, string(p.Data)}
		}
		w.mu.Unlock()
		return deliver(p, at)
	}
}

// missed is what somebody in a room missed between two places.
func (w *truth) missed(room string, from, to hub.Position) (texts []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for n := from.Number + 1; n <= to.Number; n++ {
		if e, ok := w.of[hub.Position{Epoch: from.Epoch, Number: n}]; ok && e[0] == room {
			texts = append(texts, e[1])
		}
	}
	return texts
}

// Nodes come and go, all of them too, while others publish and Redis forgets everything now and then: whoever comes
// back, wherever, gets exactly what was published, or a no; and no no as long as nothing was forgotten or cut.
func TestHistoryModel(t *testing.T) {
	t.Parallel()
	for _, bounds := range []history.Config{much, {Age: 10 * time.Minute, Bytes: 128 << 10, Events: 50}} {
		t.Run(fmt.Sprint(bounds.Bytes), func(t *testing.T) {
			t.Parallel()
			seed := uint64(time.Now().UnixNano())
			t.Logf("seed %d", seed)
			draw := rand.New(rand.NewPCG(seed, 1))
			redis := redistest.Start(t)
			cfg := config(t, at(redis.Addr))
			cfg.Backlog = 64 << 10
			w := &truth{of: make(map[hub.Position][2]string)}
			var nodes []*library
			place := make(map[string]hub.Position) // of who is away, by room
			yes, no := 0, 0
			for step := range 400 {
				for len(nodes) < 1+draw.IntN(2) {
					nodes = append(nodes, openLibrary(t, cfg, bounds, w.note))
				}
				n := nodes[draw.IntN(len(nodes))]
				room := fmt.Sprint("r", draw.IntN(4))
				switch draw.IntN(12) {
				case 0:
					n.leave()
					nodes = slices.DeleteFunc(nodes, func(m *library) bool { return m == n })
				case 1:
					for _, m := range nodes {
						m.leave()
					}
					nodes = nil
				case 2, 3, 4, 5: // somebody comes back, and goes again
					head := n.head()
					from := place[room]
					if got, _, whole := n.behind(room, from); whole {
						yes++
						if want := w.missed(room, from, head); !slices.Equal(got[:min(len(got), len(want))], want) {
							t.Fatalf("step %d: in %s behind %v there is %v, want %v", step, room, from, short(got), short(want))
						}
					} else if !from.IsZero() {
						no++
						if bounds.Bytes == much.Bytes && from.Epoch == head.Epoch {
							t.Fatalf("step %d: in %s behind %v of %v it knows nothing", step, room, from, head)
						}
					}
					place[room] = head
				case 6:
					if draw.IntN(8) == 0 {
						redis.Do("FLUSHALL")
					}
				default:
					for i := range 1 + draw.IntN(40) {
						if err := n.publish(room, fmt.Sprint(step, ".", i, strings.Repeat("x", draw.IntN(500)))); err != nil && !errors.Is(err, hub.ErrUncertain) {
							t.Fatal(err)
						}
					}
					if err := n.Flush(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
			}
			t.Logf("%d got what they missed, %d were told no", yes, no)
			if yes == 0 {
				t.Error("nobody got anything")
			}
		})
	}
}

// The last event of a room is kept beside the history of its app: of each room its own.
func TestCachedInAppThatIsKept(t *testing.T) {
	t.Parallel()
	cfg := config(t, at(redistest.Start(t).Addr))
	a, b := openLibrary(t, cfg, much), openLibrary(t, cfg, much)
	for _, room := range []string{"r", "s"} {
		answered := make(chan error, 1)
		a.Publish(&hub.Publication{App: app, Room: room, Event: "e", Data: []byte("last of " + room), Cached: 60}, func(h hub.Handed) { answered <- h.Err })
		if err := <-answered; err != nil {
			t.Fatal(err)
		}
	}
	for _, room := range []string{"r", "s"} {
		if data, _, ok, err := b.Cached(t.Context(), app, room); !ok || err != nil || string(data) != "last of "+room {
			t.Errorf("%s: %q, %v, %v", room, data, ok, err)
		}
	}
}
