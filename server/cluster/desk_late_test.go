//go:build unix

package cluster

import (
	"errors"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"poosh/server/cluster/redistest"
	"poosh/server/presence"
)

// Who is answered late, and enters once more before the engine goes on, is there in the end.
func TestDeskLateThenAgain(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	w := newTown(shortLease(t, redis))
	w.cfg.Lease = 30 * time.Second
	a, b := w.build(t, ""), w.build(t, "")
	all, rooms := []*house{a, b}, []string{"r"}
	b.mustSit("r", "other")
	a.mustSit("r", "x")
	settled(t, w, all, rooms)
	redis.Signal(syscall.SIGSTOP)
	if _, err := a.sit("r", "u"); !errors.Is(err, presence.ErrAway) {
		t.Errorf("answered %v by an engine that stands still", err)
	}
	again := make(chan error, 1)
	go func() {
		_, err := a.sit("r", "u")
		again <- err
	}()
	d := a.partition(app, "r", false).desk
	until(t, "the second one waits", func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return slices.ContainsFunc(d.queue, func(s *step) bool { return s.kind == stepEnter })
	})
	redis.Signal(syscall.SIGCONT)
	if err := <-again; err != nil {
		t.Errorf("the second one: %v", err)
	}
	settled(t, w, all, rooms)
	if got := b.told("came r u"); len(got) != 1+len(b.told("went r u")) {
		t.Errorf("told %q", b.told(""))
	}
}

// A batch that the engine has done, and whose answer was lost with the process that did it, is told
// under another seat, and counts once.
func TestDeskDoneUnderSeatBefore(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	w := newTown(shortLease(t, redis))
	w.cfg.Timeout, w.cfg.Lease = 5*time.Second, 30*time.Second
	a, b := w.build(t, redis.Addr), w.build(t, "")
	all, rooms := []*house{a, b}, []string{"r"}
	b.mustSit("r", "stays")
	a.mustSit("r", "a")
	leaves := a.mustSit("r", "leaves")
	settled(t, w, all, rooms)
	p := a.partition(app, "r", false)
	enters := presence.Entry{App: app, Room: "solo", User: "only", Only: true, Counted: true, MaxConnections: 1, MaxMembers: 1, Told: true}
	for i := 0; a.partition(app, enters.Room, false) != p; i++ {
		enters.Room = "solo" + strconv.Itoa(i)
	}
	p.desk.mu.Lock()
	seat, last := p.desk.seat.name, p.desk.last
	p.desk.mu.Unlock()
	a.wire.Cut()
	until(t, "it is cut off", func() bool { return p.current() == nil })
	// What it is about to say has been said, and nobody heard the answer.
	leave := &step{kind: stepLeave, entry: a.entry("r", "leaves", leaves), connections: 1}
	leave.entry.Only = true
	args := []string{"nobody", seat, strconv.FormatUint(last+1, 10), "", "1000"}
	for _, s := range []*step{leave, {kind: stepEnter, entry: enters, connections: 1}} {
		args = s.args(args)
	}
	d := b.partition(app, "r", false).desk
	if err := d.script(d.p.current(), deskScript, args...).Error(); err != nil {
		t.Fatal(err)
	}
	type answer struct {
		presence.Seated
		err error
	}
	got := make(chan answer, 1)
	a.rise(leaves)
	a.Enter(enters, func(s presence.Seated, err error) { got <- answer{s, err} })
	p.desk.mu.Lock()
	p.desk.doubt = &slip{steps: p.desk.queue, number: last + 1, seat: seat, link: 1}
	p.desk.queue, p.desk.last = nil, last+1
	p.desk.mu.Unlock()
	redis.Do("HSET", p.tag.state(), "run", "another")
	a.wire.Heal()
	if is := <-got; is.err != nil || is.Connections != 1 || is.Users != 1 {
		t.Errorf("answered %+v", is)
	}
	until(t, "the applications know", func() bool { return slices.Contains(w.due(), enters.Room+" only [true]") })
	a.Leave(enters)
	settled(t, w, all, rooms)
	if got := b.told(""); len(b.told("went r leaves")) != 1 || len(b.told("came r leaves")) != 1 {
		t.Errorf("told %q", got)
	}
	want := []string{"r  [true]", "r a [true]", "r leaves [true false]", "r stays [true]", enters.Room + "  [true false]", enters.Room + " only [true false]"}
	if got := w.due(); !slices.Equal(got, want) {
		t.Errorf("the applications were told %q, want %q", got, want)
	}
}

// Nodes that enter a room as the engine has forgotten it, which is in use on another, find it in use.
func TestDeskFlushToldOnce(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	w := newTown(shortLease(t, redis))
	w.cfg.Timeout, w.cfg.Lease = 8*time.Second, 16*time.Second
	a, b := w.build(t, ""), w.build(t, "")
	all := []*house{a, b}
	var rooms []string
	for i := range 20 {
		rooms = append(rooms, "r"+strconv.Itoa(i))
		a.mustSit(rooms[i], "u")
	}
	settled(t, w, all, rooms)
	redis.Do("FLUSHALL")
	for _, room := range rooms {
		b.mustSit(room, "u")
	}
	settled(t, w, all, rooms)
	if got := a.told("occupied"); len(got) != len(rooms) {
		t.Errorf("told %q", got)
	}
	if got := w.due(); len(got) != 2*len(rooms) {
		t.Errorf("the applications were told %q", got)
	}
}
