package cluster

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"poosh/server/cluster/redistest"
	"poosh/server/hub"
)

// refilling is what the log has where a node reads what it missed.
const refilling = "is more than CLUSTER_BACKLOG holds: reads it"

// shortBacklog is a backlog that holds next to nothing.
const shortBacklog = 500

// cutOff is a node that a wire leads to, which is cut until it knows.
func (n *library) cutOff(cut func()) {
	n.t.Helper()
	before := n.count.lost.Load()
	cut()
	until(n.t, "it is cut off", func() bool {
		return n.count.lost.Load() > before && n.partition(app, "", true).current() == nil
	})
}

// again waits until a node has filled its logs again so many times, and is back.
func (n *library) again(times uint64) {
	n.t.Helper()
	until(n.t, "its log is filled again", func() bool {
		return n.count.refilled.Load() >= times && n.partition(app, "", true).current() != nil
	})
}

// A node that was cut off for longer than the backlog holds has all of it again, at the same places, and goes on with
// what comes: with Redis alone, and with a Redis Cluster.
func TestNodeCutOffForLong(t *testing.T) {
	t.Parallel()
	engines := map[string]func(*testing.T) []string{
		"alone": func(t *testing.T) []string { return []string{redistest.Start(t).Addr} },
		"a cluster": func(t *testing.T) (addrs []string) {
			for _, s := range redistest.Cluster(t) {
				addrs = append(addrs, s.Addr)
			}
			return addrs
		},
	}
	for name, start := range engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addrs := start(t)
			cfg := config(t, "redis://"+strings.Join(addrs, ","))
			cfg.Backlog = shortBacklog
			wires, far := redistest.NewWires(t, addrs...), cfg
			far.Redis, _ = ParseEngine("redis://" + strings.Join(wires.Addrs(), ","))
			a, b := openLibrary(t, cfg, much), openLibrary(t, far, much)
			begin := a.head()
			a.mustSend("r", numbered(1, 100)...)
			b.has("r", begin, numbered(1, 100))
			place := b.head()
			for round := range uint64(2) {
				b.cutOff(wires.Cut)
				sent := int(100 + round*1000)
				a.mustSend("r", numbered(sent+1, sent+1000)...)
				wires.Heal()
				b.again(round + 1)
				b.has("r", begin, numbered(1, sent+1000))
				b.has("r", place, numbered(101, sent+1000))
			}
			b.mustSend("r", "2101")
			a.mustSend("r", "2102")
			for _, n := range []*library{a, b} {
				n.has("r", begin, numbered(1, 2102))
			}
			_, want, _ := a.behind("r", begin)
			if _, got, _ := b.behind("r", begin); !slices.Equal(got, want) {
				t.Error("they are at other places")
			}
			text := b.log.String()
			if strings.Count(text, refilling) != 2 || !strings.Contains(text, "events=1100") || !strings.Contains(text, "events=2100") {
				t.Errorf("its log says\n%s", text)
			}
			if text := a.log.String(); strings.Contains(text, refilling) {
				t.Errorf("who was there says\n%s", text)
			}
		})
	}
}

// A node that cannot read what it missed begins anew, and says why: it takes too long, more is published than is read, the
// engine says no, or has what cannot be read.
func TestNodeCutOffBeginsAnew(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("x", 1000)
	for name, c := range map[string]struct {
		says string
		set  func(a *library, o *Options)
		lame func(redis *redistest.Server, wire *redistest.Wire, a *library)
	}{
		"slow": {
			says: "not done within 100ms",
			set:  func(_ *library, o *Options) { o.fillTime = 100 * time.Millisecond },
			lame: func(_ *redistest.Server, wire *redistest.Wire, _ *library) { wire.Slow(time.Millisecond) },
		},
		"flooded": {
			says: "more than 2 times what is kept is read",
			set: func(a *library, o *Options) {
				fill := o.Fill
				o.Keeping = func(string) Keeping { return Keeping{200 << 10, time.Hour} }
				o.Fill = func(app string, behind hub.Position) Filling {
					return floodedFill{fill(app, behind), func() { _ = a.publish("r", text) }}
				}
			},
		},
		"refused": {
			says: "can't run this command",
			lame: func(redis *redistest.Server, _ *redistest.Wire, _ *library) {
				redis.Do("ACL", "SETUSER", "far", "-exists")
			},
		},
		"broken": {
			says: errNoEvent.Error(),
			lame: func(redis *redistest.Server, _ *redistest.Wire, a *library) {
				redis.Do("LSET", string(a.partition(app, "", true).tag)+":hc:1:"+app, "0", "nonsense")
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			redis := redistest.Start(t)
			redis.Do("ACL", "SETUSER", "far", "on", ">open-sesame", "~*", "&*", "+@all")
			wire := redistest.NewWire(t, redis.Addr)
			cfg := config(t, at(redis.Addr))
			cfg.Backlog = shortBacklog
			far := cfg
			far.Redis, _ = ParseEngine("redis://far:open-sesame@" + wire.Addr)
			a := openLibrary(t, cfg, much)
			b := openLibrary(t, far, much, func(o *Options) {
				if c.set != nil {
					c.set(a, o)
				}
			})
			begin := a.head()
			a.mustSend("r", "1")
			b.has("r", begin, []string{"1"})
			heard := b.listen("r")
			b.cutOff(wire.Cut)
			for i := range 200 {
				a.mustSend("r", strconv.Itoa(i)+text)
			}
			if c.lame != nil {
				c.lame(redis, wire, a)
			}
			wire.Heal()
			until(t, "it is back", func() bool { return b.partition(app, "", true).current() != nil })
			wire.Slow(0)
			if texts, _, whole := b.behind("r", begin); whole || len(texts) > 0 {
				t.Errorf("it has %d, whole %v", len(texts), whole)
			}
			if log := b.log.String(); strings.Count(log, "is not all read") != 1 || !strings.Contains(log, c.says) {
				t.Errorf("its log says\n%s", log)
			}
			if n, no := b.count.refilled.Load(), b.count.unfilled.Load(); n != 0 || no != 1 {
				t.Errorf("%d were filled and %d not", n, no)
			}
			if err := b.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			place := b.head()
			a.mustSend("r", "later")
			b.has("r", place, []string{"later"})
			if got := heard.all(); got[len(got)-1] != "later" {
				t.Errorf("who listens got %v", got)
			}
		})
	}
}

