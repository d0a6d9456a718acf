//go:build unix

package cluster

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"poosh/server/cluster/redistest"
	"poosh/server/hub"
	"poosh/server/presence"
)

// A node that was cut off is given everything that it missed, once and in order.
func TestCutCable(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	cfg := config(t, at(redis.Addr))
	far, wire := wired(t, cfg, redis.Addr)
	a, b := join(t, cfg), join(t, far)
	a.enter("r", "s")
	b.enter("r", "s")
	n := 0
	for round := range 3 {
		for range 50 {
			n++
			a.mustSend("r", fmt.Sprint(n))
			a.mustSend("s", fmt.Sprint(n))
			a.mustSend("*", fmt.Sprint(n))
			if n%100 == 30 {
				wire.Cut() // with some on their way
			}
		}
		wire.Cut()
		for range 600 { // more than a page
			n++
			a.mustSend("r", fmt.Sprint(n))
		}
		a.mustSend("t", "nobody of the other node is there")
		wire.Heal()
		if round == 2 {
			b.live()
		}
	}
	for _, p := range []*process{a, b} {
		p.hasExactly("r", numbered(1, n))
		p.hasExactly("s", a.in("s"))
		p.hasExactly("*", a.in("s"))
		if got := p.missedRooms(); len(got) != 0 {
			t.Errorf("missed in %v", got)
		}
	}
	if got := b.in("t"); len(got) != 0 {
		t.Errorf("%v came for a room in which nobody is", got)
	}
	if b.count.caught.Load() == 0 {
		t.Error("nothing was in the backlog for who was cut off")
	}
}

// A cable that is cut and healed while others publish all the time: what comes over the new
// subscription and what the backlog has overlap, and nothing comes twice.
func TestCutWhileOthersPublish(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	cfg := config(t, at(redis.Addr))
	far, wire := wired(t, cfg, redis.Addr)
	a, b := join(t, cfg), join(t, far)
	a.enter("r")
	b.enter("r")
	stop := a.sendOn("r")
	// That something overlaps is chance.
	for round := 0; round < 8 || round < 50 && b.count.again.Load() == 0; round++ {
		before := b.lost()
		wire.Cut()
		until(t, "links are lost", func() bool { return b.lost() > before })
		wire.Heal()
		b.live()
	}
	n := stop()
	a.hasExactly("r", numbered(1, n))
	b.hasExactly("r", numbered(1, n))
	if b.count.again.Load() == 0 {
		t.Error("nothing overlapped: the test shows less than it should")
	}
}

// A node that stood still for a while says nothing of the engine: its connections stay.
func TestNodeStandsStill(t *testing.T) {
	t.Parallel()
	a := join(t, config(t, at(redistest.Start(t).Addr)))
	a.enter("r")
	a.live()
	p := a.partition(app, "r", false)
	l := p.current()
	p.subs.mu.Lock() // which has run wait
	p.wakeUp()
	time.Sleep(3*fenceEvery + fenceEvery/2)
	p.subs.mu.Unlock()
	since := time.Since(l.began)
	until(t, "a fence comes on the same link", func() bool { return l.heardSince(since) || p.current() != l })
	a.mustSend("r", "1")
	a.hasExactly("r", []string{"1"})
	if n := a.lost(); n != 0 {
		t.Errorf("%d links were lost:\n%s", n, a.log)
	}
}

// An engine that is started anew and knows less than before, as a replica does that was behind:
// numbers mean other events then, and those are not taken for old ones.
func TestEngineGoesBack(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	cfg := config(t, at(redis.Addr))
	a, b := join(t, cfg), join(t, cfg)
	a.enter("r")
	b.enter("r")
	for i := 1; i <= 5; i++ {
		a.mustSend("r", fmt.Sprint(i))
	}
	redis.Do("SAVE")
	for i := 6; i <= 10; i++ {
		a.mustSend("r", fmt.Sprint(i))
	}
	a.hasExactly("r", numbered(1, 10))
	b.hasExactly("r", numbered(1, 10))
	redis.Kill()
	a.away(true)
	b.away(true)
	redis.Run() // which finds what was saved
	a.away(false)
	b.away(false)
	for i := 11; i <= 14; i++ {
		b.mustSend("r", fmt.Sprint(i))
	}
	for _, p := range []*process{a, b} {
		p.hasExactly("r", numbered(1, 14))
		if got := p.missedRooms(); len(got) != 0 {
			t.Errorf("missed in %v", got)
		}
	}
}

