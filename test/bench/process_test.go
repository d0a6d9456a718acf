//go:build linux

package main

import (
	"bytes"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"poosh/test/bench/load"
)

// The clock that is built from a process id must be the processor time of all of
// the process's threads: the kernel's other account of it says the same.
func TestCPUClockIsTheProcessorTime(t *testing.T) {
	p := &process{cmd: &exec.Cmd{Process: &os.Process{Pid: os.Getpid()}}}
	before, err := p.cpu()
	if err != nil {
		t.Fatal(err)
	}
	own := ownCPU()
	for end := time.Now().Add(200 * time.Millisecond); time.Now().Before(end); {
	}
	after, err := p.cpu()
	if err != nil {
		t.Fatal(err)
	}
	spent, counted := after-before, ownCPU()-own
	if spent < time.Millisecond || (spent-counted).Abs() > 50*time.Millisecond {
		t.Errorf("the clock went on by %v, getrusage by %v", spent, counted)
	}
}

func TestMemoryIsRead(t *testing.T) {
	p := &process{cmd: &exec.Cmd{Process: &os.Process{Pid: os.Getpid()}}}
	m, err := p.memory()
	if err != nil || m.rss < 1<<20 || m.pss < 1<<20 || m.pss > 2*m.rss {
		t.Errorf("memory %+v, %v", m, err)
	}
}

func TestServerThatEndsIsReported(t *testing.T) {
	_, err := startProcess(func(*process) ([]string, []string, error) {
		return []string{"sh", "-c", "echo no such thing; exit 3"}, nil, nil
	})
	if err == nil || !strings.Contains(err.Error(), "no such thing") || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("error %v, want what the server printed and its exit code", err)
	}
}

func TestReportComparesMedians(t *testing.T) {
	r := &results{options: options{rounds: 3, payload: 150}}
	for _, v := range []float64{9, 1, 2} {
		r.add("burst", poosh, metrics{"cpu us": v})
	}
	for _, v := range []float64{5, 3} {
		r.add("burst", centrifuge, metrics{"cpu us": v})
	}
	r.add("burst", floor, metrics{"cpu us": 1.9})
	var out bytes.Buffer
	r.print(&out, works(false, size{}))
	var found int
	for line := range strings.Lines(out.String()) {
		f := strings.Fields(strings.ReplaceAll(line, "|", " "))
		switch text := strings.Join(f, " "); {
		case strings.Contains(text, "Centrifuge 0.35.0 2.00 4.00 0.50 at most 0.5 yes"),
			strings.Contains(text, "write(2) floor 2.00 1.90 1.05 at most 1 NO"):
			found++
		}
	}
	if found != 2 {
		t.Errorf("the medians 2, 4 and 1.9 are not compared in\n%s", out.String())
	}
}

// Every entrant needs a title and every target a work that measures both sides.
func TestTargetsAreMeasured(t *testing.T) {
	byName := make(map[string]work)
	for _, w := range works(false, size{}) {
		byName[w.name] = w
		for _, e := range w.entrants {
			if titles[e.server] == "" || e.protocol > load.Pusher {
				t.Errorf("%s has an entrant without a name: %v", w.name, e)
			}
		}
	}
	for _, b := range bounds {
		if w := byName[b.work]; !slices.Contains(w.entrants, b.poosh) || !slices.Contains(w.columns, b.metric) {
			t.Errorf("%s does not measure %s of %v", b.work, b.metric, b.poosh)
		}
	}
	for _, target := range targets {
		w := byName[target.work]
		if !slices.Contains(w.columns, target.metric) {
			t.Errorf("%s has no column %s", target.work, target.metric)
		}
		if !slices.Contains(w.entrants, target.poosh) || !slices.Contains(w.entrants, target.to) {
			t.Errorf("%s does not measure both %v and %v", target.work, target.poosh, target.to)
		}
	}
}

func TestTablesAreTurned(t *testing.T) {
	head, rows := turned([]string{"server", "a us", "b us"}, [][]string{{"poosh", "1", "2"}, {"gws", "3", "4"}})
	if !slices.Equal(head, []string{"server", "poosh", "gws"}) || len(rows) != 2 || !slices.Equal(rows[1], []string{"b us", "2", "4"}) {
		t.Errorf("%v, %v", head, rows)
	}
}
