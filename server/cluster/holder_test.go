//go:build unix

package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"poosh/server/cluster/redistest"
	"poosh/server/hub"
	"poosh/server/presence"
	"poosh/server/presence/presencetest"
)

// A claimant is a node with a hub, where ids are claimed.
type claimant struct {
	presencetest.Claimant
	*process
	heard atomic.Pointer[func(*hub.Publication)] // is told what is to be delivered, before it is
}

func newClaimant(t *testing.T, name string, cfg Config) *claimant {
	t.Helper()
	return joinClaimant(t, name, New(cfg))
}

func joinClaimant(t *testing.T, name string, c *Cluster) *claimant {
	t.Helper()
	h := hub.NewWith(c, nil)
	p := &process{Cluster: c, t: t, log: &logged{}}
	k := &claimant{process: p}
	deliver := func(pub *hub.Publication, at hub.Position) int {
		if f := k.heard.Load(); f != nil {
			(*f)(pub)
		}
		return h.DeliverAt(pub, at)
	}
	opt := Options{Log: slog.New(slog.NewTextHandler(p.log, nil)), Deliver: deliver, Missed: func(string, string, bool, hub.Position) {}}
	if err := c.Join(t.Context(), opt); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = c.Close(ctx)
	})
	k.HolderProcess, k.T, k.Name = presencetest.HolderProcess{Hub: h, Holder: c}, t, name
	return k
}

// claimants are two nodes, the second over a wire that can be cut.
func claimants(t *testing.T, cfg Config, addr string) (a, b *claimant, wire *redistest.Wire) {
	t.Helper()
	far, wire := wired(t, cfg, addr)
	return newClaimant(t, "a", cfg), newClaimant(t, "b", far), wire
}

// What any holder promises, on Redis and on a Redis Cluster of three.
func TestHolder(t *testing.T) {
	run := func(t *testing.T, url string) {
		presencetest.RunHolder(t, func(t *testing.T) (a, b presencetest.HolderProcess) {
			cfg := config(t, url)
			return newClaimant(t, "a", cfg).HolderProcess, newClaimant(t, "b", cfg).HolderProcess
		})
	}
	t.Run("Redis", func(t *testing.T) { t.Parallel(); run(t, at(redistest.Start(t).Addr)) })
	t.Run("Redis Cluster", func(t *testing.T) {
		t.Parallel()
		var addrs []string
		for _, s := range redistest.Cluster(t) {
			addrs = append(addrs, s.Addr)
		}
		run(t, at(strings.Join(addrs, ",")))
	})
}

// ids are some in all partitions.
func ids(n int) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprint("id", i))
	}
	return list
}

// must claims ids at a claimant.
func (k *claimant) must(made int64, ids ...string) (list []*presence.Claim) {
	k.T.Helper()
	for _, id := range ids {
		list = append(list, k.Must(id, made))
	}
	return list
}

// told waits until all claims were told the same.
func (k *claimant) told(claims []*presence.Claim, want string) {
	k.T.Helper()
	for _, c := range claims {
		k.Has("what "+k.Claimant.Name+" is told of "+c.ID, c, want)
	}
}

// holds waits until all ids are somebody's, or none is.
func (k *claimant) holds(there bool, ids ...string) {
	k.T.Helper()
	until(k.T, fmt.Sprintf("all of %d ids are held: %v", len(ids), there), func() bool {
		got, err := k.Holder.Held(k.T.Context(), presencetest.App, ids)
		return err == nil && len(got) == len(ids) && !slices.Contains(got, !there)
	})
}

// asks waits until something about an id is on its way to the engine.
func (k *claimant) asks(id string) {
	k.T.Helper()
	h := &k.partition(presencetest.App, id, false).holds
	until(k.T, "it is under way", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.under != nil && len(h.under.list) > 0
	})
}

// key is what the engine has of an id under a letter, see hold.lua.
func (k *claimant) key(letter, id string) string {
	return string(k.partition(presencetest.App, id, false).tag) + ":" + letter + ":" + presencetest.App + "\x00" + id
}

