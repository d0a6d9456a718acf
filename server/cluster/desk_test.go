//go:build unix

package cluster

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"poosh/server/cluster/redistest"
	"poosh/server/hub"
	"poosh/server/presence"
	"poosh/server/presence/presencetest"
)

func (h *house) process() presencetest.Process {
	return presencetest.Process{Hub: h.hub, Desk: h, Census: h}
}

// The engine's desk does what any has to.
func TestDesk(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	presencetest.RunDesk(t, func(t *testing.T) (a, b presencetest.Process) {
		w := newTown(config(t, at(redis.Addr)))
		return w.build(t, "").process(), w.build(t, "").process()
	})
}

// So does that of a Redis Cluster.
func TestDeskOfRedisCluster(t *testing.T) {
	t.Parallel()
	servers := redistest.Cluster(t)
	presencetest.RunDesk(t, func(t *testing.T) (a, b presencetest.Process) {
		w := newTown(config(t, at(servers[0].Addr)))
		return w.build(t, "").process(), w.build(t, "").process()
	})
}

// shortLease is a configuration with a lease that is soon over.
func shortLease(t testing.TB, redis *redistest.Server) Config {
	cfg := config(t, at(redis.Addr))
	cfg.Lease, cfg.Timeout = 3*time.Second, time.Second
	return cfg
}

// Who was on a node that dies is gone, once, and nobody else.
func TestDeskNodeDies(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	w := newTown(shortLease(t, redis))
	a, b, c := w.build(t, ""), w.build(t, redis.Addr), w.build(t, "")
	a.mustSit("r", "both")
	b.mustSit("r", "both")
	b.mustSit("r", "dies")
	b.mustSit("alone", "dies")
	c.mustSit("r", "stays")
	settled(t, w, []*house{a, b, c}, []string{"r", "alone"})
	b.kill()
	settled(t, w, []*house{a, c}, []string{"r", "alone"})
	want := []string{"alone  [true false]", "alone dies [true false]", "r  [true]", "r both [true]", "r dies [true false]", "r stays [true]"}
	if got := w.due(); !slices.Equal(got, want) {
		t.Errorf("the applications were told %q, want %q", got, want)
	}
	for _, h := range []*house{a, c} {
		if got := h.told("went"); !slices.Equal(got, []string{"went r dies"}) {
			t.Errorf("told %q", got)
		}
	}
	for _, p := range a.rooms() {
		for _, seat := range []string{"0.1", "0.2"} {
			if got := redis.Do("EXISTS", string(p.tag)+":di:"+b.Name()+"."+seat); got != ":0" {
				t.Errorf("something of it is left in %s", p.tag)
			}
		}
	}
}

// Two nodes that clean up behind the same one at once do so once.
func TestDeskReapedTwice(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	cfg := shortLease(t, redis)
	cfg.Lease = time.Minute // so that nobody does so by itself
	w := newTown(cfg)
	a, b, c := w.build(t, ""), w.build(t, redis.Addr), w.build(t, "")
	const users = 300
	a.mustSit("r", "stays")
	for i := range users {
		b.mustSit("r", "u"+strconv.Itoa(i))
	}
	settled(t, w, []*house{a, b, c}, []string{"r"})
	lease, _ := b.leaseNow()
	b.wire.Cut()
	over := make(chan error, 2)
	for _, h := range []*house{a, c} {
		go func() { over <- h.takeAway(t.Context(), lease) }()
	}
	for range 2 {
		if err := <-over; err != nil {
			t.Error(err)
		}
	}
	until(t, "they are gone", func() bool { return len(a.told("went")) >= users })
	until(t, "the applications know", func() bool { return len(w.due()) >= users+2 && w.toldIsSo(map[string][]string{"r": {"stays"}}) == "" })
	if n := len(a.told("went")); n != users {
		t.Errorf("%d went, want %d", n, users)
	}
	for _, text := range w.due() {
		if text != "r  [true]" && text != "r stays [true]" && text[len(text)-12:] != "[true false]" {
			t.Errorf("told %q", text)
		}
	}
	// It was given up without its lease being over: it finds out at the next step, and enters them again.
	b.wire.Heal()
	until(t, "one more is let in", func() bool { _, err := b.sit("r", "u0"); return err == nil })
	until(t, "they are back", func() bool { return len(a.told("came")) == 2*users })
	settled(t, w, []*house{a, b, c}, []string{"r"})
}