// A floodedFill has more be published with each event that is entered.
type floodedFill struct {
	Filling
	more func()
}

func (f floodedFill) Enter(p *hub.Publication, at hub.Position, entered time.Time) {
	f.Filling.Enter(p, at, entered)
	f.more()
	f.more()
}

// The link ends while a node reads what it missed: it goes on where it was. Who comes from another node meanwhile waits,
// though the engine was away for long, and is answered once everything is there.
func TestNodeCutOffAgainWhileFilling(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	cfg := config(t, at(redis.Addr))
	cfg.Backlog, cfg.Timeout = shortBacklog, 30*time.Second
	far, wire := wired(t, cfg, redis.Addr)
	a := openLibrary(t, cfg, much)
	var s stopping
	s.reached, s.goOn = make(chan struct{}), make(chan struct{})
	b := openLibrary(t, far, much, func(o *Options) {
		fill := o.Fill
		o.Fill = func(app string, behind hub.Position) Filling { return stoppingFill{fill(app, behind), &s} }
	})
	begin := a.head()
	p := b.partition(app, "", true)
	b.cutOff(wire.Cut)
	a.mustSend("r", numbered(1, 1000)...)
	p.mu.Lock()
	p.since = time.Now().Add(-time.Hour)
	p.mu.Unlock()
	answered := make(chan hub.Position, 1)
	follow := func() { b.Follow(app, func(bool) { answered <- b.head() }) }
	follow()
	if at := <-answered; at != begin { // at once: the engine is away
		t.Fatalf("it is at %v", at)
	}
	wire.Heal()
	select {
	case <-s.reached:
	case <-time.After(30 * time.Second):
		t.Fatal("it reads nothing")
	}
	ahead := a.head()
	if !b.hub.Ahead(app, ahead) {
		t.Error("it is there before it has read all")
	}
	follow()
	select {
	case at := <-answered:
		t.Errorf("who waits was answered at %v", at)
	default:
	}
	wire.Cut()
	a.mustSend("r", "1001")
	wire.Heal()
	close(s.goOn)
	b.again(1)
	b.has("r", begin, numbered(1, 1001))
	if n := s.entered.Load(); n != 1001 {
		t.Errorf("it has entered %d, want to go on where it was", n)
	}
	if strings.Count(b.log.String(), refilling) != 1 {
		t.Errorf("its log says\n%s", b.log)
	}
}

// Where the backlog has all that was missed, nothing is filled; where Redis has forgotten everything meanwhile, what is
// of the new log alone.
func TestNothingToFill(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	cfg := config(t, at(redis.Addr))
	far, wire := wired(t, cfg, redis.Addr)
	a, b := openLibrary(t, cfg, much), openLibrary(t, far, much)
	begin := a.head()
	b.cutOff(wire.Cut)
	a.mustSend("r", numbered(1, 100)...)
	wire.Heal()
	b.has("r", begin, numbered(1, 100))
	if b.count.refilled.Load() != 0 || strings.Contains(b.log.String(), refilling) {
		t.Errorf("its log says\n%s", b.log)
	}
	// The backlog is gone: that is no gap where nothing was published.
	redis.Do("DEL", string(a.partition(app, "", true).tag)+":l")
	p := b.partition(app, "", true)
	l := p.current()
	l.fail(errors.New("cut"))
	until(t, "there is another link", func() bool { now := p.current(); return now != nil && now != l })
	if strings.Contains(b.log.String(), refilling) {
		t.Errorf("its log says\n%s", b.log)
	}
	b.cutOff(wire.Cut)
	redis.Do("FLUSHALL")
	until(t, "a new log begins", func() bool { return a.send("r", "1") == nil && a.head().Epoch != begin.Epoch })
	wire.Heal()
	until(t, "it is there too", func() bool { return b.head() == a.head() })
	if _, _, whole := b.behind("r", begin); whole {
		t.Error("of before it says that it is whole")
	}
	b.has("r", hub.Position{Epoch: b.head().Epoch}, []string{"1"})
}
