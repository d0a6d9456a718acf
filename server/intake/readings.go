package intake

import (
	"sync/atomic"
	"time"

	"poosh/server/metric"
	"poosh/server/presence"
)

// Why a message, or a publication of one, is dropped, beside what a dialect says.
const (
	reasonTooLarge = "too_large" // larger than MaxMessage
	reasonEnd      = "shutdown"  // read as the process ends
	// In a cluster, by who was to publish it: it had waited for the cluster's engine for too long, or too
	// much waited. These are publications.
	reasonLate = "late"
	reasonFull = "full"
)

var ownReasons = []string{reasonTooLarge, reasonEnd, reasonLate, reasonFull}

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
	if unsaid, say := r.dropping.May(time.Minute); say {
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
	var shared presence.SourceStats
	if r.source != nil {
		shared = r.source.Stats()
	}
	var dropped []metric.Sample
	for _, why := range r.count.order {
		n := r.count.dropped[why].Load()
		switch why {
		case reasonLate:
			n = shared.Late
		case reasonFull:
			n = shared.Full
		}
		dropped = append(dropped, metric.Of(n, why))
	}
	name := r.cfg.Name + "_redis_"
	list := []metric.Reading{
		metric.Gauge("", name+"connected", "1 while messages are read from Redis.", connected),
		metric.Counter("", name+"messages_total", "Messages that came from Redis.", r.count.came.Load()),
		metric.Counter("", name+"taken_total", "Messages of which this process has published something.", r.count.taken.Load()),
		metric.Counters("", name+"dropped_total", "Messages from Redis that came to nothing, by reason.", "reason", dropped),
		metric.Counter("", name+"gaps_total", "Connections to Redis that ended: what was published until the next one nobody has.", r.count.gaps.Load()),
		metric.Gauge("", name+"waiting_bytes", "Bytes of messages from Redis that wait to be handed out.", r.queue.size()),
	}
	if r.source == nil {
		return list
	}
	leads := 0
	if shared.Leads {
		leads = 1
	}
	return append(list,
		metric.Gauge("", name+"leads", "1 on the node of a cluster that publishes the messages from Redis.", leads),
		metric.Counter("", name+"takeovers_total", "How often this node of a cluster has begun to publish the messages from Redis.", shared.Takeovers),
		metric.Counter("", name+"failures_total", "Attempts of this node of a cluster to publish messages from Redis, or to be the node that does, that its cluster's Redis refused or did not answer. They are made again.", shared.Failed),
		metric.Gauge("", name+"kept_bytes", "Bytes of messages from Redis that this node of a cluster keeps, to publish them if the node that does so ends.", shared.Waiting))
}
