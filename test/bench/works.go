//go:build linux

package main

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"poosh/test/bench/load"
)

// A work is what servers are measured at.
type work struct {
	name     string
	title    string
	columns  []string // of its table
	entrants []entrant
	run      func(*trial, work) error
	tool     func(options, work) (metrics, error) // in place of run, for what needs no server
	profiled bool                                 // poosh runs in the build that can be profiled
	joined   bool                                 // it is about several nodes, and needs Redis
	upright  bool                                 // its table has a row for each of columns

	// How much of it; each work uses what it needs.
	clients    int
	more       int // clients, in a second step
	rooms      load.Rooms
	presence   bool           // the room is a presence channel
	heavy      bool           // the last node of a cluster has twice as many clients as each other
	told       bool           // webhooks are sent, and looked at
	limits     []string       // settings of poosh's Pusher dialect without which it would refuse this
	publishers int            // 0 for one
	events     int            // of each publisher
	payload    int            // bytes, in place of those asked for
	redis      netip.AddrPort // that the nodes of a cluster meet at; set by startCluster
	repeats    int
	interval   time.Duration
	duration   time.Duration
	visitors   int           // clients that come and go
	pace       time.Duration // between two of their joins and leaves
}

var (
	fanOut     = []string{"cpu us", "deliveries/s", "p50 ms", "p99 ms", "max ms", "posted ms", "generator us"}
	pacedOut   = []string{"cpu us", "p50 ms", "p99 ms", "max ms", "late", "generator us"}
	webSockets = []entrant{
		poosh, operated, kept, poosh4, pooshPusher, operatedPusher, before, before4, beforePusher,
		gws, nbio, centrifugo, centrifuge, sockudo, zishang, sio4, sio1, floor,
	}
)

// unwatched leaves out those whom operators look at.
func unwatched(list []entrant) []entrant {
	return slices.DeleteFunc(slices.Clone(list), func(e entrant) bool { return e.server == "operated" })
}

// A size overrides that of works; zero fields leave it.
type size struct {
	clients, events int
	interval        time.Duration
}

// works are all works. Quick ones are small: they show that everything runs.
func works(quick bool, s size) []work {
	list := slices.Concat(crowdWorks(), roomWorks(), comingWorks(), recoverWorks(), conditionWorks(), layerWorks(), clusterWorks())
	for i := range list {
		if quick {
			list[i].shrink()
		}
		list[i].resize(s)
		list[i].title = list[i].describe()
	}
	return list
}

// crowdWorks are about a crowd in one room.
func crowdWorks() []work {
	large := []entrant{poosh, before, centrifuge, zishang, sio4, sio1, floor}
	idle := []string{"connects/s", "retried", "cpu us/connect", "KB/connection", "PSS KB/connection", "empty MB", "generator us/connect"}
	return []work{
		{
			name: "burst", run: burst, columns: fanOut, entrants: webSockets,
			clients: 1000, events: 300, repeats: 3,
		},
		{
			name: "paced", run: paced, columns: pacedOut, entrants: webSockets,
			clients: 1000, events: 200, repeats: 1, interval: time.Second / 20,
		},
		{
			name: "paced10k", run: paced, columns: pacedOut, entrants: large,
			clients: 10_000, events: 40, repeats: 1, interval: time.Second / 4,
		},
		{
			name: "connect", run: connect, entrants: unwatched(webSockets), columns: idle,
			clients: 5000, duration: 10 * time.Second,
		},
		{
			name: "idle15k", run: connect, entrants: large, columns: idle,
			clients: 15_000, duration: 10 * time.Second,
		},
		{
			name: "growth", run: growth, entrants: []entrant{poosh, before, centrifuge, floor},
			columns: []string{"burst us", "burst us, all", "burst growth", "paced us", "paced us, all", "paced growth"},
			clients: 1000, more: 15_000, events: 20, repeats: 5, duration: 5 * time.Second,
		},
		{
			name: "polling", run: paced, columns: pacedOut,
			entrants: []entrant{pooshPoll4, pooshPoll3, zishangPoll, sio4Poll, sio1Poll},
			clients:  1000, events: 20, repeats: 1, interval: time.Second / 2,
		},
		{
			name: "stalled", run: stalled, entrants: []entrant{poosh},
			columns: []string{"cpu us", "cpu us, stalled", "p50 ms", "p50 ms, stalled", "p99 ms", "p99 ms, stalled", "p99 growth"},
			clients: 1000, events: 100, interval: time.Second / 20,
		},
		{
			name: "publish", run: publishOnly, entrants: []entrant{poosh, operated, kept, before, centrifuge, zishang, sio4, sio1},
			columns:  []string{"requests/s", "cpu us/request", "p50 ms", "p99 ms", "wrk us/request"},
			duration: 5 * time.Second,
		},
		{
			name: "allocations", run: allocations, entrants: []entrant{poosh, poosh4, pooshPusher}, profiled: true,
			columns: []string{"allocations/delivery", "bytes/delivery", "allocations/event"},
			clients: 1000, events: 300,
		},
	}
}

