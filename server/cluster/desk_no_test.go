//go:build unix

package cluster

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"poosh/server/cluster/redistest"
	"poosh/server/presence"
)

// An engine without memory lets nobody in, lets everybody out, and keeps its connections.
func TestDeskFullEngine(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	w := newTown(shortLease(t, redis))
	a := w.build(t, "")
	all, rooms := []*house{a}, []string{"r"}
	id := a.mustSit("r", "u")
	settled(t, w, all, rooms)
	lost := a.count.lost.Load()
	redis.Do("CONFIG", "SET", "maxmemory", "1")
	d := a.partition(app, "r", false).desk
	raw := d.script(d.p.current(), seatScript, "x.0.9", "").Error()
	if err := fmt.Errorf("who: %w", errors.Join(raw, nil)); !refused(raw) || !refused(err) || broke(err) {
		t.Errorf("is no refusal: %v", err)
	}
	if _, err := a.sit("r", "v"); !errors.Is(err, presence.ErrAway) {
		t.Errorf("answered %v by an engine without memory", err)
	}
	until(t, "the log says so", func() bool { return strings.Contains(a.log.String(), "does not take who is in rooms") })
	// More of them wait, in the same room.
	answers := make(chan error, 2)
	for range cap(answers) {
		a.Enter(presence.Entry{App: app, Room: "r", Counted: true}, func(_ presence.Seated, err error) { answers <- err })
	}
	a.rise(id)
	until(t, "who leaves is gone", func() bool {
		c, u, err := a.Count(t.Context(), app, "r")
		return c == 0 && u == 0 && err == nil
	})
	until(t, "the applications know", func() bool { return w.toldIsSo(map[string][]string{}) == "" })
	for range cap(answers) {
		if err := <-answers; !errors.Is(err, presence.ErrAway) {
			t.Errorf("answered %v", err)
		}
	}
	if n := a.count.lost.Load() - lost; n > 0 {
		t.Errorf("%d connections were lost", n)
	}
	redis.Do("CONFIG", "SET", "maxmemory", "0")
	until(t, "one is let in", func() bool { _, err := a.sit("r", "w"); return err == nil })
	settled(t, w, all, rooms)
}

// What a script breaks at keeps nobody else waiting.
func TestDeskBrokenRoom(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	w := newTown(config(t, at(redis.Addr)))
	w.cfg.Timeout = 5 * time.Second
	a := w.build(t, "")
	p := a.partition(app, "broken", false)
	id := a.mustSit("broken", "u")
	settled(t, w, []*house{a}, []string{"broken"})
	lost := a.count.lost.Load()
	redis.Do("DEL", p.tag.connections(app, "broken"))
	redis.Do("SET", p.tag.connections(app, "broken"), "is no hash")
	answers := make(chan error, 3)
	var others []string
	for i := 0; len(others) < 20; i++ {
		if room := fmt.Sprint("r", i); a.partition(app, room, false) == p {
			others = append(others, room)
		}
	}
	p.desk.mu.Lock() // so that all of them are in one batch
	p.desk.retry = time.Now().Add(200 * time.Millisecond)
	p.desk.mu.Unlock()
	for _, room := range []string{"broken", others[0], others[1]} {
		a.Enter(presence.Entry{App: app, Room: room, Counted: true}, func(_ presence.Seated, err error) { answers <- err })
	}
	a.rise(id)
	away := 0
	for range cap(answers) {
		if err := <-answers; errors.Is(err, presence.ErrAway) {
			away++
		} else if err != nil {
			t.Error(err)
		}
	}
	if away != 1 {
		t.Errorf("%d of 3 were not let in", away)
	}
	until(t, "both steps are given up", func() bool { return a.count.broken.Load() == 2 })
	for _, room := range others {
		a.mustSit(room, "u")
	}
	if n := a.count.lost.Load() - lost; n > 0 {
		t.Errorf("%d connections were lost", n)
	}
}
