package cluster

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"poosh/server/cluster/redistest"
	"poosh/server/hub"
)

var discard = slog.New(slog.DiscardHandler)

func (p *process) names() (list []string) {
	for _, n := range p.Nodes() {
		list = append(list, n.Name)
	}
	return list
}

// Nodes know each other at once, and where each is reached.
func TestTable(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	cfg := config(t, at(redis.Addr))
	cfg.Lease = 5 * time.Minute // so that nothing is learnt by a beat that was due
	a := join(t, cfg)
	changed := make(chan struct{}, 16)
	a.Changed(func() { changed <- struct{}{} })
	b := join(t, cfg)
	both := []string{a.Name(), b.Name()}
	slices.Sort(both)
	for _, p := range []*process{a, b} {
		until(t, "both nodes are known", func() bool { return slices.Equal(p.names(), both) })
	}
	<-changed
	if _, ok := a.Addr(b.Name()); ok {
		t.Error("a node without an address is reached")
	}
	b.Reach("10.0.0.5:7000")
	until(t, "where it is reached is known", func() bool {
		addr, ok := a.Addr(b.Name())
		return ok && addr == "10.0.0.5:7000"
	})
	if len(a.Name()) != nameSize || a.Name() == b.Name() {
		t.Errorf("the nodes are called %q and %q", a.Name(), b.Name())
	}
	if a.Secret() == "" || a.Secret() != b.Secret() {
		t.Error("the nodes have two secrets")
	}
	if err := b.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if got := redis.Do("ZCARD", a.nodes.leases()); got != ":1" {
		t.Errorf("%s leases are there, want that of the one that stays", got)
	}
	until(t, "who leaves is gone at once", func() bool { return slices.Equal(a.names(), []string{a.Name()}) })
	for _, part := range a.parts {
		if got := redis.Do("HEXISTS", part.tag.state(), "s:"+b.Name()); got != ":0" {
			t.Errorf("what it left behind is there: %s", part.tag)
		}
	}
}

// A node that says nothing is given up when its lease is over, one of the others cleans up behind
// it, and it finds out when it is back.
func TestLeaseIsOver(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	cfg := config(t, at(redis.Addr))
	cfg.Lease, cfg.Timeout = 10*time.Second, 2*time.Second // far enough apart for what waits until it is quiet
	far, wire := wired(t, cfg, redis.Addr)
	a, c, b := join(t, cfg), join(t, cfg), join(t, far)
	b.enter("r")
	b.mustSend("r", "1")
	part := b.partition(app, "r", false)
	if got := redis.Do("HEXISTS", part.tag.state(), "s:"+b.Name()); got != ":1" {
		t.Fatalf("how far it was taken is not noted: %s", got)
	}
	until(t, "all are known", func() bool { return len(a.Nodes()) == 3 })
	wire.Cut()
	for _, p := range []*process{a, c} {
		until(t, "it is given up", func() bool { return !slices.Contains(p.names(), b.Name()) })
	}
	until(t, "it is cleaned up behind", func() bool {
		return redis.Do("HEXISTS", part.tag.state(), "s:"+b.Name()) == ":0" && redis.Do("HLEN", string(a.nodes)+":reap") == ":0"
	})
	if n := a.count.reaped.Load() + c.count.reaped.Load(); n != 1 {
		t.Errorf("%d nodes cleaned up, want 1", n)
	}
	wire.Heal()
	until(t, "it is there again", func() bool { return slices.Contains(a.names(), b.Name()) })
	if b.count.givenUp.Load() == 0 {
		t.Error("it did not find out")
	}
	b.live()
	b.mustSend("r", "2")
	b.hasExactly("r", []string{"1", "2"})
}