// shrink makes a work a matter of a second or two.
func (w *work) shrink() {
	w.clients /= 10
	w.more /= 10
	w.rooms.Count /= 10
	w.visitors = (w.visitors + 9) / 10
	w.repeats = min(w.repeats, 1)
	w.events = (w.events + 3) / 4
	w.duration = min(w.duration, time.Second)
}

func (w *work) resize(s size) {
	if s.clients > 0 {
		if w.rooms.Count > 0 {
			w.rooms.Count = max(w.rooms.Count*s.clients/w.clients, 2)
		}
		w.clients = s.clients
	}
	if s.events > 0 {
		w.events = s.events
	}
	if s.interval > 0 && w.interval > 0 {
		w.interval = s.interval
	}
}

func (w *work) describe() string {
	rate := 1 / w.interval.Seconds()
	switch w.name {
	case "cluster-paced", "cluster-burst", "cluster-rooms", "cluster-back", "cluster-killed", "cluster-passed":
		return describeCluster(*w)
	case "burst":
		return fmt.Sprintf("%d clients, %d events without a pause", w.clients, w.events)
	case "paced", "paced10k", "polling":
		return fmt.Sprintf("%d clients, %g events/s, %d in all", w.clients, rate, w.events)
	case "stalled":
		return fmt.Sprintf("%d clients, %g events/s, before and after one of them reads nothing any more", w.clients, rate)
	case "connect", "idle15k":
		return fmt.Sprintf("%d clients connect, then %v of nothing", w.clients, w.duration)
	case "growth":
		return fmt.Sprintf("bursts of %d events, and as many deliveries/s paced, to %d and to all %d clients", w.events, w.clients, w.more)
	case "rooms", "rooms-paced", "groups", "groups-paced":
		return describeRooms(*w)
	case "layers", "layers-paced":
		return "microseconds of a publish by layer: " + describeRooms(*w)
	case "churn":
		return fmt.Sprintf("%.0f joins and leaves a second beside %d clients who get %g events/s", 1/w.pace.Seconds(), w.clients, rate)
	case "recover":
		return fmt.Sprintf("%d clients come back at once, each for %d events that it missed", w.clients, w.events)
	case "presence":
		return fmt.Sprintf("%d members join one channel, then %.0f joins and leaves a second, %d in all", w.clients, 1/w.pace.Seconds(), 5*w.events)
	case "big10k", "big100k":
		return fmt.Sprintf("%d clients, %g events/s of %d bytes", w.clients, rate, w.payload)
	case "cookies":
		return fmt.Sprintf("%d clients with a session cookie, and %d that send 6 KB of cookies, %g events/s", w.clients, w.clients, rate)
	case "proxy":
		return fmt.Sprintf("%d clients, %g events/s, without and behind nginx with TLS", w.clients, rate)
	case "tls":
		return fmt.Sprintf("%d clients, %g events/s, without TLS, with poosh's own, and behind nginx with TLS", w.clients, rate)
	case "processors":
		return fmt.Sprintf("bursts to %d clients, and 16 publishers flat out to %d rooms of one, by GOMAXPROCS", w.clients, w.clients)
	case "seats":
		return fmt.Sprintf("%d rooms of one seat in the hub", w.clients)
	case "publish":
		return fmt.Sprintf("no clients, wrk with %d connections for %v", wrkConnections, w.duration)
	}
	return fmt.Sprintf("%d clients, %d events without a pause", w.clients, w.events)
}

