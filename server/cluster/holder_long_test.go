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
	"poosh/server/presence/presencetest"
)

// Who has an id has it for as long as its connection is there, though the engine forgets what is not
// kept; and one that the engine has nothing of hears at its turn who was kicked.
func TestIDsAreKeptInTurns(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	cfg := config(t, at(redis.Addr))
	c := New(cfg)
	c.idLife = 4 * time.Second
	a, b := joinClaimant(t, "a", c), newClaimant(t, "b", cfg)
	all := ids(200)
	mine := a.must(1, all...)
	for began := time.Now(); time.Since(began) < 3*c.idLife; time.Sleep(100 * time.Millisecond) {
		if got := b.Claimant.Held(all...); strings.Contains(got, "false") {
			t.Fatalf("after %s: %s", time.Since(began), got)
		}
	}
	if had, err := b.Bar(1, time.Hour, all[0]); len(had) != 1 || err != nil {
		t.Errorf("barred %v, %v", had, err)
	}
	a.told(mine[:1], "2")
	redis.Do("DEL", a.key("h", all[1]))
	if _, err := b.Bar(1, time.Millisecond, all[1]); err != nil {
		t.Error(err)
	}
	a.told(mine[1:2], "2")
	a.told(mine[2:], "")
}

// A kick of who is cut off counts also when a successor came and went meanwhile, and a successor that
// has gone when nobody was kicked. Both hold for a node that was given up.
func TestSuccessorsOfIDs(t *testing.T) {
	for _, lease := range []time.Duration{time.Minute, 3 * time.Second} {
		t.Run(fmt.Sprint("lease ", lease), func(t *testing.T) {
			t.Parallel()
			redis := redistest.Start(t)
			cfg := config(t, at(redis.Addr))
			cfg.Timeout, cfg.Lease = time.Second, lease
			a, b, wire := claimants(t, cfg, redis.Addr)
			mine := b.must(1, "kicked", "followed", "both", "neither", "newer")
			wire.Cut()
			b.away(true)
			if lease < time.Minute {
				until(t, "the node is given up", func() bool { return len(a.Nodes()) == 1 })
				a.holds(false, "kicked", "followed", "both", "neither", "newer")
			}
			for id, before := range map[string]int64{"kicked": 1, "both": 1, "nobody's": 0, "other": 0, "newer": -1} {
				if _, err := a.Bar(before, time.Millisecond, id); err != nil {
					t.Fatal(err)
				}
			}
			for _, c := range a.must(2, "followed", "both") {
				a.Holder.Release(c)
			}
			a.Holder.Release(a.after("nobody's"))
			other := a.after("other")
			a.holds(false, "followed", "both", "nobody's")
			wire.Heal()
			for i, want := range []string{"2", "1", "2", "", ""} {
				b.Has("what is told of "+mine[i].ID, mine[i], want)
			}
			a.holds(true, "neither", "newer", "other")
			a.holds(false, "kicked", "followed", "both")
			if got := a.Told(other); got != "" {
				t.Errorf("who came after the bar was told %q", got)
			}
		})
	}
}

// after claims an id as soon as a bar is over.
func (k *claimant) after(id string) (claim *presence.Claim) {
	k.T.Helper()
	until(k.T, "the bar is over", func() (over bool) {
		var err error
		claim, err = k.Try(id, 1)
		return err == nil
	})
	return claim
}

// A bar of which nobody could be told whether it is up is not put up when the engine is back.
func TestBarsInDoubtComeToNothing(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	cfg := config(t, at(redis.Addr))
	cfg.Timeout = time.Second
	a, b, wire := claimants(t, cfg, redis.Addr)
	wire.Slow(300 * time.Millisecond)
	b.live()
	done := make(chan error, 1)
	b.Holder.Bar(presencetest.App, []string{"id"}, 0, time.Minute, func(_ map[string]int64, err error) { done <- err })
	h := &b.partition(presencetest.App, "id", false).holds
	b.asks("id")
	wire.Cut()
	if err := <-done; !errors.Is(err, presence.ErrAway) {
		t.Fatalf("a bar in doubt: %v", err)
	}
	one := a.Must("id", 1)
	wire.Slow(0)
	wire.Heal()
	b.away(false)
	b.live()
	b.Must("id2", 1)
	until(t, "nothing is under way", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.under == nil && len(h.queue) == 0
	})
	if redis.Do("EXISTS", a.key("b", "id")) != ":0" || a.Told(one) != "" {
		t.Errorf("it was put up; who came meanwhile was told %q", a.Told(one))
	}
}