// A batch that is told twice is done once, and answered by what was decided; one from before is not done.
func TestDeskBatchTwice(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	a := newTown(config(t, at(redis.Addr))).build(t, "")
	d := a.partition(app, "r", false).desk
	until(t, "it has a seat", func() bool { return redis.Do("HLEN", d.p.tag.seats()) == ":1" })
	l := d.p.current()
	const seat = "tester.0.1"
	if err := d.script(l, seatScript, seat, "").Error(); err != nil {
		t.Fatal(err)
	}
	tell := func(number string, connections int) string {
		s := &step{kind: stepEnter, entry: a.entry("r", "", "1"), connections: connections}
		s.entry.MaxConnections = 1
		list, err := d.script(l, deskScript, s.args([]string{"nobody", seat, number, "", "1000"})...).AsStrSlice()
		if err != nil {
			t.Fatal(err)
		}
		return list[0]
	}
	for range 2 {
		if got := tell("1", 1); got != "ok" {
			t.Errorf("answered %s", got)
		}
		if got := redis.Do("HGET", d.p.tag.seats(), seat); got != "1 K" {
			t.Errorf("the verdict is %q", got)
		}
	}
	if got := tell("2", 2); got != "ok" || redis.Do("HGET", d.p.tag.seats(), seat) != "2 N" {
		t.Errorf("one too many: %s", got)
	}
	if got := tell("1", 5); got != "old" {
		t.Errorf("one from before: %s", got)
	}
	if got := redis.Do("HGET", d.p.tag.connections(app, "r"), seat); got != "1" {
		t.Errorf("there are %s", got)
	}
}

// What nobody has cleaned up behind is found, and taken away.
func TestDeskSweep(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	w := newTown(shortLease(t, redis))
	a, b := w.build(t, ""), w.build(t, redis.Addr)
	a.mustSit("r", "a")
	b.mustSit("r", "b")
	settled(t, w, []*house{a, b}, []string{"r"})
	lease, _ := b.leaseNow()
	b.kill()
	// As if somebody had done so, and ended in the middle.
	redis.Do("ZREM", a.nodes.leases(), lease)
	redis.Do("HDEL", a.nodes.info(), lease)
	settled(t, w, []*house{a}, []string{"r"})
}

// A node that was cut off for longer than its lease enters its connections again.
func TestDeskGivenUp(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	w := newTown(shortLease(t, redis))
	a, b := w.build(t, ""), w.build(t, redis.Addr)
	a.mustSit("r", "a")
	b.mustSit("r", "b")
	stays := b.mustSit("r", "c")
	settled(t, w, []*house{a, b}, []string{"r"})
	b.wire.Cut()
	until(t, "they are gone", func() bool { return len(a.told("went")) == 2 })
	if _, err := b.sit("r", "late"); !errors.Is(err, presence.ErrAway) {
		t.Errorf("enter while away: %v", err)
	}
	b.rise(stays)
	b.wire.Heal()
	settled(t, w, []*house{a, b}, []string{"r"})
	if got := b.told("went r a"); len(got) > 0 {
		t.Errorf("told %q of who never went", got)
	}
}