func workNames() []string {
	var names []string
	for _, w := range works(false, size{}) {
		names = append(names, w.name)
	}
	return names
}

// burst publishes events as fast as the server answers.
func burst(s *trial, w work) error {
	if _, err := s.connect(w.clients); err != nil {
		return err
	}
	// Node compiles what is hot, and buffers grow: that is not measured.
	if _, err := s.deliver(1, w.events/4, 0); err != nil {
		return err
	}
	return s.profile(w.name, func() error {
		for range w.repeats {
			if err := s.settle(500 * time.Millisecond); err != nil {
				return err
			}
			if err := s.observe(s.opts.senders, w.events, 0); err != nil {
				return err
			}
		}
		return nil
	})
}

// paced publishes one event each interval.
func paced(s *trial, w work) error {
	if _, err := s.connect(w.clients); err != nil {
		return err
	}
	if _, err := s.deliver(1, 10, w.interval/4); err != nil {
		return err
	}
	if err := s.settle(time.Second); err != nil {
		return err
	}
	return s.profile(w.name, func() error { return s.observe(1, w.events, w.interval) })
}

// observe delivers and records what that took.
func (s *trial) observe(publishers, events int, interval time.Duration) error {
	m, err := s.deliver(publishers, events, interval)
	if err == nil {
		s.record(m)
	}
	return err
}

// connect connects clients as fast as the server lets them, and looks at its
// memory when it has been idle.
func connect(s *trial, w work) error {
	var spent usage
	err := s.profile(w.name, func() (err error) {
		spent, err = s.connect(w.clients)
		return err
	})
	if err != nil {
		return err
	}
	if err := s.settle(w.duration); err != nil {
		return err
	}
	m, err := s.perConnection()
	if err != nil {
		return err
	}
	n := float64(w.clients)
	m["connects/s"] = n / spent.clock.Seconds()
	m["retried"] = float64(s.crowd.Retried())
	m["cpu us/connect"] = micros(spent.server) / n
	m["generator us/connect"] = micros(spent.own) / n
	s.record(m)
	return nil
}

// growth compares the cost of a delivery to a small and to a large crowd: the
// same bursts, and paced at the same number of deliveries a second.
func growth(s *trial, w work) error {
	m := make(metrics)
	var last [2]float64
	for step, clients := range []int{w.clients, w.more} {
		if _, err := s.connect(clients); err != nil {
			return err
		}
		suffix := []string{"", ", all"}[step]
		flood, err := s.deliverAgain(w.repeats*w.more/clients, w.events)
		if err != nil {
			return err
		}
		// One event a second to all is as many deliveries as more/clients to few.
		interval := time.Duration(float64(time.Second) * float64(clients) / float64(w.more))
		even, err := s.deliver(1, int(w.duration/interval), interval)
		if err != nil {
			return err
		}
		m["burst us"+suffix], m["paced us"+suffix] = flood, even["cpu us"]
		if step > 0 {
			m["burst growth"], m["paced growth"] = flood/last[0], even["cpu us"]/last[1]
		}
		last = [2]float64{flood, even["cpu us"]}
	}
	s.record(m)
	return nil
}

// deliverAgain repeats a burst and returns the processor time of a delivery.
func (s *trial) deliverAgain(repeats, events int) (float64, error) {
	var sum float64
	for range repeats {
		m, err := s.deliver(1, events, 0)
		if err != nil {
			return 0, err
		}
		sum += m["cpu us"]
	}
	return sum / float64(repeats), nil
}

// allocations counts what poosh allocates in a burst.
func allocations(s *trial, w work) error {
	if _, err := s.connect(w.clients); err != nil {
		return err
	}
	if _, err := s.deliver(1, w.events, 0); err != nil {
		return err
	}
	before, err := s.server.allocated()
	if err != nil {
		return err
	}
	if _, err := s.deliver(1, w.events, 0); err != nil {
		return err
	}
	after, err := s.server.allocated()
	if err != nil {
		return err
	}
	events := float64(w.events)
	deliveries := events * float64(w.clients)
	s.record(metrics{
		"allocations/delivery": float64(after.objects-before.objects) / deliveries,
		"bytes/delivery":       float64(after.bytes-before.bytes) / deliveries,
		"allocations/event":    float64(after.objects-before.objects) / events,
	})
	return nil
}