// A bar that is over before its node hears that it was up is not put up again: who came behind it stays.
func TestBarThatIsOverIsNotPutUpAgain(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	cfg := config(t, at(redis.Addr))
	a, b := newClaimant(t, "a", cfg), newClaimant(t, "b", cfg)
	const wait = 300 * time.Millisecond
	if _, err := b.Bar(0, wait, "id"); err != nil {
		t.Fatal(err)
	}
	h, what := &b.partition(presencetest.App, "id", false).holds, presencetest.App+"\x00id"
	h.mu.Lock()
	bar := h.bars[what]
	h.mu.Unlock()
	one := a.after("id")
	bar.until = time.Now().Add(wait) // as if the answer came now: the node stood still
	h.mu.Lock()
	h.bars[what], h.afresh = bar, true
	h.mu.Unlock()
	h.wakeUp()
	until(t, "all is put up again", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return !h.afresh && h.under == nil && len(h.queue) == 0
	})
	if up := redis.Do("EXISTS", a.key("b", "id")); up != ":0" || a.Told(one) != "" {
		t.Errorf("the bar is there: %s; who came behind it was told %q", up, a.Told(one))
	}
}

// Whoever had an id was barred behind that, also where the engine's clock was set back in between, as by a failover: its node
// hears so when it is back, though the bar is over.
func TestBarBehindAClockSetBack(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	cfg := config(t, at(redis.Addr))
	cfg.Timeout = time.Second
	a, b, wire := claimants(t, cfg, redis.Addr)
	claim := b.Must("id", 1)
	h, what := &b.partition(presencetest.App, "id", false).holds, presencetest.App+"\x00id"
	h.mu.Lock()
	had := h.book[what]
	had.stamp = number(time.Now().Add(10 * time.Second).UnixMicro()) // as a clock ahead of this one gave it
	redis.Do("SET", b.key("h", "id"), b.Cluster.Name()+" "+had.number+" "+had.stamp+" 1")
	h.mu.Unlock()
	wire.Cut()
	b.away(true)
	for _, before := range []int64{0, 1000} { // as a kick does
		if _, err := a.Bar(before, time.Millisecond, "id"); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "the bar is over", func() bool { return redis.Do("EXISTS", a.key("b", "id")) == ":0" })
	wire.Heal()
	b.Has("what it is told", claim, "2")
	a.holds(false, "id")
}

