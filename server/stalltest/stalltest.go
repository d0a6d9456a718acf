// Package stalltest measures, for tests that bound how long something takes, for how long
// their process did not run meanwhile: that is the machine's time, and not the server's.
// Only tests import it.
package stalltest

import (
	"sync/atomic"
	"testing"
	"time"
)

// tick is how often the clock is looked at. A look that is late by less is no stall.
const tick = 5 * time.Millisecond

// Watch looks at the clock until the test ends, and returns what tells by how much its looks
// came late in all since. That may be asked from any goroutine.
func Watch(t testing.TB) (stalled func() time.Duration) {
	var sum, last atomic.Int64 // in nanoseconds; last is since began
	began := time.Now()
	done, ended := make(chan struct{}), make(chan struct{})
	go func() { // ends with the test
		defer close(ended)
		clock := time.NewTimer(tick)
		defer clock.Stop()
		for {
			select {
			case <-done:
				return
			case <-clock.C:
			}
			now := time.Since(began)
			if late := now - time.Duration(last.Load()) - tick; late > tick {
				sum.Add(int64(late))
			}
			last.Store(int64(now))
			clock.Reset(tick)
		}
	}()
	t.Cleanup(func() {
		close(done)
		<-ended
	})
	return func() time.Duration {
		// Who asks may have come before the clock when both could not run.
		late := time.Since(began) - time.Duration(last.Load()) - tick
		if late < tick {
			late = 0
		}
		return time.Duration(sum.Load()) + late
	}
}
