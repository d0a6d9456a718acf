//go:build linux

package main

import (
	"fmt"
	"time"

	"poosh/test/bench/load"
)

// clusterWorks are about several nodes that Redis joins, beside a node that stands alone.
// Clients are at each node alike, and publishers send to each in turn.
func clusterWorks() []work {
	var (
		pacedOut = []string{"cpu us", "redis us", "p50 ms", "p99 ms", "max ms", "late", "early", "generator us"}
		burstOut = []string{"cpu us", "redis us", "deliveries/s", "p99 ms", "posted ms", "early", "generator us"}
		roomsOut = []string{"publishes/s", "cpu us/publish", "redis us", "cores", "p50 ms", "p99 ms", "generator us"}
		everyone = []entrant{poosh, poosh4, joined, joined4, centrifugo, centrifugoes, sio4, sio4s}
	)
	return []work{
		{
			name: "cluster-paced", run: paced, joined: true, columns: pacedOut, entrants: everyone,
			clients: 1000, events: 200, repeats: 1, interval: time.Second / 20,
		},
		{
			name: "cluster-burst", run: burst, joined: true, columns: burstOut, entrants: everyone,
			clients: 1000, events: 300, repeats: 3,
		},
		{
			name: "cluster-rooms", run: spread, joined: true, columns: roomsOut, entrants: everyone,
			clients: 5000, rooms: load.Rooms{Count: 5000, Shared: 10}, publishers: 16, events: 1500, repeats: 3,
		},
		backWork(),
		killedWork(),
		passedWork(),
	}
}

func describeCluster(w work) string {
	rate := 1 / w.interval.Seconds()
	switch w.name {
	case "cluster-paced":
		return fmt.Sprintf("%d clients over all nodes, %g events/s, %d in all", w.clients, rate, w.events)
	case "cluster-burst":
		return fmt.Sprintf("%d clients over all nodes, %d events without a pause", w.clients, w.events)
	case "cluster-killed":
		return fmt.Sprintf("%d members in %d presence channels, of whom the node that dies has two in three, or half with -nodes 3", w.clients, w.rooms.Count)
	case "cluster-passed":
		return fmt.Sprintf("%d clients poll, %g events/s, at the nodes of their sessions and at others", w.clients, rate)
	case "cluster-back":
		return fmt.Sprintf("Redis away for %v and back, empty; %d clients in %d rooms over all nodes", w.duration, w.clients, w.rooms.Count)
	}
	return "over all nodes, " + describeRooms(w)
}

// loose reports whether events of one publisher may come in another order than it sent them.
// Poosh promises that order whichever nodes they went to, by room; the others do not.
func (s *trial) loose() bool {
	return s.cluster != nil && (!s.entrant.isPoosh() || s.work.rooms.Each > 1)
}
