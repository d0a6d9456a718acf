//go:build unix

package cluster

import (
	"slices"
	"testing"
	"time"

	"poosh/server/cluster/redistest"
	"poosh/server/hub"
)

// deafen has nobody at a node hear of the app: what is due stays there.
func deafen(all ...*house) {
	for _, h := range all {
		h.Hear(app, nil)
	}
}

func hear(all ...*house) {
	for _, h := range all {
		h.Hear(app, h)
	}
}

// forgets has the engine forget everything, and waits until all nodes have told it what they have. What it is asked
// next is to publish something, as mostly.
func forgets(t *testing.T, redis *redistest.Server, rooms []string, all ...*house) {
	t.Helper()
	redis.Do("FLUSHALL")
	for _, room := range rooms {
		all[0].Publish(&hub.Publication{App: app, Room: room, Data: []byte("x")}, func(hub.Handed) {})
	}
	for _, h := range all {
		for _, room := range rooms {
			until(t, "all is told to the engine that has forgotten", func() bool { return toldAnew(h, room) })
		}
	}
}

// toldAnew reports whether a node has told all that it has in the partition of a room to a log behind its first one.
func toldAnew(h *house, room string) bool {
	d := h.partition(app, room, false).desk
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.seat.number > 1 && !d.seat.lost && d.seat.all && d.doubt == nil && d.held.IsZero()
}

// sureBy is how long it takes until each node knows that the applications were told.
func sureBy(w *town) time.Duration { return w.cfg.Timeout + 2*w.cfg.Lease }

// only waits until the applications were told what is wanted, and looks that nothing follows.
func only(t *testing.T, w *town, want ...string) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !slices.Equal(w.due(), want) && time.Now().Before(end); {
		time.Sleep(20 * time.Millisecond)
	}
	time.Sleep(w.cfg.Lease/2 + w.hold) // somebody looks by then
	if got := w.due(); !slices.Equal(got, want) {
		t.Errorf("the applications were told %q, want %q", got, want)
	}
}

// Who came, and stays, so shortly before the engine forgot everything that no node had taken it to tell of it, is
// told of behind that.
func TestDeskCameBeforeEngineForgot(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	w := newTown(shortLease(t, redis))
	a, b := w.build(t, ""), w.build(t, "")
	a.mustSit("r", "a")
	settled(t, w, []*house{a, b}, []string{"r"})
	deafen(a, b)
	b.mustSit("r", "b")
	b.mustSit("alone", "b")
	forgets(t, redis, []string{"r", "alone"}, a, b)
	hear(a, b)
	only(t, w, "alone  [true]", "alone b [true]", "r  [true]", "r a [true]", "r b [true]")
}

// It may forget twice before anybody is told.
func TestDeskCameBeforeEngineForgotTwice(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	w := newTown(shortLease(t, redis))
	a, b := w.build(t, ""), w.build(t, "")
	deafen(a, b)
	b.mustSit("r", "b")
	forgets(t, redis, []string{"r"}, a, b)
	a.mustSit("r", "a")
	seat := func() uint64 {
		d := b.partition(app, "r", false).desk
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.seat.number
	}
	before := seat()
	redis.Do("FLUSHALL")
	until(t, "it is told once more", func() bool { return seat() > before && toldAnew(a, "r") && toldAnew(b, "r") })
	hear(a, b)
	only(t, w, "r  [true]", "r a [true]", "r b [true]")
}

// Another node than the one by which somebody came told the applications of it, shortly before the engine forgot
// everything. Nobody tells them again.
func TestDeskToldBeforeEngineForgot(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	w := newTown(shortLease(t, redis))
	a, b := w.build(t, ""), w.build(t, "")
	deafen(b)
	b.mustSit("r", "b")
	until(t, "they are told", func() bool { return len(w.due()) == 2 })
	forgets(t, redis, []string{"r"}, a, b)
	hear(b)
	only(t, w, "r  [true]", "r b [true]")
}

// While a node tells the applications of somebody the engine forgets everything. It goes on, and nobody else does.
func TestDeskTellsAsEngineForgets(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	w := newTown(shortLease(t, redis))
	a, b := w.build(t, ""), w.build(t, "")
	deafen(b)
	busyApp := &busy{a, make(chan func(), 8)}
	a.Hear(app, busyApp)
	id := b.mustSit("r", "b")
	done := []func(){<-busyApp.told, <-busyApp.told}
	forgets(t, redis, []string{"r"}, a, b)
	hear(b)
	time.Sleep(w.cfg.Lease)
	if n := len(busyApp.told); n > 0 || len(w.due()) > 0 {
		t.Errorf("told %d more, and by another node %q", n, w.due())
	}
	for _, f := range done {
		f()
	}
	b.rise(id)
	until(t, "that it went is told", func() bool { return len(busyApp.told)+len(w.due()) == 2 })
}

// The applications were told that somebody went, and not yet that it is back, as the engine forgot everything.
func TestDeskUntoldBackBeforeEngineForgot(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	w := newTown(shortLease(t, redis))
	a, b := w.build(t, ""), w.build(t, "")
	id := b.mustSit("r", "b")
	settled(t, w, []*house{a, b}, []string{"r"})
	b.rise(id)
	until(t, "they are told that it went", func() bool { return slices.Equal(w.due(), []string{"r  [true false]", "r b [true false]"}) })
	deafen(a, b)
	b.mustSit("r", "b")
	forgets(t, redis, []string{"r"}, a, b)
	hear(a, b)
	only(t, w, "r  [true false true]", "r b [true false true]")
}

