//go:build unix

package cluster

import (
	"fmt"
	"maps"
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

// Many who leave rooms at once whose last event is kept want to know nothing of that: all counts come with the answer.
func TestDeskCountsOfManyLeaves(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	w := newTown(config(t, at(redis.Addr)))
	a, b := w.build(t, ""), w.build(t, "")
	l := &lastCounts{house: b, n: make(map[string]int)}
	b.Hear(app, l)
	p := b.partition(app, "r", false)
	var rooms []string
	for i := 0; len(rooms) < 40; i++ {
		room := fmt.Sprint("r", i)
		if b.partition(app, room, false) != p {
			continue
		}
		rooms = append(rooms, room)
		for i, h := range []*house{a, b} {
			done := make(chan error, 1)
			h.Enter(presence.Entry{App: app, Room: room, Socket: fmt.Sprint(i), Counted: true}, func(_ presence.Seated, err error) { done <- err })
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
		a.hub.Send(&hub.Publication{App: app, Room: room, Event: "e", Data: make([]byte, 10240), Cached: 600}, nil)
		until(t, "the event is kept", func() bool { _, _, ok, _ := a.Cached(t.Context(), app, room); return ok })
	}
	p.desk.mu.Lock() // all in one batch
	for _, room := range rooms {
		e := presence.Entry{App: app, Room: room, Socket: "1", Counted: true, Cache: true}
		p.desk.queue = append(p.desk.queue, &step{kind: stepLeave, entry: e})
	}
	p.desk.mu.Unlock()
	p.desk.wakeUp()
	until(t, "all are told", func() bool { return len(l.counts()) == len(rooms) })
	for room, n := range l.counts() {
		if n != 1 {
			t.Errorf("%s: there are %d, want 1", room, n)
		}
	}
}

// lastCounts is what a node was told last of how many are in rooms, once they are fewer than two.
type lastCounts struct {
	*house
	n map[string]int // guarded by house.mu
}

func (l *lastCounts) Counted(room string, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n < 2 {
		l.n[room] = n
	}
}

func (l *lastCounts) counts() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.n)
}
