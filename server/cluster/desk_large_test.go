//go:build unix

package cluster

import (
	"fmt"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"poosh/server/cluster/redistest"
	"poosh/server/hub"
	"poosh/server/presence"
)

// One event that many want to know who enter at once comes once.
func TestDeskManyWantEvent(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	w := newTown(config(t, at(redis.Addr)))
	w.cfg.QueueBytes, w.cfg.Timeout = 1<<20, 10*time.Second
	a := w.build(t, "")
	a.mustSit("r", "u")
	a.hub.Send(&hub.Publication{App: app, Room: "r", Event: "e", Data: make([]byte, 10240), Cached: 600}, nil)
	until(t, "the event is kept", func() bool { _, _, ok, _ := a.Cached(t.Context(), app, "r"); return ok })
	redis.Signal(syscall.SIGSTOP)
	const many = 250
	type answer struct {
		presence.Seated
		err error
	}
	answers := make(chan answer, many)
	for i := range many {
		e := presence.Entry{App: app, Room: "r", Counted: true, Cache: true, Socket: strconv.Itoa(i)}
		a.Enter(e, func(s presence.Seated, err error) { answers <- answer{s, err} })
	}
	redis.Signal(syscall.SIGCONT)
	for range many {
		if got := <-answers; got.err != nil || got.Cached == nil || len(got.Cached.Data) != 10240 {
			t.Fatalf("answered %+v", got)
		}
	}
	if n := a.count.overrun.Load(); n > 0 {
		t.Errorf("%d connections were ended", n)
	}
}

// Members and events that are more than one answer has are asked for one after the other; those of one
// room may be more than all that may wait.
func TestDeskLargeAnswers(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	w := newTown(config(t, at(redis.Addr)))
	w.cfg.QueueBytes, w.cfg.Timeout = 1<<20, 10*time.Second
	a, b := w.build(t, ""), w.build(t, "")
	p := a.partition(app, "big", false)
	rooms := []string{"big"}
	for i := 0; len(rooms) < 6; i++ {
		if room := fmt.Sprint("r", i); a.partition(app, room, false) == p {
			rooms = append(rooms, room)
		}
	}
	info := make([]byte, 1000)
	for i, room := range rooms {
		n := 200
		if i == 0 {
			n = 1100
		}
		var list []presence.Entry
		for j := range n {
			list = append(list, presence.Entry{App: app, Room: room, User: "u" + strconv.Itoa(j), Only: true, Info: info, Counted: true})
		}
		for some := range slices.Chunk(list, 100) {
			a.fill(some)
		}
		a.hub.Send(&hub.Publication{App: app, Room: room, Event: "e", Data: make([]byte, 10240), Cached: 600}, nil)
		until(t, "the event is kept", func() bool { _, _, ok, _ := a.Cached(t.Context(), app, room); return ok })
	}
	redis.Signal(syscall.SIGSTOP)
	done := make(chan string, len(rooms))
	for _, room := range rooms {
		r := b.hub.Open(app, room)
		e := presence.Entry{App: app, Room: room, User: "late", Only: true, Info: info, Counted: true, Cache: true}
		b.Enter(e, func(s presence.Seated, err error) {
			defer r.Close()
			users := r.Len()
			done <- fmt.Sprint(room, " ", users == s.Users, " ", users > 200, " ", s.Connections == s.Users, " ", s.Cached != nil, " ", err)
		})
	}
	d := b.partition(app, "big", false).desk
	until(t, "all wait", func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		n := len(d.queue)
		if d.doubt != nil {
			n += len(d.doubt.steps)
		}
		return n == len(rooms)
	})
	redis.Signal(syscall.SIGCONT)
	for range rooms {
		if got := <-done; got[len(got)-len("true true true true <nil>"):] != "true true true true <nil>" {
			t.Error(got)
		}
	}
	if n := b.count.overrun.Load(); n > 0 {
		t.Errorf("%d connections were ended", n)
	}
}
