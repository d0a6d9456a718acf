package cluster

import (
	"slices"
	"strconv"
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
	list, err := d.script(d.p.current(), dueScript, seat, "64", "0", app).AsStrSlice()
	if err != nil || len(list) != 6 || list[2] != item {
		t.Fatalf("answered %q, %v: want %q among it", list, err, item)
	}
	for i := 2; i < len(list); i += 2 {
		fields := netstrings(list[i])
		h := happening{fields[0], presence.Happening{Room: fields[1], User: fields[2], There: true}}
		d.mu.Lock()
		d.telling[h] = true
		d.mu.Unlock()
		d.happened(h)
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