// Who is barred in one batch with the next claim of the id is told that, and not that it was taken.
func TestBarredBeforeItIsTaken(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	cfg := config(t, at(redis.Addr))
	_, b, wire := claimants(t, cfg, redis.Addr)
	b.live()
	one, two := b.must(1, "id")[0], b.New("id", 2)
	wire.Slow(100 * time.Millisecond)
	bar := func(before int64, wait time.Duration) chan error {
		done := make(chan error, 1)
		b.Holder.Bar(presencetest.App, []string{"id"}, before, wait, func(_ map[string]int64, err error) { done <- err })
		return done
	}
	first := bar(-1, time.Millisecond) // which holds for nobody
	b.asks("id")
	second, claimed := bar(1, time.Hour), make(chan error, 1)
	b.Holder.Claim(two, func(err error) { claimed <- err })
	for _, done := range []chan error{first, second, claimed} {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	b.Has("what the one before is told", one, "2")
	if got := b.Told(two); got != "" {
		t.Errorf("the next one is told %q", got)
	}
}

// Of two bars of two nodes the later counts, also when the node of the earlier one puts it up again.
func TestLaterBarStays(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	cfg := config(t, at(redis.Addr))
	a, b, wire := claimants(t, cfg, redis.Addr)
	for _, bar := range []struct {
		by     *claimant
		before int64
	}{{b, 10}, {a, 20}} {
		if _, err := bar.by.Bar(bar.before, time.Hour, "id"); err != nil {
			t.Fatal(err)
		}
	}
	look := func(when string) {
		t.Helper()
		for made, want := range map[int64]error{15: presence.ErrBarred, 20: presence.ErrBarred, 21: nil} {
			claim, err := a.Try("id", made)
			if !errors.Is(err, want) {
				t.Errorf("%s: a token of %d: %v, want %v", when, made, err, want)
			} else if err == nil {
				a.Holder.Release(claim)
			}
		}
	}
	look("at first")
	putUp := func(k *claimant, again func()) {
		h := &k.partition(presencetest.App, "id", false).holds
		h.mu.Lock()
		link := h.link
		h.mu.Unlock()
		again()
		until(t, "bars are put up again", func() bool {
			h.mu.Lock()
			defer h.mu.Unlock()
			return h.link > link && h.under == nil && len(h.queue) == 0
		})
	}
	putUp(b, func() { wire.Cut(); wire.Heal() })
	look("after a cut")
	redis.Do("DEL", a.key("b", "id"))
	putUp(b, func() { wire.Cut(); wire.Heal() }) // the earlier one is there alone
	if _, err := a.Try("id", 10); !errors.Is(err, presence.ErrBarred) {
		t.Errorf("a bar that was forgotten is not put up again: %v", err)
	}
	h := &a.partition(presencetest.App, "id", false).holds
	h.mu.Lock()
	h.afresh = true
	h.mu.Unlock()
	until(t, "the later one counts again", func() bool {
		claim, err := b.Try("id", 15)
		if err == nil {
			b.Holder.Release(claim)
		}
		return errors.Is(err, presence.ErrBarred)
	})
}

// Bars that are over are forgotten, and then nobody says each second that the node is there.
func TestBarsAreForgotten(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	a := newClaimant(t, "a", config(t, at(redis.Addr)))
	if _, err := a.Bar(1, time.Millisecond, ids(50)...); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Bar(1, time.Hour, "lasting"); err != nil {
		t.Fatal(err)
	}
	until(t, "one bar is remembered", func() bool {
		n := 0
		for _, p := range a.rooms() {
			p.holds.mu.Lock()
			n += len(p.holds.bars)
			p.holds.mu.Unlock()
		}
		return n == 1
	})
}

// An engine that takes nothing has a line in the log, and not one for each claim; who claims is
// answered; and what was had and given up meanwhile is so when it takes something again.
func TestEngineTakesNoIDs(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	cfg := config(t, at(redis.Addr))
	a := newClaimant(t, "a", cfg)
	mine := a.must(1, ids(20)...)
	redis.Do("CONFIG", "SET", "maxmemory", "1")
	for i := range 20 {
		if _, err := a.Try("x", int64(i)); !errors.Is(err, presence.ErrAway) {
			t.Fatalf("a claim: %v", err)
		}
		if i == 0 {
			a.Holder.Release(mine[19])
		}
		for range 20 {
			a.Holder.Claim(&presence.Claim{App: presencetest.App, ID: "x", Made: 1, Lost: func(presence.Lost) {}}, func(error) {})
		}
		if i == 3 {
			break
		}
	}
	if n := strings.Count(a.log.String(), "takes nothing about ids"); n < 1 || n > len(a.rooms()) {
		t.Errorf("%d lines in the log", n)
	}
	redis.Do("CONFIG", "SET", "maxmemory", "0")
	a.holds(false, mine[19].ID)
	a.must(2, "x")
	a.told(mine, "")
	a.holds(true, ids(19)...)
}
