//go:build unix

package cluster

import (
	"slices"
	"testing"
	"time"

	"poosh/server/cluster/redistest"
	"poosh/server/presence"
)

// Who left shortly before the engine forgot everything, so that the applications were not told yet, is told
// of all the same, and a room that was vacated too. Who is back by then is not.
func TestDeskLeftBeforeEngineForgot(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	w := newTown(shortLease(t, redis))
	w.hold = 8 * time.Second // far longer than what comes before the engine forgets
	a, b := w.build(t, ""), w.build(t, "")
	all, rooms := []*house{a, b}, []string{"q", "r"}
	a.mustSit("r", "a")
	goes, back, alone := b.mustSit("r", "b"), b.mustSit("r", "c"), b.mustSit("q", "b")
	settled(t, w, all, rooms)
	for _, id := range []string{goes, back, alone} {
		b.rise(id)
	}
	until(t, "all have left", func() bool {
		count, _, err := a.Count(t.Context(), app, "q")
		return len(a.told("went r b")) == 1 && len(a.told("went r c")) == 1 && err == nil && count == 0
	})
	redis.Do("FLUSHALL")
	b.mustSit("r", "c")
	settled(t, w, all, rooms)
	want := []string{"q  [true false]", "q b [true false]", "r  [true]", "r a [true]", "r b [true false]", "r c [true]"}
	if got := w.due(); !slices.Equal(got, want) {
		t.Errorf("the applications were told %q, want %q", got, want)
	}
}

// Who came and left so soon that the applications were told of neither, shortly before the engine forgot everything,
// comes for the first time behind that.
func TestDeskUntoldBeforeEngineForgot(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	w := newTown(shortLease(t, redis))
	w.hold = 8 * time.Second
	a, b := w.build(t, ""), w.build(t, "")
	all, rooms := []*house{a, b}, []string{"r"}
	a.mustSit("r", "a")
	settled(t, w, all, rooms)
	for _, user := range []string{"b", "c"} {
		e := b.entry("r", user, user)
		e.Only = true
		b.Enter(e, func(presence.Seated, error) {})
		b.Leave(e) // before the engine has heard of either
	}
	until(t, "both have left", func() bool { return len(a.told("went r b")) == 1 && len(a.told("went r c")) == 1 })
	redis.Do("FLUSHALL")
	b.mustSit("r", "b")
	settled(t, w, all, rooms)
	want := []string{"r  [true]", "r a [true]", "r b [true]"}
	until(t, "the applications are told", func() bool { return slices.Equal(w.due(), want) })
	time.Sleep(w.hold) // by then they would be told that the other one went
	if got := w.due(); !slices.Equal(got, want) {
		t.Errorf("the applications were told %q, want %q", got, want)
	}
}

// Who left, and was told of, shortly before the engine forgot everything is told of anew when it is back, also
// where a node finds that out by its lease, before it hears of another log.
func TestDeskBackAfterEngineForgot(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	cfg := shortLease(t, redis)
	cfg.Lease, cfg.Timeout = 8*time.Second, 4*time.Second // it is not known for so long that all is told
	w := newTown(cfg)
	w.hold = 200 * time.Millisecond
	a, b := w.build(t, ""), w.build(t, "")
	all := []*house{a, b}
	a.mustSit("r", "a")
	goes := b.mustSit("r", "b")
	settled(t, w, all, []string{"r"})
	b.rise(goes)
	settled(t, w, all, []string{"r"})
	redis.Do("FLUSHALL")
	for _, h := range all { // before anybody looks at the log
		h.beatNow()
	}
	b.mustSit("r", "b")
	settled(t, w, all, []string{"r"})
	want := []string{"r  [true]", "r a [true]", "r b [true false true]"}
	if got := w.due(); !slices.Equal(got, want) {
		t.Errorf("the applications were told %q, want %q", got, want)
	}
}

// Who came back before the engine forgot everything has not gone: nobody is told of it anew.
func TestDeskBackBeforeEngineForgot(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	cfg := shortLease(t, redis)
	cfg.Lease, cfg.Timeout = 8*time.Second, 4*time.Second
	w := newTown(cfg)
	w.hold = 200 * time.Millisecond
	a, b := w.build(t, ""), w.build(t, "")
	all, rooms := []*house{a, b}, []string{"q", "r"}
	a.mustSit("r", "a")
	for _, room := range rooms {
		goes := b.mustSit(room, "b")
		settled(t, w, all, rooms)
		b.rise(goes)
		settled(t, w, all, rooms)
		b.mustSit(room, "b")
		settled(t, w, all, rooms)
	}
	redis.Do("FLUSHALL")
	for _, h := range all {
		h.beatNow()
	}
	until(t, "all have told what they have", func() bool {
		for _, h := range all {
			for _, room := range rooms {
				if !toldAnew(h, room) {
					return false
				}
			}
		}
		return true
	})
	b.mustSit("r", "c")
	time.Sleep(2 * w.hold) // by then it would be told
	settled(t, w, all, rooms)
	want := []string{"q  [true false true]", "q b [true false true]", "r  [true]", "r a [true]", "r b [true false true]", "r c [true]"}
	if got := w.due(); !slices.Equal(got, want) {
		t.Errorf("the applications were told %q, want %q", got, want)
	}
}

// An engine that was away for longer than a lease and has its data, as a replica has that goes on: the first node
// that is back gives up the others, and the applications are told that those who are there went. They are told
// that they are back, too.
func TestDeskGivenUpAsEngineIsBack(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	w := newTown(shortLease(t, redis))
	a, b := w.build(t, ""), w.build(t, redis.Addr)
	all, rooms := []*house{a, b}, []string{"alone", "r"}
	a.mustSit("r", "a")
	b.mustSit("r", "b")
	b.mustSit("alone", "b")
	settled(t, w, all, rooms)
	redis.Do("SAVE")
	redis.Kill()
	b.wire.Cut()
	time.Sleep(w.cfg.Lease + time.Second)
	redis.Run()
	gone := []string{"alone  [true false]", "alone b [true false]", "r  [true]", "r a [true]", "r b [true false]"}
	until(t, "the applications are told that they went", func() bool { return slices.Equal(w.due(), gone) })
	b.wire.Heal()
	settled(t, w, all, rooms)
	want := []string{"alone  [true false true]", "alone b [true false true]", "r  [true]", "r a [true]", "r b [true false true]"}
	if got := w.due(); !slices.Equal(got, want) {
		t.Errorf("the applications were told %q, want %q", got, want)
	}
}
