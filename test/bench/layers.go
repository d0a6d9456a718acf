//go:build linux

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"poosh/test/bench/load"
)

// A layer is a part of what a publish takes, by the beginnings of the names of its
// functions.
type layer struct {
	name      string
	functions []string
}

// The layers that a sample's functions are looked up in, from the innermost out. Of
// one function the longest beginning counts: what is of the server and of nothing else
// here carries the request, and is HTTP's.
var layers = []layer{
	{"HTTP", []string{"poosh/server", "net/http.", "net/textproto.", "net/url.", "mime.", "github.com/go-chi/"}},
	{"token", []string{"poosh/auth.", "crypto/", "encoding/hex."}},
	{"JSON", []string{
		"encoding/json.", "poosh/server/exactjson.",
		"poosh/auth.Pick", "poosh/auth.pick", "poosh/auth.scan", "poosh/auth.Value", "poosh/auth.indexOfKey", "poosh/auth.endOfString",
		"poosh/server/poosh.(*message)", "poosh/server/pusher/api.parseEvent",
	}},
	{"hub", []string{"poosh/server/hub."}},
	{"frame", []string{
		"poosh/server/poosh.encoder", "poosh/server/pusher/protocol.",
		"poosh/server/socketio.EventFrame", "poosh/server/socketio.messageFrame", "poosh/server/socketio.append",
		"poosh/server/websocket.TextFrame", "poosh/server/websocket.FrameInPlace", "poosh/server/websocket.putHeader",
	}},
	{"outbox", []string{"poosh/server/loop.", "poosh/server/websocket.", "poosh/server/socketio.", "poosh/server/pusher/client.(*client).Deliver", "poosh/server/pusher/app.(*Connection).Push"}},
	{"poller", []string{"poosh/server/loop.(*poller)", "poosh/server/loop.(*Conn).received", "poosh/server/loop.readOnce"}},
}

// What is in none of these is of the kernel, if a system call is innermost, of the
// collector or of the rest of Go's runtime.
const (
	kernelWrite   = "kernel: write"
	kernelRead    = "kernel: read"
	kernelReady   = "kernel: epoll"
	kernelThreads = "kernel: threads"
	kernelOther   = "kernel: other"
	collector     = "collector"
	goRuntime     = "Go's runtime"
	elsewhere     = "elsewhere"
)

// layerNames are all layers in the order of the table.
func layerNames() []string {
	names := []string{kernelWrite, kernelRead, kernelReady, kernelThreads, kernelOther}
	for _, l := range layers {
		names = append(names, l.name)
	}
	return append(names, collector, goRuntime, elsewhere)
}

// layerOf returns the layer of a sample, whose functions stand innermost first.
func layerOf(stack []string) string {
	if len(stack) == 0 {
		return elsewhere
	}
	if name, ok := kernelOf(stack); ok {
		return name
	}
	for _, function := range stack {
		if hasAnyPrefix(function, "runtime.gcBgMarkWorker", "runtime.gcAssist", "runtime.bgsweep", "runtime.bgscavenge", "runtime.gcStart") {
			return collector
		}
		if name := functionLayer(function); name != "" {
			return name
		}
	}
	if strings.HasPrefix(stack[len(stack)-1], "runtime.") {
		return goRuntime
	}
	return elsewhere
}

// functionLayer returns the layer that a function belongs to, or nothing.
func functionLayer(function string) (name string) {
	longest := 0
	for _, l := range layers {
		for _, prefix := range l.functions {
			if len(prefix) > longest && strings.HasPrefix(function, prefix) {
				longest, name = len(prefix), l.name
			}
		}
	}
	return name
}