// What the engine does not keep as long as a node is away, clients are told of by their end.
func TestMoreThanTheBacklog(t *testing.T) {
	t.Parallel()
	for _, bytes := range []int{0, 1000} {
		redis := redistest.Start(t)
		cfg := config(t, at(redis.Addr))
		cfg.Backlog = bytes
		far, wire := wired(t, cfg, redis.Addr)
		a, b := join(t, cfg), join(t, far)
		b.enter("r")
		a.mustSend("r", "1")
		b.hasExactly("r", []string{"1"})
		wire.Cut()
		b.away(true)
		for range 100 {
			a.mustSend("r", strings.Repeat("x", 100))
		}
		wire.Heal()
		until(t, "clients are told", func() bool { return slices.Contains(b.missedRooms(), "r") })
		b.live()
		a.mustSend("r", "2")
		b.hasExactly("r", []string{"1", "2"})
		if got := a.missedRooms(); len(got) != 0 {
			t.Errorf("who was there all the time missed something in %v", got)
		}
	}
}

// What was missed may take longer to arrive than one command may: each page of it is one.
func TestLongWayBack(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	cfg := config(t, at(redis.Addr))
	cfg.Backlog = 8 << 20
	far, wire := wired(t, cfg, redis.Addr)
	far.Timeout = 2 * time.Second
	a, b := join(t, cfg), join(t, far)
	b.enter("r")
	a.mustSend("r", "0")
	b.hasExactly("r", []string{"0"})
	wire.Cut()
	b.away(true)
	padding := strings.Repeat("x", 100<<10)
	for i := 1; i <= 60; i++ {
		a.mustSend("r", fmt.Sprint(i, padding))
	}
	wire.Slow(500 * time.Microsecond) // half a second for a page, three for all
	wire.Heal()
	until(t, "everything is there", func() bool { return len(b.in("r")) == 61 })
	for i, text := range b.in("r") {
		if got, _, _ := strings.Cut(text, "x"); got != fmt.Sprint(i) {
			t.Errorf("%s is there, want %d", got, i)
		}
	}
	if got := b.missedRooms(); len(got) != 0 {
		t.Errorf("missed in %v", got)
	}
	if err := b.partition(app, "r", false).lastError(); err != nil && strings.Contains(err.Error(), "brings nothing") {
		t.Errorf("the last way back before was given up: %v", err)
	}
}

// A short cut with nothing published does not close anybody, without a backlog too.
func TestCutWithNothingPublished(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	wire := redistest.NewWire(t, redis.Addr)
	cfg := config(t, at(wire.Addr))
	cfg.Backlog = 0
	b := join(t, cfg)
	b.enter("r")
	b.mustSend("r", "1")
	b.hasExactly("r", []string{"1"})
	wire.Cut()
	b.away(true)
	wire.Heal()
	b.away(false)
	b.mustSend("r", "2")
	b.hasExactly("r", []string{"1", "2"})
	if got := b.missedRooms(); len(got) != 0 {
		t.Errorf("missed in %v", got)
	}
}

