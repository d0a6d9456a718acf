// Package seldom keeps what strangers, or an outage, may cause any number of times from filling the log.
package seldom

import (
	"sync"
	"time"
)

// A Word is something that is not said too often. The zero Word was never said. Its methods may be
// called from any goroutine.
type Word struct {
	mu     sync.Mutex // guards what follows
	said   time.Time
	unsaid int
}

// May reports whether it is time to say it, since that was not done for so long, and how many times it
// was not said since the last. Whoever is told so says it.
func (w *Word) May(every time.Duration) (unsaid int, say bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.said.IsZero() && time.Since(w.said) < every {
		w.unsaid++
		return 0, false
	}
	unsaid, w.unsaid, w.said = w.unsaid, 0, time.Now()
	return unsaid, true
}
