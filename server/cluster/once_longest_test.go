//go:build unix

package cluster

import (
	"context"
	"slices"
	"testing"
	"time"

	"poosh/server/cluster/redistest"
)

// reads waits until a node knows since when it reads, and so does the engine.
func (e *ear) reads() {
	e.t.Helper()
	s := e.source.(*source)
	until(e.t, "the node knows since when it reads", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.whole.from != 0
	})
	until(e.t, "the node has said so", e.asked())
}

// asked reports that a node has begun and ended to ask for the lease since.
func (e *ear) asked() func() bool {
	s := e.source.(*source)
	s.mu.Lock()
	since := s.whole.got
	s.mu.Unlock()
	return func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.whole.got.After(since)
	}
}

// another adds a node with a wire of its own.
func (r *radio) another(t *testing.T, cfg Config, addr string) *ear {
	wire := redistest.NewWire(t, addr)
	cfg.Redis, _ = ParseEngine(at(wire.Addr))
	return r.listen(t, cfg, wire)
}

// TestOnceLongestGoesOn: who leads dies at its start, before others can know whether they lack anything. The one that has
// read for longest goes on, whichever asks first.
func TestOnceLongestGoesOn(t *testing.T) {
	redis := redistest.Start(t)
	r, cfg := new(radio), onceConfig(t, redis.Addr)
	cfg.Lease = 4 * time.Second
	first := r.another(t, cfg, redis.Addr)
	leader(t, first)
	s := first.source.(*source)
	until(t, "it has begun everywhere", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return !slices.ContainsFunc(s.tapes[:], func(p *tape) bool { return p.begun == 0 })
	})
	first.stand(true) // it says nothing of what it has taken
	old := r.another(t, cfg, redis.Addr)
	old.enter("a")
	old.reads()
	r.say("a:0", "a:1")
	young := r.another(t, cfg, redis.Addr) // it knows where it stands everywhere, and so waits for half as long
	young.reads()
	first.wire.Cut()
	first.tune(false)
	leader(t, old, young)
	r.say("a:2")
	old.wantIn("a", numbered(0, 2))
}

// TestOnceLeaderBehind: who leads is behind in reading, and so says that all is taken that another node lacks; and dies. The
// one that has it goes on, though it asks later.
func TestOnceLeaderBehind(t *testing.T) {
	redis := redistest.Start(t)
	r, cfg := new(radio), onceConfig(t, redis.Addr)
	cfg.Lease = 4 * time.Second
	first := r.another(t, cfg, redis.Addr)
	leader(t, first)
	old := r.another(t, cfg, redis.Addr)
	old.enter("a")
	whole(t, old)
	first.mu.Lock()
	first.paused = true // but it talks to the engine
	first.mu.Unlock()
	r.say("a:0", "a:1")
	young := r.another(t, cfg, redis.Addr)
	whole(t, young)
	young.reads()
	old.wire.Slow(200 * time.Millisecond)
	first.wire.Cut()
	first.tune(false)
	leader(t, old, young)
	old.wire.Slow(0)
	r.say("a:2")
	old.wantIn("a", numbered(0, 2))
}

// TestOnceNobodyWaitsForWhoEnds: the node that has read for longest ends, or loses the source, and then who leads does. The
// next one goes on at once, and not when a lease is over.
func TestOnceNobodyWaitsForWhoEnds(t *testing.T) {
	for name, end := range map[string]func(e *ear){
		"ends": func(e *ear) {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			e.source.Stop(ctx)
		},
		"loses the source": func(e *ear) { e.tune(false) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			redis := redistest.Start(t)
			r, cfg := new(radio), config(t, at(redis.Addr))
			cfg.Lease = 10 * time.Minute // nobody can wait for that here
			first := r.another(t, cfg, redis.Addr)
			leader(t, first)
			old := r.another(t, cfg, redis.Addr)
			old.reads()
			young := r.another(t, cfg, redis.Addr)
			whole(t, young)
			end(old)
			first.source.Resign()
			until(t, "the next one goes on", young.source.Leads)
		})
	}
}

// TestOnceLongestNeverGoesOn: the node that has read for longest asks, and yet never goes on, as its answers come too late each
// time. The others do not wait for it for ever.
func TestOnceLongestNeverGoesOn(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	r, cfg := new(radio), onceConfig(t, redis.Addr)
	first := r.another(t, cfg, redis.Addr)
	leader(t, first)
	r.another(t, cfg, redis.Addr).tune(false) // who is alone waits for nobody
	young := r.another(t, cfg, redis.Addr)
	whole(t, young)
	redis.Do("SET", first.source.(*source).key+":asks", "another 1", "PX", "600000")
	first.wire.Cut()
	first.tune(false)
	until(t, "the next one goes on", young.source.Leads)
}