// How far a node's publications were taken is kept as long as it may write one once more, though it was
// given up.
func TestGivenUpTooEarly(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	cfg := config(t, at(redis.Addr))
	a := join(t, cfg)
	a.mustSend("r", "1")
	p := a.partition(app, "r", false)
	const quiet = 5 * time.Minute
	if p.giveUp(t.Context(), a.Name(), quiet) || redis.Do("HEXISTS", p.tag.state(), "s:"+a.Name()) != ":1" {
		t.Error("it is forgotten a moment after it published")
	}
	if !p.giveUp(t.Context(), "nobody", quiet) {
		t.Error("a node that never published is not given up")
	}
	redis.Do("HSET", p.tag.state(), "s:"+a.Name(), "1 1700000000000")
	if !p.giveUp(t.Context(), a.Name(), quiet) || redis.Do("HEXISTS", p.tag.state(), "s:"+a.Name()) != ":0" {
		t.Error("it is not forgotten long after it published")
	}
}

// A node whose leaving is cut short is still cleaned up behind.
func TestLeaveIsCutShort(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	cfg := config(t, at(redis.Addr))
	cfg.Lease = 3 * time.Second
	redis.Do("ACL", "SETUSER", "b", "on", ">open-sesame", "~*", "&*", "+@all", "-hdel")
	other := cfg
	other.Redis, _ = ParseEngine("redis://b:open-sesame@" + redis.Addr)
	a, b := join(t, cfg), join(t, other)
	until(t, "both are known", func() bool { return len(a.Nodes()) == 2 })
	if err := b.Close(t.Context()); err != nil {
		t.Error(err)
	}
	until(t, "nothing of it is left", func() bool {
		return redis.Do("HLEN", a.nodes.info()) == ":1" && redis.Do("ZCARD", a.nodes.leases()) == ":1" && slices.Equal(a.names(), []string{a.Name()})
	})
}

// That the table of nodes is not to be used is said, once until it is again.
func TestBeatFails(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	a := join(t, config(t, at(redis.Addr)))
	said := func() int { return strings.Count(a.log.String(), "does not take that this node is there") }
	for round := 1; round <= 2; round++ {
		redis.Do("EVAL", "redis.call('DEL', KEYS[1]) return redis.call('SET', KEYS[1], 'nonsense')", "1", a.nodes.leases())
		for range 3 {
			failed := a.count.beatsFailed.Load()
			a.beatNow()
			until(t, "a beat fails", func() bool { return a.count.beatsFailed.Load() > failed })
		}
		until(t, "the log says so", func() bool { return said() > 0 })
		if n := said(); n != round || !strings.Contains(a.log.String(), "WRONGTYPE") {
			t.Errorf("the log says so %d times, want %d:\n%s", n, round, a.log)
		}
		redis.Do("DEL", a.nodes.leases())
		a.beatNow()
		until(t, "it is in the table", func() bool { return redis.Do("ZCARD", a.nodes.leases()) == ":1" })
		// One more, for the end of the one that entered it.
		until(t, "it has done so", func() bool {
			a.table.mu.Lock()
			defer a.table.mu.Unlock()
			return a.table.entered && a.table.number == uint64(round)
		})
	}
}

// Why a connection ended is said, though not of each when all end; an end that was wanted is not.
func TestLossIsSaid(t *testing.T) {
	log := &logged{}
	c := New(Config{Prefix: "test", Timeout: time.Minute})
	c.log = slog.New(slog.NewTextHandler(log, nil))
	for i, p := range c.parts {
		p.found(newLink(p, 1))
		why := errors.New("reset by somebody")
		if i == 0 {
			why = errStopped
		}
		p.lose(why)
		p.lose(errors.New("not there yet")) // of which there was none
	}
	if n := strings.Count(log.String(), "reset by somebody"); n != 1 {
		t.Errorf("the log says %d times why, want once:\n%s", n, log)
	}
	if text := log.String(); strings.Contains(text, errStopped.Error()) || strings.Contains(text, "not there yet") {
		t.Errorf("the log says\n%s", text)
	}
	if n, _ := c.losses.May(0); n != partitions-1 {
		t.Errorf("%d are to be said yet, want %d", n, partitions-1)
	}
}

