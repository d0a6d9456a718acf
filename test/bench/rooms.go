//go:build linux

package main

import (
	"fmt"
	"time"

	"poosh/test/bench/load"
)

// roomWorks are about what most people have: many rooms with a few clients each,
// and clients that come and go.
func roomWorks() []work {
	var (
		flat     = []string{"publishes/s", "cpu us/publish", "cores", "p50 ms", "p99 ms", "max ms", "generator us"}
		inTime   = []string{"cpu us/publish", "cores", "p50 ms", "p99 ms", "max ms", "late", "generator us"}
		everyone = []entrant{
			poosh, kept, poosh4, pooshPusher, before, before4, beforePusher,
			gws, nbio, centrifugo, centrifuge, sockudo, zishang, sio4, floor,
		}
		quick = []entrant{ // who can do what the paced works ask for
			poosh, kept, poosh4, pooshPusher, before, before4, beforePusher,
			gws, nbio, centrifugo, centrifuge, sockudo, floor,
		}
		single = load.Rooms{Count: 5000, Shared: 10}
		groups = load.Rooms{Count: 1000}
	)
	const publishers = 16
	return []work{
		{
			name: "rooms", run: spread, columns: flat, entrants: everyone,
			clients: 5000, rooms: single, publishers: publishers, events: 1500, repeats: 3,
		},
		{
			name: "rooms-paced", run: spread, columns: inTime, entrants: quick,
			clients: 5000, rooms: single, publishers: publishers, events: 940, repeats: 1, interval: time.Second / 3000,
		},
		{
			name: "groups", run: spread, columns: flat, entrants: everyone,
			clients: 5000, rooms: groups, publishers: publishers, events: 1500, repeats: 3,
		},
		{
			name: "groups-paced", run: spread, columns: inTime, entrants: quick,
			clients: 5000, rooms: groups, publishers: publishers, events: 625, repeats: 1, interval: time.Second / 2000,
		},
	}
}

// spread publishes to many rooms in turn.
func spread(s *trial, w work) error {
	if _, err := s.connect(w.clients); err != nil {
		return err
	}
	if _, err := s.deliver(w.publishers, w.events/4, w.interval); err != nil {
		return err
	}
	return s.profile(w.name, func() error {
		for range w.repeats {
			if err := s.settle(500 * time.Millisecond); err != nil {
				return err
			}
			if err := s.observe(w.publishers, w.events, w.interval); err != nil {
				return err
			}
		}
		return nil
	})
}

// describeRooms says how a work's clients and rooms are.
func describeRooms(w work) string {
	text := fmt.Sprintf("%d rooms of %d", w.rooms.Count, max(w.clients/max(w.rooms.Count, 1), 1))
	if w.rooms.Count == w.clients {
		text = fmt.Sprintf("%d clients, each in a room of its own", w.clients)
	}
	if w.rooms.Shared > 0 {
		text += fmt.Sprintf(" and in one of %d shared", w.rooms.Shared)
	}
	if w.interval == 0 {
		return fmt.Sprintf("%s, %d publishers flat out", text, w.publishers)
	}
	return fmt.Sprintf("%s, %.0f publishes/s by %d publishers", text, 1/w.interval.Seconds(), w.publishers)
}
