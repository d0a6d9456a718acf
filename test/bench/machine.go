//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// A setting is what results hold for: they mean little without.
type setting struct {
	Commit  string // of poosh, with -dirty if it was changed since
	Before  string // commit of the server "before", if there is one
	Date    string
	Machine string
	Kernel  string
	Go      string
	Load    float64 // processes that wanted to run in the minute before
	Files   uint64  // that a process may open
	Payload int     // bytes of an event's payload, unless a work has its own
	Rounds  int
}

// newSetting looks at the machine.
func newSetting(o options, files uint64) setting {
	return setting{
		Commit: o.commit, Before: o.before, Date: time.Now().Format(time.DateOnly),
		Machine: fmt.Sprintf("%d CPUs (%s), %s/%s", runtime.NumCPU(), cpuModel(read("/proc/cpuinfo")), runtime.GOOS, runtime.GOARCH),
		Kernel:  strings.TrimSpace(string(read("/proc/sys/kernel/osrelease"))), Go: runtime.Version(),
		Load: loadAverage(read("/proc/loadavg")), Files: files, Payload: o.payload, Rounds: o.rounds,
	}
}

// noisy is how many processes that want to run beside it make a measurement doubtful.
const noisy = 0.5

func (s setting) String() string {
	text := fmt.Sprintf("Commit %s, %s. %s, Linux %s, %s, load %.2f before it began. %d open files, payload of %d bytes, medians of up to %d rounds.",
		or(s.Commit, "unknown"), s.Date, s.Machine, s.Kernel, s.Go, s.Load, s.Files, s.Payload, s.Rounds)
	if s.Before != "" {
		text += fmt.Sprintf(" \"Poosh before\" is commit %s.", s.Before)
	}
	if s.Load > noisy {
		text += " THE MACHINE WAS NOT QUIET: these are no results."
	}
	return text
}

func or(s, standard string) string {
	if s == "" {
		return standard
	}
	return s
}

// read returns a file of /proc, or nothing.
func read(file string) []byte {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	return text
}

// cpuModel reads the name of the processor in /proc/cpuinfo.
func cpuModel(text []byte) string {
	for line := range bytes.Lines(text) {
		name, value, found := strings.Cut(string(line), ":")
		if found && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

// loadAverage reads the first number in /proc/loadavg.
func loadAverage(text []byte) float64 {
	first, _, _ := strings.Cut(string(text), " ")
	v, err := strconv.ParseFloat(first, 64)
	if err != nil {
		return 0
	}
	return v
}