// The ids of a node that is killed are free when its lease is over, and somebody else cleans up.
func TestNodeWithIDsDies(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	cfg := config(t, at(redis.Addr))
	cfg.Lease, cfg.Timeout = 3*time.Second, time.Second
	a, b, wire := claimants(t, cfg, redis.Addr)
	all := ids(40)
	b.must(1, all...)
	a.holds(true, all...)
	wire.Cut() // for good: as a node that is gone
	began := time.Now()
	a.holds(false, all...)
	if took := time.Since(began); took > cfg.Lease+10*time.Second {
		t.Errorf("it took %s", took)
	}
	if had, err := a.Bar(0, time.Minute, all[0]); len(had) != 0 || err != nil {
		t.Errorf("of a dead node %v, %v", had, err)
	}
	until(t, "nothing is left of it for longer than an hour", func() bool {
		left := 0
		for _, p := range a.rooms() {
			if redis.Do("EXISTS", string(p.tag)+":H:"+b.Cluster.Name()) != ":0" {
				left++
			}
		}
		for _, id := range all[1:] {
			if seconds, _ := strconv.Atoi(strings.Trim(redis.Do("TTL", a.key("h", id)), ":\r\n")); seconds < 1 || seconds > 3600 {
				left++
			}
		}
		return left == 0
	})
}

// A node that was cut off keeps what it has, and is told when it is back of what was taken and barred
// meanwhile: also if the others had given it up.
func TestCutOffWithIDs(t *testing.T) {
	for _, givenUp := range []bool{false, true} {
		t.Run(fmt.Sprint("given up ", givenUp), func(t *testing.T) {
			t.Parallel()
			redis := redistest.Start(t)
			cfg := config(t, at(redis.Addr))
			cfg.Timeout = time.Second
			if givenUp {
				cfg.Lease = 3 * time.Second
			}
			a, b, wire := claimants(t, cfg, redis.Addr)
			all := ids(30)
			mine := b.must(1, all...)
			wire.Cut()
			b.away(true)
			until(t, "claims are refused", func() bool { _, err := b.Try("more", 1); return errors.Is(err, presence.ErrAway) })
			began := time.Now()
			for range 100 {
				if _, err := b.Try("more", 1); !errors.Is(err, presence.ErrAway) {
					t.Fatalf("while the engine is away: %v", err)
				}
			}
			if took := time.Since(began); took > cfg.Timeout {
				t.Errorf("100 refusals took %s", took)
			}
			if _, err := b.Bar(0, time.Minute, "id0"); !errors.Is(err, presence.ErrAway) {
				t.Errorf("a bar while the engine is away: %v", err)
			}
			if _, err := b.Holder.Held(t.Context(), presencetest.App, all); !errors.Is(err, presence.ErrAway) {
				t.Errorf("a question while the engine is away: %v", err)
			}
			b.Holder.Release(mine[29])
			if givenUp {
				until(t, "the node is given up", func() bool { return len(a.Nodes()) == 1 })
				a.holds(false, all...)
			}
			theirs := a.must(1, all[:10]...)
			if had, err := a.Bar(1, 100*time.Millisecond, all[10:15]...); err != nil || len(had) != 0 && givenUp || len(had) != 5 && !givenUp {
				t.Errorf("barred %v, %v", had, err)
			}
			time.Sleep(200 * time.Millisecond) // the bar is over before anybody is back
			for _, c := range mine {
				if got := b.Told(c); got != "" {
					t.Fatalf("who cannot be reached was told %q", got)
				}
			}
			wire.Heal()
			b.told(mine[:10], "1")
			b.told(mine[10:15], "2")
			b.told(mine[15:], "")
			a.holds(true, all[15:29]...)
			a.holds(false, all[29])
			a.told(theirs, "")
			a.must(2, all[15:29]...)
			b.told(mine[15:29], "1")
		})
	}
}

