//go:build linux

package main

import (
	"time"

	"poosh/test/bench/load"
)

// passedWork is about polls for sessions of another node.
func passedWork() work {
	return work{
		name: "cluster-passed", run: passed, joined: true, entrants: []entrant{joinedPoll4, joinedPoll3},
		columns: []string{"cpu us", "cpu us, passed", "passed growth", "redis us", "p50 ms", "p50 ms, passed", "p99 ms", "p99 ms, passed"},
		clients: 1000, events: 20, interval: time.Second / 2,
	}
}

// passed delivers to clients that poll, at the nodes of their sessions and then, to others, at
// the next node, which has to pass their requests on.
func passed(s *trial, w work) error {
	none := func() (time.Duration, error) { return 0, nil }
	local, _, err := s.deliverPaced(w, none)
	if err != nil {
		return err
	}
	s.crowd.Close()
	cfg := s.crowdConfig()
	cfg.Elsewhere = true
	crowd, err := load.NewCrowd(cfg)
	if err != nil {
		return err
	}
	s.crowd = crowd
	away, _, err := s.deliverPaced(w, none)
	if err != nil {
		return err
	}
	m := metrics{"passed growth": away["cpu us"] / local["cpu us"], "redis us": away["redis us"]}
	for _, name := range []string{"cpu us", "p50 ms", "p99 ms"} {
		m[name], m[name+", passed"] = local[name], away[name]
	}
	s.record(m)
	return nil
}
