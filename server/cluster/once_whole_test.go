//go:build unix

package cluster

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"poosh/server/cluster/redistest"
)

// TestWholeness is by the engine's times alone.
func TestWholeness(t *testing.T) {
	begin := time.Now()
	at := func(ms int) time.Time { return begin.Add(time.Duration(ms) * time.Millisecond) }
	var leads, other wholeness
	leads.gap()
	leads.heard(1, 1_000_000, 0, at(0))
	leads.took(at(-1))
	if leads.clear != 0 {
		t.Errorf("it has yet to take what it read before, and says %d", leads.clear)
	}
	leads.took(at(5))
	if leads.clear != 1_000_000 {
		t.Errorf("all is taken that was read before 1,000,000, and it says %d", leads.clear)
	}
	other.gap()
	other.heard(0, 900_000, 1, at(0)) // asked before the gap
	if other.is() || other.wants() != 0 {
		t.Error("it does not know when it began to read")
	}
	for _, c := range []struct {
		clear uint64
		want  bool
	}{{1_000_000, false}, {1_050_000, false}, {1_050_000 + wholeMargin, true}, {5, true}} {
		other.heard(1, 1_050_000, c.clear, at(0))
		if other.is() != c.want {
			t.Errorf("began at %d, all taken before %d: %v, want %v", other.from, c.clear, other.is(), c.want)
		}
	}
	if other.gap(); other.is() {
		t.Error("there was a gap")
	}
}

// TestOnceNewcomerWaits: a node that began to read behind the death of who led leaves it to one that has read what
// came meanwhile, even if that comes later.
func TestOnceNewcomerWaits(t *testing.T) {
	redis := redistest.Start(t)
	r := new(radio)
	cfg := onceConfig(t, redis.Addr)
	ears := three(t, r, cfg, redis.Addr)
	for _, e := range ears {
		e.enter("a")
	}
	known(t, ears...)
	first, others := leader(t, ears...)
	others[1].end()
	others[1].tune(false)
	old := others[0]
	whole(t, old)
	old.wire.Hold() // it reads, and has no say until the newcomer has asked
	first.wire.Cut()
	first.tune(false)
	var a []string
	say := func(n int) {
		for range n {
			r.say(fmt.Sprintf("a:%d", len(a)))
			a = append(a, fmt.Sprint(len(a)))
		}
	}
	say(50)
	// It would lead after some seconds in which the other one does not come back, which is not what is tested.
	young := r.listen(t, cfg, redistest.NewWire(t, redis.Addr), func(o *Options) { o.absent = time.Hour })
	say(50)
	s := young.source.(*source)
	until(t, "the lease is over for the newcomer", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return !s.absent.IsZero()
	})
	old.wire.Release()
	leader(t, old, young)
	say(50)
	old.wantIn("a", a)
}

// whole waits until nodes know that they lack nothing.
func whole(t *testing.T, ears ...*ear) {
	t.Helper()
	until(t, "nodes know that they lack nothing", func() bool {
		return !slices.ContainsFunc(ears, func(e *ear) bool {
			s := e.source.(*source)
			s.mu.Lock()
			defer s.mu.Unlock()
			return !s.whole.is() && s.token == 0
		})
	})
}

// TestOnceLapse: who loses the source for a moment lacks what came in it, and has another one go on.
func TestOnceLapse(t *testing.T) {
	redis := redistest.Start(t)
	r := new(radio)
	ears := three(t, r, onceConfig(t, redis.Addr), redis.Addr)
	for _, e := range ears {
		e.enter("a")
	}
	var a []string
	for range 5 {
		known(t, ears...)
		first, others := leader(t, ears...)
		whole(t, others...)
		say := func() {
			for range 20 {
				r.say(fmt.Sprintf("a:%d", len(a)))
				a = append(a, fmt.Sprint(len(a)))
			}
		}
		say()
		first.tune(false)
		say()
		first.tune(true)
		say()
		for _, e := range ears {
			e.wantIn("a", a)
		}
	}
}

// TestOnceLapseAsItAsks: who loses the source while the engine's answer is on its way, which says that it has the lease, lacks
// what came in it all the same: it does not ask for the lease as the one that led last.
func TestOnceLapseAsItAsks(t *testing.T) {
	redis := redistest.Start(t)
	r := new(radio)
	ears := three(t, r, onceConfig(t, redis.Addr), redis.Addr)
	known(t, ears...)
	first, others := leader(t, ears...)
	for _, e := range others {
		e.tune(false) // nobody else asks
	}
	s := first.source.(*source)
	until(t, "nobody else asks", func() bool {
		asks := 0
		for _, e := range others {
			o := e.source.(*source)
			o.mu.Lock()
			if o.asks || o.reads {
				asks++
			}
			o.mu.Unlock()
		}
		return asks == 0
	})
	first.wire.Hold()
	time.Sleep(2 * first.onceBeat()) // it has asked by then
	first.tune(false)
	until(t, "it has lost the source", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return !s.reads
	})
	first.tune(true)
	first.wire.Release()
	until(t, "it has given up the lease", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.token != 0 {
			return false
		}
		if s.last {
			t.Error("it asks as the one that led last")
		}
		return true
	})
}