// A node says that it is there as soon as it can: until then its desks say nothing to a log that has just begun, and the
// others wait for them.
func TestBeatsWithALink(t *testing.T) {
	t.Parallel()
	c := New(Config{Prefix: "test", Timeout: time.Minute})
	for i, p := range c.parts {
		p.found(newLink(p, 1))
		if last := i == len(c.parts)-1; (len(c.kick) > 0) != last {
			t.Errorf("with the link of partition %d it is to beat at once: %t", p.index, !last)
		}
	}
}

// What one node tells, all hear, and a question has everybody's answer.
func TestTellAndAsk(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	cfg := config(t, at(redis.Addr))
	far, wire := wired(t, cfg, redis.Addr)
	a, b := join(t, cfg), join(t, far)
	heard := make(chan string, 16)
	for _, p := range []*process{a, b} {
		p.Handle(16, func(from string, body []byte) []byte {
			heard <- p.Name() + " from " + from + ": " + string(body)
			return []byte("I am " + p.Name())
		})
	}
	until(t, "both are known", func() bool { return len(a.Nodes()) == 2 })
	a.Tell(16, []byte("hello"))
	got := []string{<-heard, <-heard}
	slices.Sort(got)
	want := []string{a.Name() + " from " + a.Name() + ": hello", b.Name() + " from " + a.Name() + ": hello"}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("heard were %q", got)
	}
	answers, silent := a.Ask(t.Context(), 16, nil)
	if len(silent) != 0 || len(answers) != 2 || string(answers[b.Name()]) != "I am "+b.Name() {
		t.Errorf("the answers are %q, silent are %q", answers, silent)
	}
	<-heard
	<-heard
	wire.Cut()
	b.away(true)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	answers, silent = a.Ask(ctx, 16, nil)
	if !slices.Equal(silent, []string{b.Name()}) || len(answers) != 1 {
		t.Errorf("without one, the answers are %q, silent are %q", answers, silent)
	}
	<-heard
	a.Tell(16, []byte("later"))
	<-heard
	wire.Heal()
	until(t, "who was cut off hears it", func() bool {
		select {
		case text := <-heard:
			return strings.HasSuffix(text, "later")
		default:
			return false
		}
	})
}

// A rolling upgrade: what a later version sends is dropped, counted, and said once.
func TestEnvelopeOfLaterVersion(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	cfg := config(t, at(redis.Addr))
	a := join(t, cfg)
	a.enter("r")
	a.mustSend("r", "1")
	a.hasExactly("r", []string{"1"})
	p := a.partition(app, "r", false)
	where := p.position()
	frame := func(n uint64, envelope string) string {
		return strconv.FormatUint(where.Epoch, 10) + " " + strconv.FormatUint(n, 10) + " " + envelope
	}
	e := envelope{Publication: hub.Publication{App: app, Room: "r", Data: []byte("2")}, node: a.Name()}
	newer := e.appendTo(nil)
	newer[0] += 2
	channel := p.tag.room(app, "r")
	redis.Do("SPUBLISH", channel, frame(where.Number+1, string(newer)))
	redis.Do("SPUBLISH", channel, frame(where.Number+2, string(newer)))
	redis.Do("SPUBLISH", channel, "nonsense")
	redis.Do("SPUBLISH", channel, frame(where.Number+3, string(e.appendTo(nil))))
	a.hasExactly("r", []string{"1", "2"})
	if n := a.count.unknown.Load(); n != 2 {
		t.Errorf("%d of a version that is not known, want 2", n)
	}
	if n := a.count.malformed.Load(); n != 1 {
		t.Errorf("%d malformed, want 1", n)
	}
	if n := strings.Count(a.log.String(), errVersion.Error()); n != 1 {
		t.Errorf("the log says it %d times:\n%s", n, a.log)
	}
}

