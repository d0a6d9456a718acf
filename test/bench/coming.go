//go:build linux

package main

import (
	"fmt"
	"time"

	"poosh/test/bench/load"
)

// comingWorks are about clients that come and go.
func comingWorks() []work {
	return []work{
		{
			name: "churn", run: churn,
			columns:  []string{"cpu us/operation", "operations/s", "p99 ms, quiet", "p99 ms", "p99 growth", "join p99 ms", "cpu us, quiet"},
			entrants: []entrant{pooshPusher, beforePusher, gws, nbio, centrifugo, centrifuge, sockudo, floor},
			clients:  1000, visitors: 400, events: 200, interval: time.Second / 20, pace: time.Second / 4000,
			limits: []string{"PUSHER_SUBSCRIBE_RATE=off"},
		},
		{
			name: "presence", run: presence,
			columns: []string{
				"us/join, first tenth", "us/join, last tenth", "us/notice", "us/operation, early", "us/operation, late", "age growth", "us/notice, late", "join p99 ms",
			},
			entrants: []entrant{pooshPusher, beforePusher},
			clients:  1000, visitors: 100, events: 200, presence: true, pace: time.Second / 50,
			limits: []string{"PUSHER_SUBSCRIBE_RATE=off", "PUSHER_MAX_MEMBERS=2000", "OUTBOX_BYTES=8MiB"},
		},
	}
}

// churn has clients join the room of the events and leave it, as fast as they are told
// to. The cost of one is what the server uses more than for as many deliveries in
// quiet. Nothing may be lost or come twice, for those who stay and for those who do
// not.
func churn(s *trial, w work) error {
	if _, err := s.connect(w.clients); err != nil {
		return err
	}
	if err := s.crowd.ConnectVisitors(w.visitors, connectTimeout); err != nil {
		return err
	}
	if _, err := s.deliver(1, 10, w.interval/4); err != nil {
		return err
	}
	if _, _, err := s.comeAndGo(w.events/5, w); err != nil { // what is compiled, and grows
		return err
	}
	quiet, err := s.deliver(1, w.events, w.interval)
	if err != nil {
		return err
	}
	return s.profile(w.name, func() error {
		busy, c, err := s.comeAndGo(w.events, w)
		if err != nil {
			return err
		}
		deliveries := busy["deliveries"] + float64(c.Received)
		operations := float64(c.Operations)
		s.record(metrics{
			"cpu us/operation": (busy["server us"] - quiet["cpu us"]*deliveries) / operations,
			"operations/s":     operations / busy["seconds"],
			"p99 ms, quiet":    quiet["p99 ms"],
			"p99 ms":           busy["p99 ms"],
			"p99 growth":       busy["p99 ms"] / quiet["p99 ms"],
			"join p99 ms":      millis(c.Joined.Quantile(0.99)),
			"joins late":       float64(c.Late),
			"cpu us, quiet":    quiet["cpu us"],
		})
		return nil
	})
}

// comeAndGo delivers events while visitors join and leave, and waits until they have
// what they must get.
func (s *trial) comeAndGo(events int, w work) (metrics, *load.Churned, error) {
	if err := s.settle(500 * time.Millisecond); err != nil {
		return nil, nil, err
	}
	progress := load.NewProgress(s.next)
	s.crowd.BeginChurn(s.next, progress, w.pace)
	m, err := s.deliverTold(1, events, w.interval, progress)
	s.crowd.PauseChurn()
	if err != nil {
		return nil, nil, err
	}
	if _, err := s.crowd.Pump(stall/2, s.crowd.Settled); err != nil {
		return nil, nil, err
	}
	c, err := s.crowd.EndChurn()
	if err != nil {
		return nil, nil, err
	}
	return m, c, s.settle(500 * time.Millisecond)
}

// presence fills a presence channel and then lets visitors come and go until it is
// old: what one costs must not grow with that. At the end every member must know of
// everybody who is there and of nobody else.
func presence(s *trial, w work) error {
	m := make(metrics)
	tenth := w.clients / 10
	var fill spending
	for i, step := range []int{tenth, w.clients - 2*tenth, tenth} {
		part, err := s.enter(step)
		if err != nil {
			return err
		}
		fill = fill.plus(part)
		if name := [3]string{"us/join, first tenth", "", "us/join, last tenth"}[i]; name != "" {
			m[name] = micros(part.cpu) / float64(step)
		}
	}
	m["us/notice"] = fill.perNotice()
	if err := s.checkHome(); err != nil {
		return err
	}
	if err := s.crowd.ConnectVisitors(w.visitors, connectTimeout); err != nil {
		return err
	}
	s.crowd.BeginChurn(0, load.NewProgress(0), w.pace)
	var parts [3]spending
	for i, operations := range []int{w.events, 3 * w.events, w.events} {
		var err error
		if parts[i], err = s.spend(func() error {
			_, err := s.crowd.Pump(time.Duration(operations)*w.pace, never)
			return err
		}); err != nil {
			return err
		}
	}
	s.crowd.PauseChurn()
	if _, err := s.crowd.Pump(stall, s.crowd.Settled); err != nil {
		return err
	}
	if err := s.acquainted(); err != nil {
		return err
	}
	c, err := s.crowd.EndChurn()
	if err != nil {
		return err
	}
	m["us/operation, early"], m["us/operation, late"] = parts[0].perOperation(), parts[2].perOperation()
	m["age growth"] = m["us/operation, late"] / m["us/operation, early"]
	m["us/notice, late"] = parts[2].perNotice()
	m["join p99 ms"] = millis(c.Joined.Quantile(0.99))
	s.record(m)
	return nil
}

// spending is what a part of the work used.
type spending struct {
	cpu        time.Duration
	notices    int64
	operations int64
}

func (a spending) plus(b spending) spending {
	return spending{a.cpu + b.cpu, a.notices + b.notices, a.operations + b.operations}
}

func (a spending) perNotice() float64    { return micros(a.cpu) / float64(max(a.notices, 1)) }
func (a spending) perOperation() float64 { return micros(a.cpu) / float64(max(a.operations, 1)) }

// spend returns what f used.
func (s *trial) spend(f func() error) (spending, error) {
	before, err := s.server.cpu()
	if err != nil {
		return spending{}, err
	}
	told, done := s.crowd.Told(), s.crowd.Operations()
	if err := f(); err != nil {
		return spending{}, err
	}
	after, err := s.server.cpu()
	return spending{after - before, s.crowd.Told() - told, s.crowd.Operations() - done}, err
}

// enter adds members and waits until everybody knows of everybody.
func (s *trial) enter(n int) (spending, error) {
	return s.spend(func() error {
		if _, err := s.crowd.Connect(n, connectTimeout); err != nil {
			return fmt.Errorf("%w\n%s", err, s.server.printed())
		}
		return s.acquainted()
	})
}

// acquainted waits until every member knows of everybody who is there.
func (s *trial) acquainted() error {
	for end := time.Now().Add(stall); time.Now().Before(end) && !s.crowd.AllKnown(); {
		if _, err := s.crowd.Pump(20*time.Millisecond, never); err != nil {
			return err
		}
	}
	if err := s.crowd.Lost(); err != nil {
		return err
	}
	return s.crowd.Strangers()
}