// kernelOf tells what a system call was for by its function and those around it: a
// profile of Go ends where the kernel begins.
func kernelOf(stack []string) (name string, ok bool) {
	if hasAnyPrefix(stack[0], "runtime.futex", "runtime.usleep", "runtime.osyield", "runtime.nanosleep", "runtime.tgkill", "runtime.clone") {
		return kernelThreads, true
	}
	if !hasAnyPrefix(stack[0], "internal/runtime/syscall", "syscall.", "golang.org/x/sys/unix.", "runtime/internal/syscall") {
		return "", false
	}
	for _, function := range stack[:min(len(stack), 8)] {
		function = strings.ToLower(function[strings.LastIndexByte(function, '.')+1:])
		switch {
		case strings.Contains(function, "epoll"):
			return kernelReady, true
		case strings.Contains(function, "write") || strings.Contains(function, "send"):
			return kernelWrite, true
		case strings.Contains(function, "read") && function != "rawread" || strings.Contains(function, "recv"):
			return kernelRead, true
		}
	}
	return kernelOther, true
}

func hasAnyPrefix(s string, prefixes ...string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}

// shares adds up what go tool pprof prints as -traces with -unit=ns, by layer, as
// shares of the whole.
func shares(traces []byte) (map[string]float64, error) {
	byLayer := make(map[string]float64)
	var sum, value float64
	var stack []string
	end := func() {
		if len(stack) > 0 {
			byLayer[layerOf(stack)] += value
			sum += value
		}
		stack = nil
	}
	begun := false // behind the first line between two stacks
	lines := bufio.NewScanner(bytes.NewReader(traces))
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, "-----------+") {
			end()
			begun = true
			continue
		}
		fields := strings.Fields(strings.TrimSuffix(line, " (inline)"))
		switch {
		case !begun || len(fields) == 0:
		case len(stack) == 0:
			amount, isTime := strings.CutSuffix(fields[0], "ns")
			v, err := strconv.ParseFloat(amount, 64)
			if !isTime || err != nil || len(fields) < 2 {
				return nil, fmt.Errorf("pprof printed %q where a sample should begin", line)
			}
			value, stack = v, append(stack, strings.Join(fields[1:], " "))
		default:
			stack = append(stack, strings.Join(fields, " "))
		}
	}
	end()
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if sum == 0 {
		return nil, fmt.Errorf("no samples in what pprof printed: %.200q", traces)
	}
	for name := range byLayer {
		byLayer[name] /= sum
	}
	return byLayer, nil
}

// layerWorks tell where poosh spends the time of a publish.
func layerWorks() []work {
	columns := append([]string{"all us"}, append(layerNames(), "waited for locks")...)
	single := load.Rooms{Count: 5000, Shared: 10}
	return []work{
		{
			name: "layers", run: byLayer, profiled: true, upright: true, columns: columns, entrants: []entrant{poosh, poosh4, pooshPusher},
			clients: 5000, rooms: single, publishers: 16, events: 5000,
		},
		{
			name: "layers-paced", run: byLayer, profiled: true, upright: true, columns: columns, entrants: []entrant{poosh, poosh4, pooshPusher},
			clients: 5000, rooms: single, publishers: 16, events: 1880, interval: time.Second / 3000,
		},
	}
}

// byLayer publishes under the CPU profiler and splits the processor time that the
// kernel counted as the samples say.
func byLayer(s *trial, w work) error {
	if _, err := s.connect(w.clients); err != nil {
		return err
	}
	if _, err := s.deliver(w.publishers, w.events/4, w.interval); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "bench-profile-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "cpu.pprof")
	waited, err := s.server.waited()
	if err != nil {
		return err
	}
	if err := s.server.startProfile(); err != nil {
		return err
	}
	m, err := s.deliver(w.publishers, w.events, w.interval)
	if err != nil {
		return err
	}
	if err := s.server.stopProfile(file); err != nil {
		return err
	}
	waitedSince, err := s.server.waited()
	if err != nil {
		return err
	}
	traces, err := exec.Command("go", "tool", "pprof", "-traces", "-unit=ns", file).Output()
	if err != nil {
		return fmt.Errorf("go tool pprof: %w", err)
	}
	parts, err := shares(traces)
	if err != nil {
		return err
	}
	all := m["cpu us/publish"]
	out := metrics{"all us": all, "waited for locks": micros(waitedSince-waited) / (float64(w.events) * float64(w.publishers))}
	for _, name := range layerNames() {
		out[name] = parts[name] * all
	}
	s.record(out)
	return nil
}