// A node that counts partitions otherwise, or speaks otherwise, does not start beside others.
func TestOtherFormatIsRefused(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	cfg := config(t, at(redis.Addr))
	_, nodes := tags(cfg.Prefix, 0)
	for _, other := range []string{"partitions", "format"} {
		redis.Do("HSET", nodes.meta(), other, "32")
		redis.Do("ZADD", nodes.leases(), "9999999999999", "node-1.0")
		c := New(cfg)
		err := c.Join(t.Context(), Options{Log: discard})
		if err == nil {
			_ = c.Close(t.Context())
			t.Fatalf("it started beside another %s", other)
		}
		if !strings.Contains(err.Error(), "CLUSTER_PREFIX") {
			t.Errorf("it says %q", err)
		}
		redis.Do("DEL", nodes.meta())
	}
}

// Nodes whose operator chose a secret have the same one, or do not start beside each other; and
// the engine does not hold it.
func TestChosenSecret(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	cfg := config(t, at(redis.Addr))
	cfg.Secret = "a secret of an operator"
	a, b := join(t, cfg), join(t, cfg)
	if a.Secret() != cfg.Secret || b.Secret() != cfg.Secret {
		t.Error("the nodes have another secret than the one that was chosen")
	}
	if got := redis.Do("EVAL", "return table.concat(redis.call('HGETALL', KEYS[1]), ' ')", "1", a.nodes.meta()); strings.Contains(got, cfg.Secret) {
		t.Errorf("the engine holds %s", got)
	}
	refused := func(cfg Config) error {
		c := New(cfg)
		err := c.Join(t.Context(), Options{Log: discard})
		if err == nil {
			_ = c.Close(t.Context())
			t.Fatalf("it started with the secret %q beside others", cfg.Secret)
		}
		return err
	}
	other, none := cfg, cfg
	other.Secret, none.Secret = "another secret than that", ""
	for _, c := range []Config{other, none} {
		if text := refused(c).Error(); !strings.Contains(text, "CLUSTER_SECRET") || strings.Contains(text, "secret of") || strings.Contains(text, "another secret") {
			t.Errorf("it says %q", text)
		}
	}
	// Another one may be chosen once nobody is there.
	for _, p := range []*process{a, b} {
		if err := p.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	join(t, other)
	refused(cfg)
}

// Numbers are there for operators, by names that are told apart.
func TestReadings(t *testing.T) {
	t.Parallel()
	a := join(t, config(t, at(redistest.Start(t).Addr)))
	a.enter("r")
	a.mustSend("r", "1")
	a.hasExactly("r", []string{"1"})
	values := make(map[string]float64)
	for _, r := range a.Readings() {
		if r.Help == "" || values[r.Name] != 0 {
			t.Errorf("%s has no help, or is there twice", r.Name)
		}
		if len(r.Samples) > 0 { // what is said of other nodes has none here
			values[r.Name] = r.Samples[0].Value
		}
	}
	if values["cluster_engine_up"] != 1 || values["cluster_nodes"] != 1 || values["cluster_publications_total"] < 1 || values["cluster_received_total"] < 1 {
		t.Errorf("the numbers are %v", values)
	}
}

// What the engine says no to counts until it takes that, or has been away: one that comes back may be another one. The
// log has a line for each.
func TestRefusedByTheEngine(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	cfg := config(t, at(redis.Addr))
	cfg.Lease, cfg.Timeout = 3*time.Second, time.Second
	a := join(t, cfg)
	refuses := func() bool { return a.Refuses() != nil }
	const again = "the cluster's engine takes again that this node is there"
	redis.Do("CONFIG", "SET", "maxmemory", "1")
	until(t, "the engine says no", refuses)
	if strings.Contains(a.log.String(), again) {
		t.Error(a.log)
	}
	redis.Do("CONFIG", "SET", "maxmemory", "0")
	until(t, "the log says that it takes all again", func() bool { return strings.Contains(a.log.String(), again) })
	until(t, "it does", func() bool { return !refuses() })
	redis.Do("CONFIG", "SET", "maxmemory", "1")
	until(t, "the engine says no", refuses)
	redis.Kill()
	a.away(true)
	if why := a.refuses.Load(); why != nil {
		t.Errorf("an engine that is away says %v", *why)
	}
}
