package hub_test

import (
	"sync"
	"testing"
	"time"

	"poosh/server/hub"
	"poosh/server/hub/history"
)

// A follower is a broker whose log comes when the test says so.
type follower struct {
	hub.Broker // nothing is published or occupied

	mu   sync.Mutex // guards then
	then []func()
}

func (f *follower) Follow(_ string, then func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.then = append(f.then, then)
}

// come has all go on who wait.
func (f *follower) come() {
	f.mu.Lock()
	list := f.then
	f.then = nil
	f.mu.Unlock()
	for _, then := range list {
		then()
	}
}

// Who is ahead waits, each goes on once and in order, and no more wait than may. Nobody else does.
func TestAwait(t *testing.T) {
	const app = "app"
	f, log := new(follower), history.New(history.Config{Age: time.Minute}, app)
	h := hub.NewWith(f, log)
	log.Reach(app, hub.Position{Epoch: 7, Number: 5})
	for _, at := range []hub.Position{{}, {Epoch: 7}, {Epoch: 7, Number: 5}, {Epoch: 1 << 50, Number: 6}, {Epoch: 7, Number: 1 << 50}} {
		if h.Await(app, at, func() { t.Errorf("%v is called", at) }) {
			t.Errorf("%v waits", at)
		}
	}
	if hub.NewWith(nil, log).Await(app, hub.Position{Epoch: 7, Number: 6}, func() {}) {
		t.Error("one waits where there is no other process")
	}
	for range 2 { // all of them are free again
		came := make(chan int, 5000)
		n := 0
		for h.Await(app, hub.Position{Epoch: 7 + uint64(n%2), Number: 6}, func() { came <- n }) {
			if n++; n > 4096 {
				t.Fatal("more wait than may")
			}
		}
		if n != 4096 {
			t.Errorf("%d may wait", n)
		}
		f.come()
		for range n {
			<-came
		}
	}
	// One after the other, in order.
	came := make(chan int, 100)
	for i := range 100 {
		h.Await(app, hub.Position{Epoch: 7, Number: 6}, func() { came <- i })
	}
	f.come()
	for i := range 100 {
		if got := <-came; got != i {
			t.Fatalf("%d goes on in the place of %d", got, i)
		}
	}
}
