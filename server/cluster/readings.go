package cluster

import (
	"errors"
	"sync/atomic"
	"time"

	"poosh/server/hub"
	"poosh/server/metric"
)

// counts are since the start.
type counts struct {
	published, refusedAway, refusedFull, uncertain, local atomic.Uint64

	received, again, caught, missed atomic.Uint64
	atOnce                          atomic.Uint64 // of received, by who read it
	unknown, malformed              atomic.Uint64
	lost, overrun                   atomic.Uint64
	beatsFailed, givenUp, reaped    atomic.Uint64
	seats, broken                   atomic.Uint64
	refilled, unfilled              atomic.Uint64 // logs

	lag atomic.Int64 // nanoseconds, of what came last
}

// settled counts what became of a publication.
func (c *counts) settled(err error) {
	switch {
	case err == nil:
		c.published.Add(1)
	case errors.Is(err, hub.ErrFull):
		c.refusedFull.Add(1)
	case errors.Is(err, hub.ErrUncertain):
		c.uncertain.Add(1)
	default:
		c.refusedAway.Add(1)
	}
}

// Refuses returns why the engine, which is there, does not take what it is told, such as for want of memory; nil
// while it does, and while it is away. It is known from one beat to the next.
func (c *Cluster) Refuses() error {
	if why := c.refuses.Load(); why != nil && c.Up() {
		return *why
	}
	return nil
}

// Lag is how long what came last was on its way, as far as the clocks of two nodes agree.
func (c *Cluster) Lag() time.Duration { return time.Duration(c.count.lag.Load()) }

// Readings are the cluster's numbers of this moment.
func (c *Cluster) Readings() []metric.Reading {
	n := &c.count
	up := 0
	if c.Up() && c.Refuses() == nil {
		up = 1
	}
	filled := c.filled.read()
	return append(c.askReadings(), []metric.Reading{
		metric.Gauge("cluster_up", "cluster_engine_up", "1 while the engine of the cluster is there, 0 while it is away, or takes nothing, such as for want of memory.", up),
		metric.Gauge("cluster_nodes", "cluster_nodes", "Nodes of the cluster, as the engine said it last.", len(c.Nodes())),
		metric.Counters("cluster_sent", "cluster_publications_total", "Publications of this node, by what became of them.", "outcome", []metric.Sample{
			metric.Of(n.published.Load(), "published"), metric.Of(n.refusedAway.Load(), "away"), metric.Of(n.refusedFull.Load(), "full"),
			metric.Of(n.uncertain.Load(), "uncertain"), metric.Of(n.local.Load(), "local"),
		}),
		metric.Counter("cluster_received", "cluster_received_total", "Publications that came from the engine, those of this node too.", n.received.Load()),
		metric.Counter("cluster_caught_up", "cluster_caught_up_total", "Publications that were missed by a subscription and found in the backlog.", n.caught.Load()),
		metric.Gauge("cluster_filled", "cluster_history_filled_events", "Events of before its start that this node read from the engine, for clients that come back.", filled.events),
		metric.Gauge("", "cluster_history_filled_bytes", "Bytes of these events, as the engine keeps them.", filled.bytes),
		metric.Gauge("", "cluster_history_fill_seconds", "How long the node took to read them, at its start.", filled.seconds),
		metric.Counters("cluster_refilled", "cluster_history_refills_total", "Times that this node was to read the history of an app again, since it was cut off for longer than the backlog holds.", "outcome", []metric.Sample{
			metric.Of(n.refilled.Load(), "filled"), metric.Of(n.unfilled.Load(), "failed"),
		}),
		metric.Counter("cluster_missed", "cluster_rooms_missed_total", "Rooms whose clients were closed, since they may have missed a publication.", n.missed.Load()),
		metric.Counters("cluster_dropped", "cluster_envelopes_dropped_total", "What came from the engine and was dropped, by reason.", "reason", []metric.Sample{
			metric.Of(n.unknown.Load(), "version"), metric.Of(n.malformed.Load(), "malformed"), metric.Of(n.again.Load(), "again"),
		}),
		metric.Counter("cluster_links_lost", "cluster_links_lost_total", "Connections to the engine that ended, and were made anew.", n.lost.Load()),
		metric.Counter("cluster_overrun", "cluster_overrun_total", "Connections to the engine that were ended since more came than could be handed out.", n.overrun.Load()),
		metric.Counter("cluster_beats_failed", "cluster_beats_failed_total", "Times that this node could not say to the engine that it is there.", n.beatsFailed.Load()),
		metric.Counter("cluster_given_up", "cluster_given_up_total", "How often this node found that the others had given it up.", n.givenUp.Load()),
		metric.Counter("cluster_reaped", "cluster_reaped_total", "Leases of other nodes that were over, behind which this node cleaned up.", n.reaped.Load()),
		metric.Counter("cluster_told_anew", "cluster_rosters_told_anew_total", "Times that this node told the engine anew who is in the rooms of a partition: it was given up, or the engine had forgotten it.", n.seats.Load()),
		metric.Counter("", "cluster_steps_given_up_total", "Steps in or out of rooms that the engine could not be told of, since its script broke at them.", n.broken.Load()),
		metric.Gauge("cluster_waiting_bytes", "cluster_waiting_bytes", "Bytes of publications and of who enters rooms that wait for the engine.", c.waiting.Load()),
		metric.Gauge("cluster_arriving_bytes", "cluster_arriving_bytes", "Bytes that came from the engine and are not handed out yet.", c.arriving.Load()),
		metric.Gauge("", "cluster_lag_seconds", "How long what came last was on its way, as far as the clocks of two nodes agree.", c.Lag().Seconds()),
	}...)
}
