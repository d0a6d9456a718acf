package hub_test

import (
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"poosh/server/hub"
	"poosh/server/hub/history"
)

// A follower is a broker whose log comes when the test says so.
type follower struct {
	hub.Broker // nothing is published or occupied

	mu    sync.Mutex // guards what follows
	then  []func(bool)
	asked int
}

func (f *follower) Follow(_ string, then func(bool)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.then = append(f.then, then)
	f.asked++
}

// come answers all that was asked, and returns how much that was.
func (f *follower) come(came bool) int {
	f.mu.Lock()
	list := f.then
	f.then = nil
	f.mu.Unlock()
	for _, then := range list {
		then(came)
	}
	return len(list)
}

// An ahead is a hub with places that others have come to.
type ahead struct {
	*hub.Hub
	t     *testing.T
	f     *follower
	log   *history.Log
	mu    sync.Mutex // guards order
	order []int      // of those who went on
}

const awaitApp = "app"

func newAhead(t *testing.T) *ahead {
	f, log := new(follower), history.New(history.Config{Age: time.Minute}, awaitApp, "other")
	log.Reach(awaitApp, hub.Position{Epoch: 7, Number: 5})
	log.Reach("other", hub.Position{Epoch: 7, Number: 5})
	return &ahead{Hub: hub.NewWith(f, log), t: t, f: f, log: log}
}

// wait has one wait for a number, and reports whether it may.
func (a *ahead) wait(who int, number uint64, from netip.Addr) bool {
	at := []hub.Position{{}, {Epoch: 7, Number: number}}
	return a.Ahead(awaitApp, at...) && a.Await(awaitApp, at, from, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.order = append(a.order, who)
	})
}

// went is who has gone on, in a bubble.
func (a *ahead) went(want ...int) {
	a.t.Helper()
	synctest.Wait()
	a.mu.Lock()
	defer a.mu.Unlock()
	if !slices.Equal(a.order, want) {
		a.t.Errorf("%v have gone on, want %v", a.order, want)
	}
	a.order = nil
}

// Who is ahead waits, and nobody else: not for what is no place, nor for one that no broker brings in time.
func TestAhead(t *testing.T) {
	a := newAhead(t)
	for _, at := range []hub.Position{{}, {Epoch: 7}, {Epoch: 7, Number: 5}, {Epoch: 7, Number: 6 + 1<<24},
		{Epoch: 1 << 50, Number: 6}, {Epoch: 7, Number: 1 << 50}} {
		if a.Ahead(awaitApp, at) {
			t.Errorf("%v is ahead", at)
		}
	}
	for _, at := range []hub.Position{{Epoch: 7, Number: 6}, {Epoch: 7, Number: 5 + 1<<24}, {Epoch: 8, Number: 1}} {
		if !a.Ahead(awaitApp, at) || !a.Ahead(awaitApp, hub.Position{Epoch: 7, Number: 1}, at) {
			t.Errorf("%v is not ahead", at)
		}
	}
	at := hub.Position{Epoch: 7, Number: 6}
	if alone := hub.NewWith(nil, a.log); alone.Ahead(awaitApp, at) || alone.Await(awaitApp, []hub.Position{at}, netip.Addr{}, func() {}) {
		t.Error("one waits where there is no other process")
	}
}

// Those who come while the broker is asked share the next question, unless this answer is theirs. All go on
// once, in order.
func TestAwait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, none := newAhead(t), netip.Addr{}
		for range 3 {
			var far []int
			for i := range 100 {
				number := uint64(6)
				if i > 0 && i%2 == 0 {
					number, far = 7, append(far, i)
				}
				if !a.wait(i, number, none) {
					t.Fatalf("%d does not wait", i)
				}
			}
			a.went()
			a.log.Reach(awaitApp, hub.Position{Epoch: 7, Number: 6})
			if n := a.f.come(true); n != 1 {
				t.Errorf("%d are asked for at once", n)
			}
			near := []int{0}
			for i := 1; i < 100; i += 2 {
				near = append(near, i)
			}
			a.went(near...)
			a.log.Reach(awaitApp, hub.Position{Epoch: 7, Number: 7})
			if n := a.f.come(true); n != 1 {
				t.Errorf("%d are asked for at once", n)
			}
			a.went(far...)
			if n := a.f.come(true); n != 0 {
				t.Errorf("%d are asked for when nobody waits", n)
			}
			a.log.Begin(awaitApp, hub.Position{Epoch: 7, Number: 5}) // anew
		}
		// Where it cannot be said nobody waits for it twice.
		for i := range 3 {
			a.wait(i, 6, none)
		}
		a.f.come(false)
		a.went(0, 1, 2)
		if a.wait(3, 6, none); a.f.come(false) != 1 {
			t.Error("the broker is not asked again")
		}
		a.went(3)
	})
}

// Whoever makes up places has the broker asked ten times a second, however often it tries, and who
// waits for one that there is goes on all the same.
func TestAwaitForNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, from := newAhead(t), netip.MustParseAddr("192.0.2.1")
		end := make(chan struct{})
		go func() { // which answers at once; ends with the test
			for {
				select {
				case <-end:
					return
				case <-time.After(time.Millisecond):
					a.f.come(true)
				}
			}
		}()
		for began := time.Now(); time.Since(began) < 10*time.Second; {
			told := make(chan struct{})
			at := []hub.Position{{Epoch: 7, Number: 1000}}
			if !a.Await(awaitApp, at, from, func() { close(told) }) {
				t.Fatal("it does not wait")
			}
			<-told
		}
		a.f.mu.Lock()
		asked := a.f.asked
		a.f.mu.Unlock()
		if asked < 10 || asked > 101 {
			t.Errorf("the broker was asked %d times in 10 s", asked)
		}
		a.wait(1, 6, netip.Addr{})
		a.log.Reach(awaitApp, hub.Position{Epoch: 7, Number: 6})
		time.Sleep(time.Second)
		a.went(1)
		close(end)
	})
}

// A network may be a fourth of those who wait, many strangers together leave something for one who comes
// from elsewhere, and those of one app something for another. All places are free again.
func TestAwaitShares(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAhead(t)
		network := func(n int) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, byte(n)}) }
		fill := func(from netip.Addr) (n int) {
			for a.wait(n, 6, from) {
				if n++; n > 4096 {
					t.Fatal("more wait than may")
				}
			}
			return n
		}
		for range 2 {
			if n := fill(network(1)); n != 1024 {
				t.Errorf("%d of one network may wait", n)
			}
			all := 1024
			for n := 2; n < 8; n++ {
				all += fill(network(n))
			}
			if all > 3584+4*8 || fill(netip.Addr{}) > 0 {
				t.Errorf("%d of many networks wait", all)
			}
			if n := fill(network(200)); n != 8 {
				t.Errorf("%d of another network may wait beside %d", n, all)
			}
			for n := 8; n < 100; n++ {
				all += fill(network(n))
			}
			if all > 4096 {
				t.Errorf("%d wait", all)
			}
			if waiting, refused := a.Awaiting(); waiting < all || refused < 100 {
				t.Errorf("%d wait, %d did not, as it says", waiting, refused)
			}
			other := []hub.Position{{Epoch: 7, Number: 6}}
			if !a.Await("other", other, network(1), func() {}) {
				t.Error("none may wait in another app")
			}
			for a.f.come(false) > 0 {
				synctest.Wait()
			}
			if waiting, _ := a.Awaiting(); waiting != 0 {
				t.Errorf("%d wait, as it says", waiting)
			}
			a.order = nil
		}
	})
}
