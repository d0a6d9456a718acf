package presencetest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"poosh/server/hub"
	"poosh/server/presence"
)

// A HolderProcess is one of two that an engine joins, as [RunHolder] looks at it. Its hub has the
// engine's broker, and keeps nothing.
type HolderProcess struct {
	Hub    *hub.Hub
	Holder presence.Holder
}

// RunHolder has two processes pass all cases of what a holder promises. two makes a pair that
// nobody has used, or whose ids are nobody's.
func RunHolder(t *testing.T, two func(t *testing.T) (a, b HolderProcess)) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, a, b *Claimant)
	}{
		{"the last that asks has it", testTaken},
		{"within one process too", testTakenAtHome},
		{"what is released is nobody's", testReleased},
		{"a bar takes ids and keeps them", testBar},
		{"a bar ends", testBarEnds},
		{"who is barred as it claims is told", testBarAtOnce},
		{"who claims gets all that comes behind the answer and nothing before", testClaimFence},
		{"many claim at once", testClaimants},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := two(t)
			c.run(t, &Claimant{HolderProcess: a, T: t, Name: "a"}, &Claimant{HolderProcess: b, T: t, Name: "b"})
		})
	}
}

// A Claimant claims ids for one process, and notes what it is told of them.
type Claimant struct {
	HolderProcess
	T    *testing.T
	Name string

	mu   sync.Mutex // guards what follows
	lost map[*presence.Claim][]presence.Lost
}

// Try claims an id with a token of a time, and waits for the answer.
func (c *Claimant) Try(id string, made int64) (*presence.Claim, error) {
	c.T.Helper()
	claim := c.New(id, made)
	done := make(chan error, 2)
	c.Holder.Claim(claim, func(err error) { done <- err })
	select {
	case err := <-done:
		return claim, err
	case <-time.After(patience):
		c.T.Fatalf("%s: no answer to a claim of %s within %s", c.Name, id, patience)
		return nil, nil
	}
}

// New makes a claim, and notes what is told of it.
func (c *Claimant) New(id string, made int64) *presence.Claim {
	claim := &presence.Claim{App: App, ID: id, Made: made}
	claim.Lost = func(why presence.Lost) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.lost == nil {
			c.lost = make(map[*presence.Claim][]presence.Lost)
		}
		c.lost[claim] = append(c.lost[claim], why)
	}
	return claim
}

// Must is Try for when nothing is wrong.
func (c *Claimant) Must(id string, made int64) *presence.Claim {
	c.T.Helper()
	claim, err := c.Try(id, made)
	if err != nil {
		c.T.Fatalf("%s claims %s: %v", c.Name, id, err)
	}
	return claim
}

// Told is what it was told of a claim: "" that it still has it, "1" that it was [presence.Taken],
// "2" that it was [presence.Barred].
func (c *Claimant) Told(claim *presence.Claim) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Trim(fmt.Sprint(c.lost[claim]), "[]")
}

// Has polls until that is what it was told.
func (c *Claimant) Has(what string, claim *presence.Claim, want string) {
	c.T.Helper()
	soon(c.T, what, want, func() any { return c.Told(claim) })
}

// Held asks who has ids.
func (c *Claimant) Held(ids ...string) string {
	there, err := c.Holder.Held(c.T.Context(), App, ids)
	return fmt.Sprint(there, err)
}

// Bar bars ids, and returns who had them.
func (c *Claimant) Bar(before int64, wait time.Duration, ids ...string) (had map[string]int64, err error) {
	c.T.Helper()
	done := make(chan struct{})
	c.Holder.Bar(App, ids, before, wait, func(h map[string]int64, e error) { had, err = h, e; close(done) })
	await(c.T, "the answer to a bar", done)
	return had, err
}