// An engine that forgets everything under the nodes' feet loses nothing that is published, and has
// all nodes in its table again.
func TestFlushAll(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	cfg := config(t, at(redis.Addr))
	cfg.Lease = 2 * time.Second
	a, b := join(t, cfg), join(t, cfg)
	a.enter("r")
	b.enter("r")
	secret, n, lacked := a.Secret(), 0, false
	for range 3 {
		for range 30 {
			n++
			a.mustSend("r", fmt.Sprint(n))
		}
		before, end := []uint64{a.table.beats.Load(), b.table.beats.Load()}, time.Now().Add(20*time.Second)
		redis.Do("FLUSHALL")
		for range 5 { // less than before: numbers begin anew
			n++
			b.mustSend("r", fmt.Sprint(n))
		}
		for again := false; !again; {
			again = true
			for i, p := range []*process{a, b} { // who is not in the table is missing, and said to be
				if got := p.listed(); len(got) != 2 {
					t.Fatalf("of two nodes there are %v", got)
				}
				lacked = lacked || len(p.Nodes()) < 2
				again = again && p.table.beats.Load() > before[i]+1 && len(p.Nodes()) == 2
			}
			if time.Now().After(end) {
				t.Fatal("the nodes do not enter again")
			}
			time.Sleep(time.Millisecond)
		}
	}
	if !lacked {
		t.Error("no table has lacked anybody: nothing was tried")
	}
	a.hasExactly("r", numbered(1, n))
	b.hasExactly("r", numbered(1, n))
	for _, p := range []*process{a, b} {
		if got := p.missedRooms(); len(got) != 0 {
			t.Errorf("missed in %v", got)
		}
		if got := p.lost(); got != 0 {
			t.Errorf("%d links were lost", got)
		}
		until(t, "both nodes are in the table again", func() bool {
			_, missing := p.Known()
			return len(missing) == 0 && p.Secret() == secret && redis.Do("HGET", p.nodes.meta(), "secret") == secret && len(p.Nodes()) == 2 && strings.TrimPrefix(redis.Do("ZCARD", string(p.nodes)+":lease"), ":") == "2"
		})
	}
}

// listed are the nodes that are there or missing.
func (p *process) listed() map[string]bool {
	names := make(map[string]bool)
	there, missing := p.Known()
	for _, n := range append(there, missing...) {
		names[n.Name] = true
	}
	return names
}

// An engine that is started anew, without anything on disk: what was accepted is delivered, what
// was not is told so, and clients stay as long as all nodes had the same.
func TestRedisRestarted(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	cfg := config(t, at(redis.Addr))
	cfg.Timeout = 2 * time.Second
	a, b := join(t, cfg), join(t, cfg)
	a.enter("r", "s")
	b.enter("r", "s")
	a.mustSend("r", "1")
	a.hasExactly("r", []string{"1"})
	b.hasExactly("r", []string{"1"})
	// A fence is behind what is published, so the last number is known.
	redis.Kill()
	a.away(true)
	b.away(true)
	// Before that it may be written to a link of which nobody knows yet that it is lost.
	until(t, "no partition has a link", func() bool {
		return !slices.ContainsFunc(a.parts[:], func(part *partition) bool { return part.current() != nil })
	})
	if h := a.send("r", "lost"); !errors.Is(h.Err, hub.ErrAway) {
		t.Errorf("it became %+v, want %v", h, hub.ErrAway)
	}
	began := time.Now()
	until(t, "sends are refused at once", func() bool {
		began = time.Now()
		return errors.Is(a.send("r", "lost").Err, hub.ErrAway) && time.Since(began) < cfg.Timeout/2
	})
	entered := make(chan error, 1)
	a.Fence(app, "new", false, func(_ hub.Position, err error) { entered <- err })
	if err := <-entered; !errors.Is(err, hub.ErrAway) {
		t.Errorf("entering was answered %v", err)
	}
	redis.Run()
	a.away(false)
	b.away(false)
	a.mustSend("r", "2")
	b.mustSend("s", "3")
	for _, p := range []*process{a, b} {
		p.hasExactly("r", []string{"1", "2"})
		p.hasExactly("s", []string{"3"})
		if got := p.missedRooms(); len(got) != 0 {
			t.Errorf("missed in %v", got)
		}
		until(t, "the log says that it is back", func() bool { return strings.Contains(p.log.String(), "engine is back") })
		if n := strings.Count(p.log.String(), "engine is away"); n != 1 {
			t.Errorf("the log says %d times that it is away:\n%s", n, p.log)
		}
	}
}

