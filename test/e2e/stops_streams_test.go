package e2e

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// stoppedStreams are the kinds that lose no time.
func stoppedStreams() []streamKind {
	return slices.DeleteFunc(streamKinds(), func(k streamKind) bool { return k.pause })
}

// stream is a client of GET /events that stays.
func (r *stopRound) stream(ready *sync.WaitGroup) {
	ready.Add(1)
	r.clients.Go(func() { // ends with its connection
		k := stoppedStreams()[rand.IntN(len(stoppedStreams()))]
		s, err := k.open(r.fourfold, "r")
		ready.Done()
		if err != nil {
			if r.synced {
				r.fault(fmt.Errorf("joining: %w", err))
			}
			return
		}
		defer s.Close()
		y := streamTally()
		y.late = !r.synced
		err = s.readToEnd(y, 2*stopWithin, "server shutdown")
		r.stay("/events, "+k.name, y, err)
	})
}

// visitStream is a stream that goes soon. What it hears must be in order; that it fails is no
// fault, the server may be gone.
func (r *stopRound) visitStream() error {
	k := stoppedStreams()[rand.IntN(len(stoppedStreams()))]
	s, err := k.open(r.fourfold, "r")
	if err != nil {
		return nil
	}
	defer s.Close()
	y := streamTally()
	y.late = true
	for end := time.Now().Add(rand.N(20 * time.Millisecond)); time.Now().Before(end); {
		name, data, err := s.nextEvent(time.Until(end))
		if err != nil {
			return nil
		}
		if name != "n" {
			continue
		}
		if err := y.take(data); err != nil {
			return fmt.Errorf("a visitor of /events, %s: %w", k.name, err)
		}
	}
	return nil
}