func testTaken(t *testing.T, a, b *Claimant) {
	one := a.Must("id", 1)
	two := b.Must("id", 2)
	a.Has("what the first is told", one, "1")
	a.Holder.Release(one) // which it has lost
	soon(t, "who has ids", "[true false] <nil>", func() any { return a.Held("id", "other") })
	three := a.Must("id", 1) // the time of a token decides nothing
	b.Has("what the second is told", two, "1")
	if a.Told(one) != "1" || a.Told(three) != "" {
		t.Errorf("the first was told %q, the third %q", a.Told(one), a.Told(three))
	}
}

func testTakenAtHome(t *testing.T, a, b *Claimant) {
	one := a.Must("id", 1)
	two := a.Must("id", 2)
	if got := a.Told(one); got != "1" {
		t.Errorf("the first was told %q before the second had its answer", got)
	}
	a.Holder.Release(one)
	a.Must("other", 1) // behind that
	soon(t, "who has the id", "[true] <nil>", func() any { return b.Held("id") })
	if got := a.Told(two); got != "" {
		t.Errorf("the second was told %q", got)
	}
}

func testReleased(t *testing.T, a, b *Claimant) {
	one := a.Must("id", 1)
	a.Holder.Release(one)
	a.Holder.Release(one)
	soon(t, "who has the id", "[false] <nil>", func() any { return b.Held("id") })
	if had, err := b.Bar(0, time.Millisecond, "id"); len(had) != 0 || err != nil {
		t.Errorf("barred %v, %v", had, err)
	}
	if got := a.Told(one); got != "" {
		t.Errorf("who released it was told %q", got)
	}
}

func testBar(t *testing.T, a, b *Claimant) {
	one, other := a.Must("id", 5), b.Must("other", 5)
	if had, err := b.Bar(4, time.Hour, "id", "nobody's"); len(had) != 0 || err != nil {
		t.Errorf("barred %v, %v", had, err)
	}
	if got := a.Told(one); got != "" {
		t.Errorf("a newer one was told %q", got)
	}
	if _, err := b.Try("nobody's", 4); !errors.Is(err, presence.ErrBarred) {
		t.Errorf("an old one: %v", err)
	}
	b.Must("nobody's", 5)
	if had, err := b.Bar(5, time.Hour, "id"); fmt.Sprint(had) != "map[id:5]" || err != nil {
		t.Errorf("barred %v, %v", had, err)
	}
	a.Has("what it is told", one, "2")
	a.Holder.Release(one)
	if _, err := a.Try("id", 5); !errors.Is(err, presence.ErrBarred) {
		t.Errorf("an old one: %v", err)
	}
	six := a.Must("id", 6)
	if had, err := a.Bar(0, time.Hour, "id"); fmt.Sprint(had) != "map[id:6]" || err != nil { // any
		t.Errorf("barred %v, %v", had, err)
	}
	a.Has("what it is told", six, "2")
	if _, err := b.Try("id", 1<<50); !errors.Is(err, presence.ErrBarred) {
		t.Errorf("any: %v", err)
	}
	soon(t, "who has ids", "[false true true] <nil>", func() any { return a.Held("id", "other", "nobody's") })
	if a.Told(one) != "2" || b.Told(other) != "" {
		t.Errorf("told %q and %q", a.Told(one), b.Told(other))
	}
}

// testBarAtOnce: a claim and a bar that are asked for at the same moment may be one question to the engine.
func testBarAtOnce(t *testing.T, a, b *Claimant) {
	for i := range 20 {
		id := fmt.Sprint("id", i)
		claim, answered, barred := a.New(id, 1), make(chan error, 1), make(chan error, 1)
		a.Holder.Claim(claim, func(err error) { answered <- err })
		a.Holder.Bar(App, []string{id}, 1, time.Hour, func(_ map[string]int64, err error) { barred <- err })
		for _, answer := range []chan error{answered, barred} {
			select {
			case err := <-answer:
				if errors.Is(err, presence.ErrBarred) {
					claim = nil
				} else if err != nil {
					t.Fatal(err)
				}
			case <-time.After(patience):
				t.Fatalf("no answer within %s", patience)
			}
		}
		if claim != nil {
			a.Has("what it is told", claim, "2")
		}
		soon(t, "who has the id", "[false] <nil>", func() any { return b.Held(id) })
	}
}