// A node that was cut off before the engine was started anew has less than another one: its clients
// are told, whichever of the two comes back first.
func TestRestartAfterCut(t *testing.T) {
	t.Parallel()
	for _, first := range []string{"the one that has it all", "the one that was cut off"} {
		redis := redistest.Start(t)
		near, wire := redistest.NewWire(t, redis.Addr), redistest.NewWire(t, redis.Addr)
		cfg := config(t, at(near.Addr))
		far := cfg
		far.Redis, _ = ParseEngine(at(wire.Addr))
		a, b := join(t, cfg), join(t, far)
		a.enter("r")
		b.enter("r")
		a.mustSend("r", "1")
		b.hasExactly("r", []string{"1"})
		wire.Cut()
		b.away(true)
		a.mustSend("r", "2")
		a.hasExactly("r", []string{"1", "2"})
		near.Cut()
		redis.Kill()
		redis.Run()
		if first == "the one that was cut off" {
			wire.Heal()
			b.away(false)
			near.Heal()
		} else {
			near.Heal()
			a.away(false)
			wire.Heal()
		}
		a.away(false)
		b.away(false)
		until(t, first+" first: clients are told", func() bool { return slices.Contains(b.missedRooms(), "r") })
		if got := a.missedRooms(); slices.Contains(got, "r") {
			t.Errorf("%s first: who had everything missed something in %v", first, got)
		}
	}
}

// An engine that stops without closing anything: sends are answered in time, and what they are
// told is true.
func TestPausedRedis(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	cfg := config(t, at(redis.Addr))
	cfg.Timeout = 2 * time.Second
	a, b := join(t, cfg), join(t, cfg)
	a.enter("r")
	b.enter("r")
	a.mustSend("r", "1")
	b.hasExactly("r", []string{"1"})
	redis.Signal(syscall.SIGSTOP)
	resumed := false
	resume := func() {
		if !resumed {
			resumed = true
			redis.Signal(syscall.SIGCONT)
		}
	}
	defer resume()
	became := make(chan error, 3)
	began := time.Now()
	for i := 2; i <= 4; i++ {
		a.Publish(&hub.Publication{App: app, Room: "r", Data: fmt.Append(nil, i)}, func(h hub.Handed) { became <- h.Err })
	}
	for range 3 {
		if err := <-became; !errors.Is(err, hub.ErrUncertain) && !errors.Is(err, hub.ErrAway) {
			t.Errorf("it became %v", err)
		}
	}
	if d := time.Since(began); d > 10*cfg.Timeout {
		t.Errorf("answered after %s", d)
	}
	a.away(true)
	until(t, "senders are held up", a.Late)
	caughtUp := a.CaughtUp()
	resume()
	a.away(false)
	b.away(false)
	<-caughtUp
	until(t, "senders are not held up any more", func() bool { return !a.Late() && a.CaughtUp() == nil })
	a.mustSend("r", "5")
	for _, p := range []*process{a, b} {
		until(t, "the last one is there", func() bool { return slices.Contains(p.in("r"), "5") })
	}
	// What nobody knew of may have arrived; nothing twice, nothing out of order.
	got := a.in("r")
	if !slices.Equal(got, b.in("r")) {
		t.Errorf("the nodes have %v and %v", got, b.in("r"))
	}
	if !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != len(got) {
		t.Errorf("there is %v", got)
	}
}

// A primary that is killed: its replica goes on, and so do the nodes.
func TestSentinelFailover(t *testing.T) {
	t.Parallel()
	primary, replica, sentinels := redistest.Sentinel(t)
	url := "redis-sentinel://" + sentinels[0].Addr + "," + sentinels[1].Addr + "," + sentinels[2].Addr + "/" + redistest.Master
	cfg := config(t, url)
	cfg.Timeout = 2 * time.Second
	a, b := join(t, cfg), join(t, cfg)
	a.enter("r")
	b.enter("r")
	var accepted []string
	for i := 1; i <= 20; i++ {
		a.mustSend("r", fmt.Sprint(i))
		accepted = append(accepted, fmt.Sprint(i))
	}
	b.hasExactly("r", accepted)
	until(t, "the replica has everything", func() bool {
		key := string(a.partition(app, "r", false).tag) + ":n"
		return replica.Do("EVAL_RO", "return redis.call('HGET', KEYS[1], 'n') or ''", "1", key) == primary.Do("HGET", key, "n")
	})
	primary.Kill()
	i := 20
	until(t, "sends are accepted again", func() bool {
		i++
		if a.send("r", fmt.Sprint(i)).Err != nil {
			return false
		}
		accepted = append(accepted, fmt.Sprint(i))
		return true
	})
	a.away(false)
	b.away(false)
	i++
	b.mustSend("r", fmt.Sprint(i))
	accepted = append(accepted, fmt.Sprint(i))
	for _, p := range []*process{a, b} {
		until(t, "the last one is there", func() bool { return slices.Contains(p.in("r"), fmt.Sprint(i)) })
		var got []string
		for _, text := range p.in("r") {
			if slices.Contains(accepted, text) {
				got = append(got, text)
			}
		}
		if !slices.Equal(got, accepted) {
			t.Errorf("there is %v, want %v", got, accepted)
		}
		if got := p.missedRooms(); len(got) != 0 {
			t.Errorf("missed in %v", got)
		}
	}
}

