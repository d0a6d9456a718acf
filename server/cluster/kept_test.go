package cluster

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"poosh/server/cluster/redistest"
	"poosh/server/hub"
)

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

// chunks counts what the engine has of an app: chunks, and events in them.
func (n *library) chunks(redis *redistest.Server) (chunks, events int) {
	const count = `local keys, sum = redis.call('KEYS', ARGV[1]), 0
for _, k in ipairs(keys) do sum = sum + redis.call('LLEN', k) end
return #keys .. ' ' .. sum`
	_, _ = fmt.Sscan(redis.Do("EVAL", count, "0", string(n.partition(app, "", true).tag)+":hc:*"), &chunks, &events)
	return chunks, events
}

// What nobody can read any more is dropped, a few chunks with each publication: of an app that an operator has forgotten,
// and of a log that began anew.
func TestKeptIsDropped(t *testing.T) {
	t.Parallel()
	little := much
	little.Bytes = 256 << 10 // of which a chunk has a 64th
	for name, do := range map[string]func(*library, *redistest.Server){
		"forgotten": func(a *library, _ *redistest.Server) { a.kept.Forget(app) },
		"begun anew": func(a *library, redis *redistest.Server) {
			redis.Do("HINCRBY", a.partition(app, "", true).tag.state(), "n", "1")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			redis := redistest.Start(t)
			a := openLibrary(t, config(t, at(redis.Addr)), little)
			a.mustSend("r", numbered(1, 1000)...)
			if chunks, events := a.chunks(redis); chunks < 20 || events < 900 {
				t.Fatalf("there are %d events in %d chunks", events, chunks)
			}
			do(a, redis)
			a.mustSend("r", numbered(1, 30)...)
			if chunks, events := a.chunks(redis); chunks > 2 || events > 30 {
				t.Errorf("there are %d events in %d chunks", events, chunks)
			}
		})
	}
}

// What is too old ends by itself, with nobody there.
func TestKeptEnds(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	cfg := config(t, at(redis.Addr))
	short := much
	short.Age = 10 * time.Second
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
	events := 0
	until(t, "there are several chunks", func() bool {
		c.mustSend("r", fmt.Sprint(200+events))
		events++
		n, _ := c.chunks(redis)
		return n >= 3
	})
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
