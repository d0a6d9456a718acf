package command

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Steps come in their order, one at a time, also where one keeps the turn beyond its
// goroutine.
func TestTurnInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var turn Turn
		if !turn.Try() || turn.Try() {
			t.Fatal("the turn is not had by one")
		}
		var mu sync.Mutex
		var did []int
		at := 0
		for n := range 20 {
			turn.Queue(func() {
				mu.Lock()
				defer mu.Unlock()
				if at++; at > 1 {
					t.Error("two have the turn")
				}
				did = append(did, n)
				pass := func() {
					mu.Lock()
					defer mu.Unlock()
					at--
					turn.Pass()
				}
				if n%3 == 0 {
					time.AfterFunc(time.Second, pass)
				} else {
					go pass()
				}
			})
		}
		synctest.Wait()
		mu.Lock()
		if len(did) > 0 {
			t.Error("a step came out of its turn")
		}
		mu.Unlock()
		turn.Pass()
		time.Sleep(time.Hour)
		mu.Lock()
		defer mu.Unlock()
		if !slices.Equal(did, numbers(0, 19)) {
			t.Errorf("did %v", did)
		}
		if !turn.Try() {
			t.Error("nobody has passed the turn on")
		}
	})
}

// A step that is left behind for a free turn is done, and not by who left it.
func TestTurnQueuedWhenFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var turn Turn
		done := false
		hold := make(chan struct{})
		turn.Queue(func() {
			<-hold
			done = true
			turn.Pass()
		})
		if turn.Try() {
			t.Error("the turn is taken already")
		}
		close(hold)
		synctest.Wait()
		if !done || !turn.Try() {
			t.Error("the step was not done")
		}
	})
}

func TestTurnRace(t *testing.T) {
	var turn Turn
	var all sync.WaitGroup
	n := 0 // guarded by the turn
	for i := range 8 {
		all.Go(func() {
			for range 2000 {
				switch {
				case i%3 == 0:
					turn.Wait()
					n++
					turn.Pass()
				case i%3 == 1 && turn.Try():
					n++
					turn.Pass()
				default:
					all.Add(1)
					turn.Queue(func() {
						defer all.Done()
						n++
						turn.Pass()
					})
				}
			}
		})
	}
	all.Wait()
	if n != 8*2000 {
		t.Errorf("%d steps", n)
	}
}

func BenchmarkTurn(b *testing.B) {
	var turn Turn
	b.ReportAllocs()
	for b.Loop() {
		turn.Try()
		turn.Pass()
	}
}
