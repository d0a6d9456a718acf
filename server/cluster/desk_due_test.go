//go:build unix

package cluster

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"poosh/server/cluster/redistest"
	"poosh/server/presence"
)

// Nobody hears of an app: the others are told as ever, and that one once somebody does.
func TestDueBehindUnheardApp(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	w := newTown(config(t, at(redis.Addr)))
	a := w.build(t, "")
	p := a.partition(app, "r", false)
	var list []presence.Entry
	for i := 0; len(list) < 300; i++ {
		if room := "x" + strconv.Itoa(i); a.partition("removed", room, false) == p {
			list = append(list, presence.Entry{App: "removed", Room: room, Counted: true, Told: true})
		}
	}
	a.fill(list)
	a.mustSit("r", "u")
	until(t, "the others are told", func() bool { return slices.Equal(w.due(), []string{"r  [true]", "r u [true]"}) })
	a.Hear("removed", a)
	until(t, "it is told", func() bool { return len(w.due()) == 2+len(list) })
}

// What was taken for an app that is not heard of any more is told when it is again.
func TestDueOfAppHeardAgain(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	w := newTown(config(t, at(redis.Addr)))
	a := w.build(t, "")
	d := a.partition(app, "r", false).desk
	a.Hear(app, nil)
	a.mustSit("r", "u")
	item := redis.Do("EVAL", `return redis.call('ZRANGE', KEYS[1], 0, 0)[1]`, "1", string(d.p.tag)+":dq:"+app)
	// As it is taken between one and the other.
	d.mu.Lock()
	seat := d.seat.name
	d.mu.Unlock()
	list, err := d.script(d.p.current(), dueScript, seat, "64", "0", app, "64").AsStrSlice()
	if err != nil || len(list) != 7 || list[3] != item {
		t.Fatalf("answered %q, %v: want %q among it", list, err, item)
	}
	for i := 3; i < len(list); i += 2 {
		fields := netstrings(list[i])
		h := happening{fields[0], presence.Happening{Room: fields[1], User: fields[2], There: true}}
		d.mu.Lock()
		t := d.take(h, list[2])
		d.mu.Unlock()
		d.happened(h, t)
	}
	until(t, "it is given back", func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return len(d.telling) == 0
	})
	if got := w.due(); len(got) > 0 {
		t.Errorf("told %q", got)
	}
	a.Hear(app, a)
	until(t, "it is told", func() bool { return slices.Equal(w.due(), []string{"r  [true]", "r u [true]"}) })
}

// Applications are told, and what is left of a seat is taken away, while many enter and leave without a pause.
func TestDueUnderLoad(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	w := newTown(shortLease(t, redis))
	a := w.build(t, "")
	p := a.partition(app, "r", false)
	ctx, stop := context.WithCancel(t.Context())
	var busy sync.WaitGroup
	defer busy.Wait()
	defer stop()
	var entered atomic.Int64
	for i, n := 0, 0; n < 200; i++ {
		e := presence.Entry{App: app, Room: "x" + strconv.Itoa(i), Counted: true}
		if a.partition(app, e.Room, false) != p {
			continue
		}
		n++
		busy.Go(func() {
			for ctx.Err() == nil {
				done := make(chan error, 1)
				a.Enter(e, func(_ presence.Seated, err error) { done <- err })
				if <-done == nil {
					entered.Add(1)
					a.Leave(e)
				}
			}
		})
	}
	until(t, "many have entered", func() bool { return entered.Load() > 1000 })
	id := a.mustSit("r", "u")
	until(t, "it is told", func() bool { return len(w.due()) == 2 })
	// As if it had another seat.
	d := p.desk
	const old = "tester.0.1"
	if err := d.script(p.current(), seatScript, old, "").Error(); err != nil {
		t.Fatal(err)
	}
	s := &step{kind: stepEnter, entry: a.entry("left", "v", "1"), connections: 1}
	s.entry.Only = true
	if err := d.script(p.current(), deskScript, s.args([]string{"nobody", old, "1", "", "1000"})...).Error(); err != nil {
		t.Fatal(err)
	}
	d.mu.Lock()
	d.old = append(d.old, old)
	d.mu.Unlock()
	before := entered.Load()
	until(t, "nothing of it is left", func() bool { return redis.Do("EXISTS", string(p.tag)+":di:"+old) == ":0" })
	until(t, "others enter meanwhile", func() bool { return entered.Load() > before+100 })
	a.rise(id)
	until(t, "the end is told", func() bool { return w.toldIsSo(map[string][]string{}) == "" })
}
