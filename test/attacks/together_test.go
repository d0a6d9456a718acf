package attacks_test

import (
	"strings"
	"sync"
	"testing"
	"time"
)

// Each bound holds by itself; what all of them allow together must fit too.
func TestTogether(t *testing.T) {
	tryAll(t, plentyFiles, []attack{{
		name: "everything that holds memory", least: 2000, time: 6 * time.Second,
		run: func(a *assault) {
			var all sync.WaitGroup
			for _, attack := range []func(*assault){
				unfinishedFrames, unfinishedSends(strings.Repeat("5a", 20)), longRooms, unreadPolls, unreadScript,
				unreadPings(text("40/" + strings.Repeat("n", 400) + ",")),
			} {
				all.Go(func() { attack(a) }) // ends with a's time
			}
			all.Wait()
		},
	}})
}
