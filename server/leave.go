package server

import (
	"math/rand/v2"
	"time"

	"poosh/server/dialect"
)

// The widest spacing of clients that leave: a few are no herd, and need not take all of
// the time. With DRAIN_TIME somebody has asked for a slow end.
const (
	quickSpacing = 5 * time.Millisecond
	pacedSpacing = 50 * time.Millisecond
)

// leave sends all clients away over so much time, an eighth more if it must be, or less
// where they would be further apart than spacing. Dialects take nobody any more from its beginning. What it does not
// get done is left to their Shutdown.
func (s *Server) leave(over, spacing time.Duration) {
	var all []dialect.Leaver
	for _, d := range s.dialects {
		all = append(all, d.Leave()...)
	}
	all = append(all, s.passedLeavers()...)
	// In any order, so that each moment has its part of each dialect and app.
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	limit := over + over/8 // of what was given, so that few have more room for what is late
	over = min(over, time.Duration(len(all))*spacing)
	if len(all) > 0 {
		s.log.Info("clients leave", "clients", len(all), "over", over.Round(time.Millisecond))
	}
	if left := pace(all, over, limit); left > 0 {
		s.log.Warn("clients did not leave at the pace, and those that are left do at once: the processor is too busy", "clients", left)
	}
}

const (
	paceStep = 20 * time.Millisecond
	// paceCatchUp is how much faster than even the stream may become to make good what
	// was late: whoever takes these clients over is sized for the pace, and not for a
	// process that stood still and then hurries.
	paceCatchUp = 1.05
)

// pace has clients leave evenly over so much time, up to limit if it must be, and returns
// how many did not come to it.
func pace(all []dialect.Leaver, over, limit time.Duration) (left int) {
	began := time.Now()
	even := float64(len(all)) / max(over, paceStep).Seconds()
	tick := time.NewTicker(paceStep)
	defer tick.Stop()
	due := even * paceStep.Seconds() // of the first step
	for last := began; len(all) > 0; {
		n := min(int(due), len(all))
		for _, c := range all[:n] {
			c.Leave()
		}
		if all = all[n:]; len(all) == 0 {
			break
		}
		due -= float64(n)
		now := <-tick.C
		if now.Sub(began) > limit {
			break
		}
		remaining := max(over-now.Sub(began), paceStep).Seconds()
		due += min(float64(len(all))/remaining, paceCatchUp*even) * min(now.Sub(last), 2*paceStep).Seconds()
		last = now
	}
	return len(all)
}
