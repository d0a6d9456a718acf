package returning

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// Ten thousand who are away take no more than they may, and the newest of them come back.
func TestManyAway(t *testing.T) {
	a := statesOf(time.Minute, 100*stateCost)
	var pids []string
	for i := range 10_000 {
		c := newClient(t, a.cfg.Hub, fmt.Sprint(i))
		st := &state{PID: pidOf(i), SID: fmt.Sprint(i)}
		a.Resume(c, st)
		a.Left(c, st, netip.Addr{}, true)
		a.cfg.Hub.Unregister(c.sub)
		pids = append(pids, st.PID)
	}
	if a.size > a.cfg.Bytes || len(a.byName) != a.away.Len() || a.away.Len() != 100 {
		t.Errorf("%d of %d bytes for %d, %d of them found by name", a.size, a.cfg.Bytes, a.away.Len(), len(a.byName))
	}
	slices.Reverse(pids)
	for i, pid := range pids {
		st, _ := a.Take(pid)
		if again, _ := a.Take(pid); (st != nil) != (i < 100) || again != nil {
			t.Fatalf("number %d from the end: %v, and once more %v", i, st, again)
		}
	}
	if a.size != 0 || len(a.byName) != 0 {
		t.Errorf("%d bytes of nobody", a.size)
	}
}

// Whatever is said in place of a pid, nobody but who was given it finds the state, and that one
// does once.
func FuzzPID(f *testing.F) {
	f.Add("")
	f.Add(strings.Repeat("A", pidName+pidSecret))
	f.Add(strings.Repeat("é", (pidName+pidSecret)/2))
	f.Fuzz(func(t *testing.T, said string) {
		a := statesOf(time.Minute, 1<<20)
		const name = "AAAAAAAAAAAA"
		st := &state{PID: name + "0123456789abcdefghijklmn", SID: "s"}
		c := newClient(t, a.cfg.Hub, "s")
		a.Resume(c, st)
		a.Left(c, st, netip.Addr{}, true)
		a.cfg.Hub.Unregister(c.sub)
		for _, guess := range []string{said, name + said, st.PID[:len(st.PID)-1] + said} {
			if got, _ := a.Take(guess); got != nil && guess != st.PID {
				t.Fatalf("%q finds the state of %q", guess, st.PID)
			} else if got != nil {
				return
			}
		}
		if got, _ := a.Take(st.PID); got != st {
			t.Error("its own pid does not find it")
		}
		if got, _ := a.Take(st.PID); got != nil {
			t.Error("its own pid finds it twice")
		}
	})
}

// TestOneConnectionHasIt has the end of a connection change nothing about a state that another one has
// by now.
func TestOneConnectionHasIt(t *testing.T) {
	a := statesOf(time.Minute, 1<<20)
	first, second := newClient(t, a.cfg.Hub, "first"), newClient(t, a.cfg.Hub, "second")
	st := a.Begin(first, "first", stateFor(1).Start)
	if got, old := a.Take(st.PID); got != st || old != first {
		t.Fatalf("%+v of %v", got, old)
	}
	a.Left(first, st, netip.Addr{}, true)
	if a.away.Len() != 0 || len(a.byName) != 0 {
		t.Error("what was taken is kept")
	}
	a.Resume(second, st)
	a.Left(first, st, netip.Addr{}, false)
	if got, old := a.Take(st.PID); got != st || old != second {
		t.Errorf("%+v of %v", got, old)
	}
}

// TestSinceWhen has a room count from the first connection on that was in it, unless the client has
// left it since, or there is another log.
func TestSinceWhen(t *testing.T) {
	for name, row := range map[string]struct {
		left   bool
		other  bool
		before map[string]uint64
		want   uint64
	}{
		"another connection":    {before: map[string]uint64{"r": 1}, want: 1},
		"joined on this one":    {want: 2},
		"left and back":         {left: true, before: map[string]uint64{"r": 1}, want: 2},
		"another log":           {other: true, before: map[string]uint64{"r": 1}, want: 0},
		"another log, and left": {other: true, left: true, before: map[string]uint64{"r": 1}, want: 2},
	} {
		t.Run(name, func(t *testing.T) {
			a := statesOf(time.Minute, 1<<20)
			c := newClient(t, a.cfg.Hub, "s", "first", "r")
			c.left = map[string]bool{"r": row.left}
			st := a.Begin(c, "s", stateFor(1).Start)
			st.Joined = row.before
			if _, st.Log = a.cfg.Hub.Joined(c.sub, c.trail); row.other {
				st.Log++
			}
			if got, _ := a.Take(st.PID); got.Joined["r"] != row.want {
				t.Errorf("since %v, want %d", got.Joined, row.want)
			}
		})
	}
}