// The applications were told that somebody went, while all nodes remember that it did, and one of those is
// back last. Nobody tells them again.
func TestDeskToldGoneBeforeEngineForgot(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	cfg := shortLease(t, redis)
	cfg.Lease, cfg.Timeout = 8*time.Second, 4*time.Second // for which the others remember it
	w := newTown(cfg)
	w.hold = 200 * time.Millisecond
	a, b := w.build(t, redis.Addr), w.build(t, "")
	a.mustSit("r", "a")
	id := b.mustSit("r", "b")
	settled(t, w, []*house{a, b}, []string{"r"})
	deafen(a)
	b.rise(id)
	want := []string{"r  [true]", "r a [true]", "r b [true false]"}
	until(t, "it is told", func() bool { return slices.Equal(w.due(), want) })
	a.wire.Cut() // it says last what it remembers
	forgets(t, redis, []string{"r"}, b)
	a.wire.Heal()
	hear(a)
	until(t, "it has said all", func() bool { return toldAnew(a, "r") })
	only(t, w, want...)
}

// A node that is cut off while the engine forgets everything has somebody of whom another one told the applications. They
// are not told that it went before that node is given up.
func TestDeskCutOffAsEngineForgets(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	cfg := shortLease(t, redis)
	cfg.Lease = 8 * time.Second
	w := newTown(cfg)
	a, b := w.build(t, ""), w.build(t, redis.Addr)
	a.mustSit("r", "a")
	deafen(b)
	b.mustSit("r", "b")
	settled(t, w, []*house{a, b}, []string{"r"})
	b.wire.Cut()
	forgets(t, redis, []string{"r"}, a)
	time.Sleep(time.Second)
	b.wire.Heal()
	only(t, w, "r  [true]", "r a [true]", "r b [true]")
}

// Who takes what is due hears that there is more where some of it is none any more.
func TestDueBehindWhatIsTaken(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	a := newTown(shortLease(t, redis)).build(t, "")
	d := a.partition(app, "r", false).desk
	deafen(a)
	a.mustSit("r", "u")
	item := func(user string) string { return netstring(app) + netstring("r") + netstring(user) }
	redis.Do("HSET", string(d.p.tag)+":dt:"+app+"\x00r", "r", "p1") // somebody tells them that the room is in use
	redis.Do("ZADD", string(d.p.tag)+":dq:"+app, "0", item(""))
	d.mu.Lock()
	seat := d.seat.name
	d.mu.Unlock()
	answer, err := d.script(d.p.current(), dueScript, seat, "64", "0", app, "1").ToArray()
	if err != nil || len(answer) != 3 {
		t.Fatalf("answered %v, %v: want nothing that is due", answer, err)
	}
	if wait, _ := answer[1].AsInt64(); wait != 0 {
		t.Errorf("the next is due in %d ms, want 0", wait)
	}
}

// Who told the applications of somebody has ended, and is known to nobody; that it was there for long is known by the
// node by which it came first. That it comes by another one too, as the engine forgets everything, tells nobody again.
func TestDeskThereForLongAsEngineForgets(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	w := newTown(shortLease(t, redis))
	a, b := w.build(t, ""), w.build(t, "")
	all := []*house{a, b}
	a.mustSit("r", "u")
	settled(t, w, all, []string{"r"})
	time.Sleep(sureBy(w)) // by then each node knows that they are told
	deafen(a, b)
	b.mustSit("r", "u")
	forgetTold(all, "r")
	forgets(t, redis, []string{"r"}, a, b)
	hear(a, b)
	only(t, w, "r  [true]", "r u [true]")
}

// Somebody was told of long ago, and now is there by another node alone, for a moment, as the engine forgets everything.
func TestDeskMovedAsEngineForgets(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	w := newTown(shortLease(t, redis))
	w.hold = 3 * time.Second
	a, b := w.build(t, ""), w.build(t, "")
	all := []*house{a, b}
	stays, goes := a.mustSit("r", "stays"), a.mustSit("r", "goes")
	settled(t, w, all, []string{"r"})
	forgetTold(all, "r")
	b.mustSit("r", "stays")
	a.rise(stays)
	a.rise(goes)
	until(t, "it went", func() bool { return len(b.told("went r goes")) == 1 })
	b.mustSit("r", "goes")
	forgets(t, redis, []string{"r"}, a, b)
	only(t, w, "r  [true]", "r goes [true]", "r stays [true]")
}

// forgetTold has nodes not remember what they told the applications of, in the partition of a room.
func forgetTold(all []*house, room string) {
	for _, h := range all {
		d := h.partition(app, room, false).desk
		d.mu.Lock()
		d.known = nil
		d.mu.Unlock()
	}
}

// A node is cut off while the engine forgets everything, and for so long that the applications are told that those who
// are there have gone. When it comes to the log that began meanwhile they are told that they are back.
func TestDeskBackInLogThatBeganWithoutIt(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	w := newTown(shortLease(t, redis))
	a, b := w.build(t, ""), w.build(t, redis.Addr)
	all, rooms := []*house{a, b}, []string{"r"}
	a.mustSit("r", "a")
	b.mustSit("r", "b")
	settled(t, w, all, rooms)
	time.Sleep(sureBy(w)) // by then each node knows that they are told
	b.wire.Cut()
	forgets(t, redis, rooms, a)
	until(t, "they are told that it went", func() bool { return slices.Contains(w.due(), "r b [true false]") })
	b.wire.Heal()
	settled(t, w, all, rooms)
	only(t, w, "r  [true]", "r a [true]", "r b [true false true]")
}
