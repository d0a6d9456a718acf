package seldom

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestWord has a thing be said at once, and then once in a time, with how many were not.
func TestWord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w Word
		for i, row := range []struct {
			after  time.Duration
			unsaid int
			say    bool
		}{{0, 0, true}, {0, 0, false}, {59 * time.Second, 0, false}, {time.Second, 2, true}, {time.Second, 0, false}, {time.Hour, 1, true}, {time.Minute, 0, true}} {
			time.Sleep(row.after)
			if unsaid, say := w.May(time.Minute); unsaid != row.unsaid || say != row.say {
				t.Errorf("%d: %d, %v", i, unsaid, say)
			}
		}
	})
}