// With an engine that has forgotten everything all nodes enter their connections again, and nobody
// is told of who never went.
func TestDeskFlushAll(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	w := newTown(shortLease(t, redis))
	a, b := w.build(t, ""), w.build(t, "")
	var rooms []string
	for i := range 20 {
		rooms = append(rooms, "r"+strconv.Itoa(i))
		a.mustSit(rooms[i], "a")
		b.mustSit(rooms[i], "b")
		b.mustSit(rooms[i], "a")
	}
	all := []*house{a, b}
	settled(t, w, all, rooms)
	told := func() string { return fmt.Sprint(len(a.told("")), " ", len(b.told("")), " ", w.due()) }
	before := told()
	for range 2 {
		redis.Do("FLUSHALL")
		settled(t, w, all, rooms)
	}
	looked := time.Now().Add(w.cfg.Lease)
	until(t, "all have looked again", func() bool {
		for _, h := range all {
			for _, p := range h.rooms() {
				p.desk.mu.Lock()
				busy := !p.desk.lookAt.IsZero() || len(p.desk.look) > 0 || p.desk.doubt != nil
				p.desk.mu.Unlock()
				if busy {
					return false
				}
			}
		}
		return time.Now().After(looked)
	})
	settled(t, w, all, rooms)
	if got := told(); got != before {
		t.Errorf("told were %s, before %s: %q", got, before, a.told(""))
	}
	// What ends is told of, behind it too.
	b.mustSit("r0", "new")
	settled(t, w, all, rooms)
	for id, g := range b.guests {
		if g.room == "r1" && g.user == "b" {
			b.rise(id)
			break
		}
	}
	settled(t, w, all, rooms)
}

// Who dies while the engine forgets everything is gone too.
func TestDeskDiesWithEngine(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	w := newTown(shortLease(t, redis))
	a, b := w.build(t, ""), w.build(t, redis.Addr)
	a.mustSit("r", "a")
	b.mustSit("r", "b")
	settled(t, w, []*house{a, b}, []string{"r"})
	time.Sleep(sureBy(w)) // by then each node knows that they are told
	b.kill()
	redis.Do("FLUSHALL")
	until(t, "it is told of", func() bool { return len(a.told("went r b")) == 1 })
	if got := a.told("went r a"); len(got) > 0 {
		t.Errorf("told %q", got)
	}
	if why := a.isSo(truthOf([]*house{a}), []string{"r"}); why != "" {
		t.Error(why)
	}
	want := []string{"r  [true]", "r a [true]", "r b [true false]"}
	only(t, w, want...)
}

// An engine that stands still keeps nobody waiting, and is told of all once it goes on.
func TestDeskPausedRedis(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	w := newTown(shortLease(t, redis))
	w.cfg.Lease = 30 * time.Second
	a, b := w.build(t, ""), w.build(t, "")
	a.mustSit("r", "a")
	b.mustSit("r", "b")
	id := b.mustSit("r", "c")
	settled(t, w, []*house{a, b}, []string{"r"})
	redis.Signal(syscall.SIGSTOP)
	answers := make(chan error, 10)
	for i := range 5 { // each in a room of its own, as nobody is asked for the turn
		room := "new" + strconv.Itoa(i)
		a.Enter(a.entry(room, "", "x"), func(_ presence.Seated, err error) { answers <- err })
	}
	b.rise(id)
	for range 5 {
		if err := <-answers; !errors.Is(err, presence.ErrAway) {
			t.Errorf("answered %v by an engine that stands still", err)
		}
	}
	if _, _, err := a.Count(t.Context(), app, "r"); !errors.Is(err, presence.ErrAway) {
		t.Errorf("count: %v", err)
	}
	redis.Signal(syscall.SIGCONT)
	settled(t, w, []*house{a, b}, []string{"r", "new0", "new1", "new2", "new3", "new4"})
}

// A primary that is killed: its replica goes on, and nobody is told of who never went.
func TestDeskSentinelFailover(t *testing.T) {
	t.Parallel()
	primary, replica, sentinels := redistest.Sentinel(t)
	cfg := config(t, "redis-sentinel://"+sentinels[0].Addr+","+sentinels[1].Addr+","+sentinels[2].Addr+"/"+redistest.Master)
	cfg.Timeout = 2 * time.Second
	w := newTown(cfg)
	a, b := w.build(t, ""), w.build(t, "")
	all := []*house{a, b}
	rooms := []string{"r", "s"}
	a.mustSit("r", "a")
	b.mustSit("r", "b")
	id := b.mustSit("s", "c")
	settled(t, w, all, rooms)
	p := a.partition(app, "r", false)
	until(t, "the replica has everything", func() bool {
		return replica.Do("HLEN", p.tag.members(app, "r")) == ":2"
	})
	primary.Kill()
	b.rise(id)
	until(t, "one is let in again", func() bool { _, err := a.sit("r", "d"); return err == nil })
	settled(t, w, all, rooms)
	for _, h := range all {
		if got := append(h.told("went r"), h.told("came r a")...); len(got) > 0 {
			t.Errorf("told %q", got)
		}
	}
}

