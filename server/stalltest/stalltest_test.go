package stalltest

import (
	"testing"
	"testing/synctest"
	"time"
)

// A process that runs all the time has not stood still, however long that is.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stalled := Watch(t)
		for range 100 {
			time.Sleep(17 * time.Millisecond)
			if d := stalled(); d != 0 {
				t.Fatalf("stalled for %v", d)
			}
		}
	})
}

// What it counts is of its own time: twice as much has not passed.
func TestWatchCountsOnce(t *testing.T) {
	began := time.Now()
	stalled := Watch(t)
	for time.Since(began) < 50*time.Millisecond {
		if d := stalled(); d > time.Since(began) {
			t.Fatalf("stalled for %v of %v", d, time.Since(began))
		}
	}
}
