package attacks_test

import (
	"strings"
	"sync"
	"testing"
	"time"
)

// Each bound holds by itself; what all of them allow together fits where an operator
// has given each less. The sum is twice INPUT_BYTES, three times BACKLOG_BYTES (what
// leaves, what is stuck, what waits for polls) and ROOM_BYTES, and about half of the
// memory is for it.
func TestTogether(t *testing.T) {
	tryAll(t, plentyFiles, []attack{{
		name: "everything that holds memory", least: 2000, time: 6 * time.Second,
		settings: []string{"INPUT_BYTES=32MiB", "BACKLOG_BYTES=32MiB", "ROOM_BYTES=32MiB", largeScript(t)},
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