// What a node that dies did not tell the applications, another one tells them.
func TestDueIsToldByAnother(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	w := newTown(shortLease(t, redis))
	b := w.build(t, redis.Addr)
	b.deaf = true
	b.mustSit("r", "u")
	until(t, "it takes what is due", func() bool { return len(b.told("due")) == 2 })
	a := w.build(t, "")
	if got := w.due(); len(got) > 0 {
		t.Errorf("told %q", got)
	}
	b.kill()
	until(t, "another one tells it, and what came of it", func() bool {
		return slices.Equal(w.due(), []string{"r  [true false]", "r u [true false]"})
	})
	settled(t, w, []*house{a}, []string{"r"})
}

// Nothing of a room stays in the engine for ever.
func TestDeskKeysEnd(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	w := newTown(config(t, at(redis.Addr)))
	a := w.build(t, "")
	id := a.mustSit("r", "u")
	a.hub.Send(&hub.Publication{App: app, Room: "r", Event: "e", Cached: 60}, nil)
	settled(t, w, []*house{a}, []string{"r"})
	p := a.partition(app, "r", false)
	const unbounded = `local n = '' for _, k in ipairs(redis.call('KEYS', ARGV[1])) do if redis.call('TTL', k) < 0 then n = n .. ' ' .. k end end return n`
	until(t, "every key of the partition ends", func() bool { return redis.Do("EVAL", unbounded, "0", string(p.tag)+":*") == "" })
	// Its node sees to it that what is there stays.
	for _, key := range []string{p.tag.connections(app, "r"), p.tag.members(app, "r"), string(p.tag) + ":di:" + p.desk.seat.name, string(p.tag) + ":dz:" + app, string(p.tag) + ":dt:" + app + "\x00r"} {
		redis.Do("EXPIRE", key, "1000")
		p.desk.mu.Lock()
		p.desk.renew = time.Now().Add(-time.Second)
		p.desk.mu.Unlock()
		p.desk.wakeUp()
		until(t, key+" is renewed", func() bool { return len(redis.Do("TTL", key)) == len(":86400") })
	}
	a.rise(id)
	settled(t, w, []*house{a}, []string{"r"})
	for _, key := range []string{"dr:" + app + "\x00r", "dm:" + app + "\x00r", "dt:" + app + "\x00r", "dz:" + app, "dq:" + app} {
		until(t, key+" is gone", func() bool { return redis.Do("EXISTS", string(p.tag)+":"+key) == ":0" })
	}
}

// The rooms of an app are those of all partitions, in order, a page at a time.
func TestCensusRooms(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	w := newTown(config(t, at(redis.Addr)))
	a := w.build(t, "")
	const rooms = partitions*roomsPage + 300
	answers := make(chan error, rooms)
	var want []string
	for i := range rooms {
		name := fmt.Sprintf("room-%05d", i)
		want = append(want, name)
		a.Enter(presence.Entry{App: app, Room: name, Counted: true}, func(_ presence.Seated, err error) { answers <- err })
	}
	a.Enter(presence.Entry{App: app, Room: "other", Counted: true}, func(_ presence.Seated, err error) { answers <- err })
	for range rooms + 1 {
		if err := <-answers; err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for r, err := range a.Rooms(t.Context(), app, "room-") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, r.Room)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%d rooms, want %d", len(got), len(want))
	}
	for r := range a.Rooms(t.Context(), app, "other") {
		if r != (hub.RoomCount{Room: "other", Connections: 1}) {
			t.Errorf("%+v", r)
		}
	}
}
