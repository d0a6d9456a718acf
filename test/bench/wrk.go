//go:build linux

package main

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"poosh/test/bench/load"
)

// How wrk publishes: one thread, so that the server has the rest of the machine.
const (
	wrkConnections = 32
	wrkRequests    = 512 // different signed requests, sent in turn
)

//go:embed wrk.lua
var wrkScript []byte

// publishOnly publishes to nobody, over many kept connections at once.
func publishOnly(s *trial, w work) error {
	dir, err := os.MkdirTemp("", "bench-wrk-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	requests := bytes.Join(load.Requests(s.server.senders, secret, wrkRequests, s.opts.payload), []byte{0})
	script, data := filepath.Join(dir, "wrk.lua"), filepath.Join(dir, "requests")
	if err := os.WriteFile(script, wrkScript, 0o666); err != nil {
		return err
	}
	if err := os.WriteFile(data, requests, 0o666); err != nil {
		return err
	}
	if _, err := s.wrk(script, data, max(w.duration/5, time.Second)); err != nil {
		return err
	}
	return s.profile(w.name, func() error {
		m, err := s.wrk(script, data, w.duration)
		if err == nil {
			s.record(m)
		}
		return err
	})
}

// wrk runs wrk for some whole seconds.
func (s *trial) wrk(script, data string, d time.Duration) (metrics, error) {
	ctx, cancel := context.WithTimeout(context.Background(), d+20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "wrk", "-t1", fmt.Sprintf("-c%d", wrkConnections),
		fmt.Sprintf("-d%ds", int(d.Seconds())), "-s", script, "http://"+s.server.senders.String()+"/send")
	cmd.Env = append(os.Environ(), "BENCH_REQUESTS="+data)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	before, err := s.server.cpu()
	if err != nil {
		return nil, err
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("wrk: %w: %s", err, out)
	}
	after, err := s.server.cpu()
	if err != nil {
		return nil, err
	}
	_, line, found := bytes.Cut(out, []byte("RESULT "))
	var n, micro, wrong, broken, p50, p99 float64
	if _, err := fmt.Sscan(string(line), &n, &micro, &wrong, &broken, &p50, &p99); !found || err != nil {
		return nil, fmt.Errorf("wrk printed %q", out)
	}
	if wrong+broken > 0 || n == 0 {
		return nil, fmt.Errorf("%v requests, of which %v were not answered 200 and %v broke: %s", n, wrong, broken, s.server.printed())
	}
	own := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return metrics{
		"requests/s":     n / (micro / 1e6),
		"cpu us/request": micros(after-before) / n,
		"wrk us/request": micros(own) / n,
		"p50 ms":         p50 / 1e3,
		"p99 ms":         p99 / 1e3,
	}, nil
}