func testBarEnds(t *testing.T, a, b *Claimant) {
	began := time.Now()
	const wait = 500 * time.Millisecond
	if _, err := a.Bar(0, wait, "id"); err != nil {
		t.Fatal(err)
	}
	for {
		_, err := b.Try("id", 1)
		if err == nil {
			break
		}
		if !errors.Is(err, presence.ErrBarred) || time.Since(began) > patience {
			t.Fatalf("after %s: %v", time.Since(began), err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	if took := time.Since(began); took < wait-50*time.Millisecond {
		t.Errorf("it ended after %s, want %s", took, wait)
	}
}

func testClaimFence(t *testing.T, a, b *Claimant) {
	const id = "id"
	n := 0
	send := func() {
		n++
		done := make(chan struct{})
		b.Hub.Send(&hub.Publication{App: App, Room: id, Event: fmt.Sprint(n)}, func(h hub.Handed) {
			if h.Err != nil {
				t.Errorf("send: %v", h.Err)
			}
			close(done)
		})
		await(t, "a send to be over", done)
	}
	for range 20 {
		send()
		before := n
		who := &ear{}
		answered := make(chan error, 1)
		claim := a.New(id, 1)
		a.Holder.Claim(claim, func(err error) {
			who.sub = a.Hub.Register(App, "s", 1, names{}, who)
			answered <- errors.Join(err, a.Hub.Join(who.sub, id, []byte("welcome")))
		})
		for waiting := true; waiting; {
			select {
			case err := <-answered:
				if err != nil {
					t.Fatal(err)
				}
				waiting = false
			default:
				send()
			}
		}
		send()
		last := fmt.Sprint(n)
		soon(t, "the last event", true, func() any { return strings.HasSuffix(" "+who.heard(), " "+last) })
		got := strings.Fields(who.heard())
		if got[0] != "welcome" {
			t.Fatalf("%q came before the answer", got)
		}
		first := n - len(got) + 2
		for i, g := range got[1:] {
			if g != fmt.Sprint(first+i) {
				t.Fatalf("%q with %d sent", got, n)
			}
		}
		if first <= before {
			t.Errorf("%q came, though %d were sent before it asked", got, before)
		}
		a.Hub.Unregister(who.sub)
		a.Holder.Release(claim)
	}
}

func testClaimants(t *testing.T, a, b *Claimant) {
	const ids, each, rounds = 5, 4, 40
	var all sync.WaitGroup
	var mu sync.Mutex // guards what follows
	owner := make(map[*presence.Claim]*Claimant)
	for _, c := range []*Claimant{a, b} {
		for w := range each {
			all.Go(func() { // ends by itself
				for i := range rounds {
					claim := c.New(fmt.Sprint((i*7+w)%ids), 1)
					done := make(chan error, 1)
					c.Holder.Claim(claim, func(err error) { done <- err })
					select {
					case err := <-done:
						if err != nil {
							t.Errorf("claim: %v", err)
							return
						}
					case <-time.After(patience):
						t.Error("a claim is not answered")
						return
					}
					mu.Lock()
					owner[claim] = c
					mu.Unlock()
				}
			})
		}
	}
	all.Wait()
	left := func() any {
		n := make(map[string]int)
		for claim, c := range owner {
			if c.Told(claim) == "" {
				n[claim.ID]++
			}
		}
		return fmt.Sprint(n)
	}
	soon(t, "who has ids", "map[0:1 1:1 2:1 3:1 4:1]", left)
	for claim, c := range owner {
		if told := c.Told(claim); told != "" && told != "1" {
			t.Errorf("%s was told %s", c.Name, told)
		} else if told == "" {
			c.Holder.Release(claim)
		}
	}
	soon(t, "who has ids", "[false false false false false] <nil>", func() any { return a.Held("0", "1", "2", "3", "4") })
}
