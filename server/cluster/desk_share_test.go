//go:build unix

package cluster

import (
	"strconv"
	"testing"
	"time"

	"poosh/server/cluster/redistest"
	"poosh/server/hub"
	"poosh/server/presence"
)

// A dueListener notes what it has to tell the applications, and is done with it or never is.
type dueListener struct {
	told chan presence.Happening
	done bool
}

func newDueListener(done bool) *dueListener {
	return &dueListener{make(chan presence.Happening, 10_000), done}
}

func (*dueListener) Came(string, hub.Member, string) {}
func (*dueListener) Went(string, string)             {}
func (*dueListener) Occupied(string)                 {}
func (*dueListener) Vacated(string)                  {}
func (*dueListener) Counted(string, int)             {}
func (l *dueListener) Due(h presence.Happening, done func()) {
	l.told <- h
	if l.done {
		done()
	}
}

// await waits until it was told so much.
func (l *dueListener) await(t *testing.T, n int) {
	t.Helper()
	end := time.After(20 * time.Second)
	for i := range n {
		select {
		case <-l.told:
		case <-end:
			t.Fatalf("%d of %d are told", i, n)
		}
	}
}

// occupy has somebody in n rooms of an app that are in one partition.
func occupy(t *testing.T, h *house, app string, n int) {
	t.Helper()
	answers := make(chan error, n)
	for i, asked := 0, 0; asked < n; i++ {
		room := strconv.Itoa(i)
		if h.partition(app, room, false).index != 0 {
			continue
		}
		asked++
		h.Enter(presence.Entry{App: app, Room: room, Socket: "s", Counted: true, Told: true}, func(_ presence.Seated, err error) { answers <- err })
	}
	for range n {
		if err := <-answers; err != nil {
			t.Fatal(err)
		}
	}
}

// TestDueShares has several apps whose addresses take nothing, with more to be told than this node
// tells of at once. Another app does not wait for them.
func TestDueShares(t *testing.T) {
	t.Parallel()
	w := newTown(shortLease(t, redistest.Start(t)))
	a := w.build(t, "")
	dead, good := newDueListener(false), newDueListener(true)
	apps := []string{"dead1", "dead2", "dead3", "dead4", "dead5"}
	for _, app := range apps {
		a.Hear(app, dead)
	}
	a.Hear("good", good)
	for _, app := range apps {
		occupy(t, a, app, dueMost+20)
	}
	dead.await(t, len(apps)*dueMost)
	occupy(t, a, "good", 2*dueMost)
	good.await(t, 2*dueMost)
	if n := len(dead.told); n > 0 {
		t.Errorf("%d more than their share is told to who is done with nothing", n)
	}
}

// TestDueGivenBack has who tells an application cease to hear of it. Who hears of it next, in this
// process or in another one, is told what was not done.
func TestDueGivenBack(t *testing.T) {
	t.Parallel()
	w := newTown(shortLease(t, redistest.Start(t)))
	a, b := w.build(t, ""), w.build(t, "")
	first, second, third := newDueListener(false), newDueListener(false), newDueListener(true)
	a.Hear("app", first)
	occupy(t, a, "app", 5)
	first.await(t, 5)
	a.Hear("app", second)
	second.await(t, 5)
	a.Hear("app", nil)
	b.Hear("app", third)
	third.await(t, 5)
}