// With CLUSTER_WHEN_DOWN=local the node's own clients are served while the engine is away, but
// not in rooms whose events have positions.
func TestLocalWhileAway(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	cfg := config(t, at(redis.Addr))
	cfg.Timeout, cfg.WhenDown = 2*time.Second, Local
	a := join(t, cfg, func(o *Options) { o.Together = func(app string) bool { return app == "kept" } })
	a.enter("r")
	a.mustSend("r", "1")
	redis.Kill()
	a.away(true)
	if h := a.send("r", "2"); h.Err != nil && !errors.Is(h.Err, hub.ErrUncertain) {
		t.Errorf("it became %+v", h)
	}
	until(t, "sends reach this node at once", func() bool {
		began := time.Now()
		h := a.send("r", "3")
		return h.Err == nil && h.Took == 1 && time.Since(began) < cfg.Timeout/2
	})
	if a.Late() {
		t.Error("senders are held up")
	}
	answered := make(chan hub.Handed, 1)
	a.Publish(&hub.Publication{App: "kept", Room: "r"}, func(h hub.Handed) { answered <- h })
	if h := <-answered; !errors.Is(h.Err, hub.ErrAway) {
		t.Errorf("what is kept became %+v", h)
	}
	redis.Run()
	a.away(false)
	a.mustSend("r", "4")
	until(t, "the engine's are delivered behind", func() bool {
		got := a.in("r")
		return got[len(got)-1] == "4"
	})
}

// What a node delivers by itself while the engine is away is behind what waited for that before, and
// never beside what came from it. No engine is needed to see that.
func TestLocalKeepsItsOrder(t *testing.T) {
	t.Parallel()
	c := New(Config{Prefix: "test", Timeout: time.Minute, QueueBytes: 1 << 20, WhenDown: Local})
	c.log = discard
	var got []string
	c.opt.Deliver = func(p *hub.Publication, _ hub.Position) int {
		got = append(got, string(p.Data))
		if string(p.Data) == "4" {
			panic("a dialect that fails")
		}
		return 1
	}
	answered := make(chan hub.Handed, 8)
	send := func(text string) {
		c.Publish(&hub.Publication{App: app, Room: "r", Data: []byte(text)}, func(h hub.Handed) {
			answered <- h
			if text == "1" {
				panic("a sender that fails")
			}
		})
	}
	p := c.partition(app, "r", false)
	send("1")
	send("2")
	p.mu.Lock()
	p.since = time.Now().Add(-2 * c.cfg.Timeout)
	p.mu.Unlock()
	p.inbox.put("something of the engine")
	send("3")
	if h := <-answered; !errors.Is(h.Err, hub.ErrAway) || len(got) != 0 {
		t.Errorf("beside what came from the engine it became %+v, delivered is %v", h, got)
	}
	p.inbox.mu.Lock()
	p.inbox.list = nil
	p.inbox.mu.Unlock()
	for _, text := range []string{"4", "5"} {
		send(text)
	}
	if want := []string{"1", "2", "4", "5"}; !slices.Equal(got, want) {
		t.Errorf("delivered is %v, want %v", got, want)
	}
	for i, took := range []int{1, 1, -1, 1} {
		select {
		case h := <-answered:
			if h.Err != nil || h.Took != took {
				t.Errorf("%s became %+v, want %d that took it", got[i], h, took)
			}
		default:
			t.Fatal("a sender is not answered")
		}
	}
	if n := c.waiting.Load(); n != 0 {
		t.Errorf("%d bytes wait", n)
	}
}

