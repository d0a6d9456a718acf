package intake

import (
	"sync"
	"sync/atomic"
	"time"

	"poosh/server/metric"
)

// Why a message, or a publication of one, is dropped, beside what a dialect says.
const (
	reasonTooLarge = "too_large" // larger than MaxMessage
	reasonEnd      = "shutdown"  // read as the process ends
)

var ownReasons = []string{reasonTooLarge, reasonEnd}

// counts are what a reader counts.
type counts struct {
	came     atomic.Uint64 // messages
	taken    atomic.Uint64 // of which this process has published something
	connects atomic.Uint64
	gaps     atomic.Uint64 // connections that ended
	dropped  map[string]*atomic.Uint64
	order    []string
}

func (c *counts) init(reasons []string) {
	c.dropped = make(map[string]*atomic.Uint64)
	for _, list := range [][]string{reasons, ownReasons} {
		for _, why := range list {
			if c.dropped[why] == nil {
				c.dropped[why] = new(atomic.Uint64)
				c.order = append(c.order, why)
			}
		}
	}
}

// drop counts a message that comes to nothing, and has the log say so, once a minute.
func (r *Reader) drop(why string) {
	n := r.count.dropped[why]
	if n == nil {
		panic("intake: " + r.cfg.Name + " has no reason " + why)
	}
	n.Add(1)
	if unsaid, say := r.oversay.may(time.Minute); say {
		r.cfg.Log.Warn("dropped a message from Redis", "dialect", r.cfg.Name, "why", why, "others before", unsaid)
	}
}

// Readings are the numbers of this moment; their names begin with that of the dialect.
func (r *Reader) Readings() []metric.Reading {
	r.mu.Lock()
	connected := 0
	if r.connected {
		connected = 1
	}
	r.mu.Unlock()
	var dropped []metric.Sample
	for _, why := range r.count.order {
		dropped = append(dropped, metric.Of(r.count.dropped[why].Load(), why))
	}
	name := r.cfg.Name + "_redis_"
	return []metric.Reading{
		metric.Gauge("", name+"connected", "1 while messages are read from Redis.", connected),
		metric.Counter("", name+"messages_total", "Messages that came from Redis.", r.count.came.Load()),
		metric.Counter("", name+"taken_total", "Messages of which this process has published something.", r.count.taken.Load()),
		metric.Counters("", name+"dropped_total", "Messages from Redis that came to nothing, by reason.", "reason", dropped),
		metric.Counter("", name+"gaps_total", "Connections to Redis that ended: what was published until the next one nobody has.", r.count.gaps.Load()),
		metric.Gauge("", name+"waiting_bytes", "Bytes of messages from Redis that wait to be handed out.", r.queue.size()),
	}
}

// A limited is something that is not said too often.
type limited struct {
	mu     sync.Mutex // guards what follows
	said   time.Time
	unsaid int
}

// may reports whether it is time, and how many were not said since the last.
func (l *limited) may(every time.Duration) (unsaid int, say bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.said.IsZero() && time.Since(l.said) < every {
		l.unsaid++
		return 0, false
	}
	unsaid, l.unsaid, l.said = l.unsaid, 0, time.Now()
	return unsaid, true
}
