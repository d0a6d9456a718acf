//go:build linux

package main

import (
	"errors"
	"fmt"
	"time"

	"poosh/test/bench/load"
)

// stalled looks at latency before and after one client has stopped to read, and
// the server cannot write to it any more.
func stalled(s *trial, w work) error {
	if _, err := s.connect(w.clients - 1); err != nil {
		return err
	}
	if _, err := s.deliver(1, 10, w.interval/4); err != nil {
		return err
	}
	if err := s.settle(time.Second); err != nil {
		return err
	}
	before, err := s.deliver(1, w.events, w.interval)
	if err != nil {
		return err
	}
	mute, err := load.NewCrowd(s.crowdConfig())
	if err != nil {
		return err
	}
	defer mute.Close()
	if _, err := mute.Connect(1, connectTimeout); err != nil {
		return err
	}
	// Nobody pumps it: what comes for it fills the kernel's buffers first.
	const bursts, events = 100, 2000
	for i := 0; ; i++ {
		waiting, err := s.server.stuck()
		if err != nil {
			return err
		}
		if waiting > 0 {
			break
		}
		if i == bursts {
			return errors.New("a client that does not read did not hold anything up")
		}
		if _, err := s.deliver(1, events, 0); err != nil {
			return err
		}
	}
	if err := s.settle(time.Second); err != nil {
		return err
	}
	after, err := s.deliver(1, w.events, w.interval)
	if err != nil {
		return err
	}
	if waiting, err := s.server.stuck(); err != nil || waiting == 0 {
		return fmt.Errorf("the stalled client was gone before the end: %w", err)
	}
	m := make(metrics)
	for _, name := range []string{"cpu us", "p50 ms", "p99 ms"} {
		m[name], m[name+", stalled"] = before[name], after[name]
	}
	m["p99 growth"] = after["p99 ms"] / before["p99 ms"]
	s.record(m)
	return nil
}