// Who was taken or barred while its node was cut off is told so before it could be handed what is for its
// successor.
func TestMailOfSuccessors(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	cfg := config(t, at(redis.Addr))
	cfg.Timeout = time.Second
	a, b, wire := claimants(t, cfg, redis.Addr)
	all := ids(40)
	mine := b.must(1, all...)
	for _, id := range all {
		seated := make(chan error, 1)
		b.Fence(presencetest.App, id, false, func(_ hub.Position, err error) {
			b.Occupied(presencetest.App, id, false)
			seated <- err
		})
		if err := <-seated; err != nil {
			t.Fatal(err)
		}
	}
	told := make(chan string, len(all))
	heard := func(pub *hub.Publication) { told <- pub.Room + " " + b.Told(mine[slices.Index(all, pub.Room)]) }
	b.heard.Store(&heard)
	wire.Cut()
	b.away(true)
	a.must(1, all[:20]...)
	if _, err := a.Bar(1, time.Millisecond, all[20:30]...); err != nil {
		t.Fatal(err)
	}
	var want []string
	for i, id := range all {
		sent := make(chan hub.Handed, 1)
		a.Publish(&hub.Publication{App: presencetest.App, Room: id, Event: "e", Data: []byte("1")}, func(h hub.Handed) { sent <- h })
		if h := <-sent; h.Err != nil {
			t.Fatal(h.Err)
		}
		want = append(want, id+" "+[]string{"1", "1", "2", ""}[i/10])
	}
	wire.Heal()
	var got []string
	for range all {
		select {
		case text := <-told:
			got = append(got, text)
		case <-time.After(time.Minute):
			t.Fatalf("%d of %d messages came: %q", len(got), len(all), got)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("messages, and what who had the id had been told before: %q, want %q", got, want)
	}
}

// An engine that forgets everything is told again who has what, and what is barred.
func TestEngineForgetsIDs(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	cfg := config(t, at(redis.Addr))
	a, b := newClaimant(t, "a", cfg), newClaimant(t, "b", cfg)
	all := ids(60)
	first := a.must(1, all...)
	second := b.must(1, all[:20]...)
	a.told(first[:20], "1")
	if had, err := a.Bar(1, time.Hour, "barred", all[59]); fmt.Sprint(had) != "map[id59:1]" || err != nil {
		t.Fatalf("barred %v, %v", had, err)
	}
	a.told(first[59:], "2")
	redis.Do("FLUSHALL")
	a.holds(true, all[:59]...)
	until(t, "bars are put up again", func() bool {
		_, one := b.Try("barred", 1)
		_, two := b.Try(all[59], 1)
		return errors.Is(one, presence.ErrBarred) && errors.Is(two, presence.ErrBarred)
	})
	b.told(second, "")
	a.told(first[20:59], "")
	b.must(2, all...)
	a.told(first[20:59], "1")
}

// Claims that are under way as the cable is cut are answered in time, and what was answered is so.
func TestCutWhileIDsAreClaimed(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	cfg := config(t, at(redis.Addr))
	a, b, wire := claimants(t, cfg, redis.Addr)
	var over atomic.Bool
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for !over.Load() {
			time.Sleep(30 * time.Millisecond)
			wire.Cut()
			wire.Heal()
		}
	}()
	t.Cleanup(func() { over.Store(true); <-ended })
	last := make(map[string]*presence.Claim)
	from := make(map[string]*claimant)
	good := 0
	for i := range 150 {
		k, id := b, fmt.Sprint("id", i%7)
		if i%3 == 0 {
			k = a
		}
		claim, err := k.Try(id, 1)
		switch {
		case err == nil:
			last[id], from[id] = claim, k
			good++
		case !errors.Is(err, presence.ErrAway):
			t.Fatal(err)
		default: // it may have been taken for a moment
			delete(last, id)
		}
	}
	over.Store(true)
	<-ended
	if good < 50 { // a's alone are as many
		t.Errorf("%d of 150 claims were good", good)
	}
	b.live()
	for id, claim := range last {
		from[id].Has("what is told of the last", claim, "")
		from[id].Holder.Release(claim)
	}
	a.holds(false, ids(7)...)
}

// What was done and whose answer was lost with the cable is not done again.
func TestAnswerAboutIDsIsLost(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	cfg := config(t, at(redis.Addr))
	a, b, wire := claimants(t, cfg, redis.Addr)
	wire.Slow(5 * time.Millisecond)
	for i := range 40 {
		id := fmt.Sprint("id", i)
		a.must(1, id)
		b.live()
		done := make(chan string, 1)
		b.Holder.Bar(presencetest.App, []string{id}, 1, time.Hour, func(had map[string]int64, err error) { done <- fmt.Sprint(had, err) })
		time.Sleep(time.Duration(i%10) * time.Millisecond)
		wire.Cut()
		wire.Heal()
		if got, want := <-done, fmt.Sprint(map[string]int64{id: 1}, error(nil)); got != want {
			t.Fatalf("round %d: barred %s, want %s", i, got, want)
		}
	}
}

// A primary that is killed, and the replica that takes over: ids stay whose they were.
func TestIDsOverFailover(t *testing.T) {
	t.Parallel()
	primary, _, sentinels := redistest.Sentinel(t)
	var addrs []string
	for _, s := range sentinels {
		addrs = append(addrs, s.Addr)
	}
	cfg := config(t, "redis-sentinel://"+strings.Join(addrs, ",")+"/"+redistest.Master)
	a, b := newClaimant(t, "a", cfg), newClaimant(t, "b", cfg)
	all := ids(40)
	mine, theirs := a.must(1, all[:20]...), b.must(1, all[20:]...)
	primary.Kill()
	a.away(true)
	a.away(false)
	b.away(false)
	a.live()
	b.live()
	a.holds(true, all...)
	a.told(mine, "")
	b.told(theirs, "")
	b.must(1, all[:20]...)
	a.told(mine, "1")
}