// Before anything is delivered of what a link brought it is there, so that nothing is delivered without
// the engine any more.
func TestLinkIsThereBeforeWhatItBrings(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	cfg := config(t, at(redis.Addr))
	far, wire := wired(t, cfg, redis.Addr)
	a := join(t, cfg)
	var b *process
	var early atomic.Int64
	b = join(t, far, func(o *Options) {
		deliver := o.Deliver
		o.Deliver = func(p *hub.Publication, at hub.Position) int {
			if string(p.Data) != "0" && b.partition(app, "r", false).current() == nil {
				early.Add(1)
			}
			return deliver(p, at)
		}
	})
	b.enter("r")
	a.mustSend("r", "0")
	b.hasExactly("r", []string{"0"})
	wire.Cut()
	b.away(true)
	const many = 10_000 // so that the first is handed out while others are still put into the inbox
	answered := make(chan error, many)
	for i := 1; i <= many; i++ {
		a.Publish(&hub.Publication{App: app, Room: "r", Data: fmt.Append(nil, i)}, func(h hub.Handed) { answered <- h.Err })
	}
	for range many {
		if err := <-answered; err != nil {
			t.Fatalf("send: %v", err)
		}
	}
	wire.Heal()
	b.hasExactly("r", numbered(0, many))
	if n := early.Load(); n != 0 {
		t.Errorf("%d were delivered without a link", n)
	}
}

// A node does not start alone by mistake, and says why without a secret in it.
func TestStartWithoutEngine(t *testing.T) {
	t.Parallel()
	locked := redistest.Start(t, "--requirepass", "open-sesame")
	addr, _ := redistest.FreePort(t)
	for url, says := range map[string]string{
		"redis://:pass-word@" + addr:                                 "refused",
		"redis://:pass-word@" + locked.Addr:                          "WRONGPASS",
		"redis-sentinel://:pass-word@" + addr + "/main?password=pw2": "",
	} {
		cfg := config(t, url)
		cfg.Timeout = time.Second
		began := time.Now()
		c := New(cfg)
		err := c.Join(t.Context(), Options{Log: discard})
		if err == nil {
			_ = c.Close(t.Context())
			t.Fatalf("%s: it started", url)
		}
		if d := time.Since(began); d > 20*time.Second {
			t.Errorf("%s: it took %s", url, d)
		}
		text := err.Error()
		if !strings.Contains(text, "CLUSTER_REDIS") || !strings.Contains(text, says) || strings.Contains(text, "pass-word") || strings.Contains(text, "pw2") {
			t.Errorf("%s: %q", url, text)
		}
	}
	good := join(t, config(t, "redis://:open-sesame@"+locked.Addr))
	good.enter("r")
	good.mustSend("r", "1")
}

// An engine that has no memory left says no to each send, which is told so; everything else
// goes on, and sends too once it has.
func TestRedisIsFull(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	a := join(t, config(t, at(redis.Addr)))
	a.enter("r")
	redis.Do("CONFIG", "SET", "maxmemory", "1")
	for range 3 {
		if h := a.send("r", "1"); !errors.Is(h.Err, hub.ErrAway) {
			t.Errorf("it became %+v", h)
		}
	}
	if n := strings.Count(a.log.String(), "takes no publications"); n != 1 {
		t.Errorf("the log says so %d times, want once:\n%s", n, a.log)
	}
	redis.Do("CONFIG", "SET", "maxmemory", "0")
	a.mustSend("r", "2")
	a.hasExactly("r", []string{"2"})
	if n := a.lost(); n != 0 {
		t.Errorf("%d links were lost", n)
	}
}

