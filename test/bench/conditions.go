//go:build linux

package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"poosh/test/bench/load"
)

// conditionWorks do known work under other conditions: large payloads, long cookies,
// a proxy in front, fewer processors, very many rooms.
func conditionWorks() []work {
	var (
		largeOut = []string{"cpu us", "MB/s", "peak MB", "p50 ms", "p99 ms", "late", "generator us"}
		main     = []entrant{
			poosh, poosh4, pooshPusher, before, before4, beforePusher,
			gws, nbio, centrifugo, centrifuge, sockudo, sio4, floor,
		}
		largeEvents = []string{"PUSHER_MAX_EVENT_BYTES=120000", "OUTBOX_BYTES=8MiB"}
	)
	return []work{
		{
			name: "big10k", run: large, columns: largeOut, entrants: main, payload: 10_000, limits: largeEvents,
			clients: 500, events: 100, interval: time.Second / 20,
		},
		{
			name: "big100k", run: large, columns: largeOut, entrants: main, payload: 100_000, limits: largeEvents,
			clients: 500, events: 24, interval: time.Second / 4,
		},
		{
			name: "cookies", run: cookies, entrants: main,
			columns: []string{"cpu us", "cpu us, 6 KB", "cpu growth", "KB/connection", "KB/connection, 6 KB", "memory growth", "cpu us/connect", "cpu us/connect, 6 KB"},
			clients: 5000, events: 40, interval: time.Second / 4,
		},
		{
			name: "proxy", run: proxied, entrants: main,
			columns: []string{"cpu us, plain", "cpu us", "cpu growth", "nginx us", "p99 ms, plain", "p99 ms", "nginx us/connect"},
			clients: 1000, events: 200, interval: time.Second / 20,
		},
		{
			name: "tls", run: secured, columns: tlsColumns(), upright: true, entrants: []entrant{poosh, poosh4, pooshPusher, before, before4, beforePusher},
			clients: 1000, events: 100, interval: time.Second / 20, duration: 2 * time.Second,
		},
		{
			name: "processors", run: processors, columns: processorColumns(),
			entrants: []entrant{poosh, pooshPusher, before, beforePusher, gws, nbio, centrifugo, centrifuge},
			clients:  1000, events: 300, repeats: 3,
		},
		{
			name: "seats", tool: seats, entrants: []entrant{poosh},
			columns: []string{"bytes/room", "bytes/seat", "bytes/subscriber", "us/join", "us/publish"},
			clients: 1_000_000,
		},
	}
}

// large publishes events whose bytes are what costs.
func large(s *trial, w work) error {
	if _, err := s.connect(w.clients); err != nil {
		return err
	}
	if _, err := s.deliver(1, 5, w.interval); err != nil {
		return err
	}
	if err := s.settle(time.Second); err != nil {
		return err
	}
	return s.profile(w.name, func() error {
		before, err := s.server.memory()
		if err != nil {
			return err
		}
		m, err := s.deliver(1, w.events, w.interval)
		if err != nil {
			return err
		}
		after, err := s.server.memory()
		if err != nil {
			return err
		}
		m["MB/s"] = m["deliveries/s"] * float64(w.payload) / 1e6
		m["peak MB"] = float64(after.peak-before.rss) / (1 << 20)
		s.record(m)
		return nil
	})
}

// cookies compares clients with few and with many bytes of cookies, in a process each.
func cookies(s *trial, w work) error {
	few, err := s.deliverAfterConnect(w)
	if err != nil {
		return err
	}
	const long = 6 << 10
	o := s.opts
	o.cookies = long
	t, err := s.another(o)
	if err != nil {
		return err
	}
	defer t.close()
	many, err := t.deliverAfterConnect(w)
	if err != nil {
		return err
	}
	m := metrics{
		"cpu growth":    many["cpu us"] / few["cpu us"],
		"memory growth": many["KB/connection"] / few["KB/connection"],
	}
	for _, name := range []string{"cpu us", "KB/connection", "cpu us/connect"} {
		m[name], m[name+", 6 KB"] = few[name], many[name]
	}
	s.record(m)
	return nil
}

// deliverAfterConnect connects clients, looks at what they cost, and delivers.
func (s *trial) deliverAfterConnect(w work) (metrics, error) {
	spent, err := s.connect(w.clients)
	if err != nil {
		return nil, err
	}
	if err := s.settle(2 * time.Second); err != nil {
		return nil, err
	}
	held, err := s.perConnection()
	if err != nil {
		return nil, err
	}
	if _, err := s.deliver(1, 10, w.interval/4); err != nil {
		return nil, err
	}
	m, err := s.deliver(1, w.events, w.interval)
	if err != nil {
		return nil, err
	}
	m["KB/connection"] = held["KB/connection"]
	m["cpu us/connect"] = micros(spent.server) / float64(w.clients)
	return m, nil
}

// processorCounts are how many processors Go servers are told to use: 1, 2 and all
// powers of two that the machine has.
func processorCounts() (list []int) {
	for n := 1; n <= max(runtime.NumCPU(), 2); n *= 2 {
		list = append(list, n)
	}
	return list
}

func processorColumns() (names []string) {
	for _, metric := range []string{"deliveries/s", "cpu us", "publishes/s", "cpu us/publish"} {
		for _, n := range processorCounts() {
			names = append(names, fmt.Sprintf("%s, %d", metric, n))
		}
	}
	return names
}

// processors delivers to a crowd and publishes to many rooms with one processor and
// with more.
func processors(s *trial, w work) error {
	m := make(metrics)
	for _, n := range processorCounts() {
		o := s.opts
		o.processors = n
		crowd, rooms := w, w
		crowd.publishers = 1
		rooms.rooms, rooms.publishers = load.Rooms{Count: w.clients}, 16
		burst, err := s.middle(o, crowd, "deliveries/s")
		if err != nil {
			return err
		}
		spread, err := s.middle(o, rooms, "publishes/s")
		if err != nil {
			return err
		}
		for name, from := range map[string]metrics{"deliveries/s": burst, "cpu us": burst, "publishes/s": spread, "cpu us/publish": spread} {
			m[fmt.Sprintf("%s, %d", name, n)] = from[name]
		}
	}
	s.record(m)
	return nil
}

// middle does a work flat out in a process of its own, and returns the repeat with the
// median of a metric.
func (s *trial) middle(o options, w work, metric string) (metrics, error) {
	t, err := startTrial(o, w, s.entrant)
	if err != nil {
		return nil, err
	}
	defer t.close()
	if _, err := t.connect(w.clients); err != nil {
		return nil, err
	}
	if _, err := t.deliver(w.publishers, w.events/4, 0); err != nil {
		return nil, err
	}
	var all []metrics
	for range w.repeats {
		if err := t.settle(500 * time.Millisecond); err != nil {
			return nil, err
		}
		m, err := t.deliver(w.publishers, w.events, 0)
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b metrics) int { return cmp.Compare(a[metric], b[metric]) })
	return all[len(all)/2], nil
}

// seats asks the program that fills a hub what a room and a seat take.
func seats(o options, w work) (metrics, error) {
	out, err := exec.Command(filepath.Join(o.bin, "seats"), fmt.Sprint(w.clients)).Output()
	if err != nil {
		return nil, fmt.Errorf("seats: %w", err)
	}
	var m metrics
	return m, json.Unmarshal(out, &m)
}
