package poosh

import (
	"sync/atomic"

	"poosh/server/hub"
	"poosh/server/metric"
)

// recoveries counts what became of what clients asked for, and what they were given.
type recoveries struct {
	whole, not atomic.Uint64
	events     atomic.Uint64
}

// count counts an answer. It is called while nothing is published, so it does no more.
func (n *recoveries) count(w *wish, r hub.Recovery) {
	switch {
	case !w.missed:
	case r.Whole:
		n.whole.Add(1)
	default:
		n.not.Add(1)
	}
	n.events.Add(uint64(r.Missed))
}

func (n *recoveries) readings() []metric.Reading {
	return []metric.Reading{
		metric.Counters("recoveries", "recoveries_total", "Times that a client on CLIENT_PORT, of socket.io or of GET /events, asked for what it missed, by whether it was given all of it.", "outcome",
			[]metric.Sample{metric.Of(n.whole.Load(), "recovered"), metric.Of(n.not.Load(), "not_recovered")}),
		metric.Counter("", "replayed_total", "Events that these clients were given that they had missed.", n.events.Load()),
	}
}