// A user of Redis who may do what is needed and nothing else; and one who may not says what is
// missing at the start.
func TestLeastRights(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	cfg := config(t, "redis://poosh:open-sesame@"+redis.Addr)
	rights := leastRights(t, cfg.Prefix)
	user := append([]string{"ACL", "SETUSER", "poosh", "reset", "on", ">open-sesame"}, rights...)
	redis.Do(user...)
	few := cfg
	few.Timeout = 2 * time.Second
	c := New(few)
	err := c.Join(t.Context(), Options{Log: discard})
	if err == nil {
		_ = c.Close(t.Context())
		t.Fatal("it started without a right to channels")
	}
	if text := err.Error(); !strings.Contains(text, "NOPERM") || strings.Contains(text, "open-sesame") {
		t.Errorf("it says %q", text)
	}
	redis.Do(append(user, "&"+cfg.Prefix+":*")...)
	a := join(t, cfg)
	a.enter("r")
	a.mustSend("r", "1")
	a.hasExactly("r", []string{"1"})
	entered := make(chan error, 1)
	e := presence.Entry{App: app, Room: "r", User: "u", Only: true, Counted: true, Told: true, Cache: true}
	if h := publishCached(a, "r"); h != nil {
		t.Errorf("to be kept: %v", h)
	}
	a.Enter(e, func(_ presence.Seated, err error) { entered <- err })
	if err := <-entered; err != nil {
		t.Errorf("enter: %v", err)
	}
	if _, _, ok, err := a.Cached(t.Context(), app, "r"); !ok || err != nil {
		t.Errorf("what is kept: %v, %v", ok, err)
	}
	for r, err := range a.Rooms(t.Context(), app, "") {
		if err != nil {
			t.Errorf("rooms: %+v, %v", r, err)
		}
	}
	a.Leave(e)
	if got := a.Nodes(); len(got) != 1 {
		t.Errorf("it knows of %d nodes, want 1", len(got))
	}
}

// publishCached publishes what the engine is to keep, and waits for what became of it.
func publishCached(p *process, room string) error {
	answered := make(chan error, 1)
	p.Publish(&hub.Publication{App: app, Room: room, Event: "e", Data: []byte("kept"), Cached: 60}, func(h hub.Handed) { answered <- h.Err })
	return <-answered
}

// What waits for an engine that does not answer is bounded, and so is what comes from it.
func TestBounds(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	cfg := config(t, at(redis.Addr))
	cfg.QueueBytes, cfg.Timeout = 1<<20, 2*time.Second
	a := join(t, cfg)
	redis.Signal(syscall.SIGSTOP)
	full, answered := 0, make(chan error, 64)
	for range 40 {
		a.Publish(&hub.Publication{App: app, Room: "r", Data: make([]byte, 100_000)}, func(h hub.Handed) { answered <- h.Err })
	}
	for range 40 {
		switch err := <-answered; {
		case errors.Is(err, hub.ErrFull):
			full++
		case err == nil:
			t.Error("it was published by an engine that stands still")
		}
	}
	redis.Signal(syscall.SIGCONT)
	if full < 20 {
		t.Errorf("%d of 40 were refused at once, want all that are over 1 MiB", full)
	}
	until(t, "nothing waits any more", func() bool { return a.waiting.Load() == 0 })
	a.away(false)
	// Too slow for what comes: the node starts afresh, and misses nothing.
	gate := make(chan struct{})
	slow := join(t, cfg, func(o *Options) {
		deliver := o.Deliver
		o.Deliver = func(p *hub.Publication, at hub.Position) int {
			<-gate
			return deliver(p, at)
		}
	})
	slow.enter("r")
	for i := range 15 { // each more than who reads handles at once
		a.mustSend("r", fmt.Sprint(i, strings.Repeat("x", grabBytes)))
	}
	until(t, "more came than it may hold", func() bool { return slow.count.overrun.Load() > 0 })
	close(gate)
	until(t, "everything is there", func() bool { return len(slow.in("r")) == 15 })
	for i, text := range slow.in("r") {
		if !strings.HasPrefix(text, fmt.Sprint(i, "x")) {
			t.Errorf("%d is %.10s", i, text)
		}
	}
	until(t, "nothing is held any more", func() bool { return slow.arriving.Load() == 0 })
}
