package main

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"poosh/server/loadtest"
	"poosh/server/overview"
)

// counted is what a server has counted so far.
func (s *station) counted() (sends, deliveries int64) {
	s.t.Helper()
	var o overview.Overview
	if err := json.Unmarshal([]byte(s.operators("/api/overview")), &o); err != nil {
		s.t.Fatal(err)
	}
	return int64(o.Traffic.Sends.Total), int64(o.Traffic.Deliveries.Total)
}

// bench runs a test to its end and returns its report.
func (s *station) bench(want int, args ...string) *loadtest.Report {
	s.t.Helper()
	cmd, stdout, stderr := s.command(append([]string{"bench", "--json"}, args...)...)
	code := exitCode(s.t, cmd)
	r := new(loadtest.Report)
	if err := json.Unmarshal(stdout.Bytes(), r); err != nil || code != want {
		s.t.Fatalf("bench %q: exit code %d, want %d: %v\n%s%s", args, code, want, err, stdout, stderr)
	}
	return r
}

// benchIsCounted runs a test of 20 clients, and wants the server to have counted what it says was sent and delivered.
func (s *station) benchIsCounted(t *testing.T, args ...string) {
	t.Helper()
	sends, deliveries := s.counted()
	r := s.bench(0, append(args, "--clients", "20", "--duration", "1s")...)
	if r.Connections.Connected != 20 || r.Deliveries.Delivered < 20 || r.Events.Accepted < 5 || r.Latency == nil || int64(r.Latency.Count) != r.Deliveries.Delivered || r.Latency.P50 <= 0 {
		t.Errorf("%+v", r)
	}
	var sent, delivered int64
	eventually(t, "the server's counters", func() bool { // which are read once a second
		now, all := s.counted()
		sent, delivered = now-sends, all-deliveries
		return sent >= r.Events.Accepted+r.Events.Probes && delivered >= r.Deliveries.Delivered+r.Deliveries.Probes
	})
	if sent != r.Events.Accepted+r.Events.Probes || delivered != r.Deliveries.Delivered+r.Deliveries.Probes {
		t.Errorf("the server counts %d sends and %d deliveries, and the test %+v and %+v", sent, delivered, r.Events, r.Deliveries)
	}
}

// What a test says was sent and delivered is what the server has counted, over each
// protocol and transport, at a pace and flat out.
func TestBenchCountsAsTheServerDoes(t *testing.T) {
	s := startStation(t)
	for name, args := range map[string][]string{
		"eio4":    {"--protocol", "eio4"},
		"eio3":    {"--protocol", "eio3", "--rooms", "7"},
		"poll4":   {"--protocol", "eio4", "--transport", "polling"},
		"poll3":   {"--protocol", "eio3", "--transport", "polling", "--rooms", "2"},
		"pusher":  {"--protocol", "pusher", "--rooms", "3"},
		"flat":    {"--flat-out", "--publishers", "3"},
		"flat, p": {"--flat-out", "--protocol", "pusher", "--rooms", "5"},
		"flat, 3": {"--flat-out", "--protocol", "eio3", "--transport", "polling"},
		"large":   {"--size", "20000", "--rate", "5", "--protocol", "eio3"},
	} {
		t.Run(name, func(t *testing.T) {
			s.benchIsCounted(t, args...)
		})
	}
}

// A paced test takes its time and keeps its pace, and ends by itself.
func TestBenchIsPaced(t *testing.T) {
	s := startStation(t)
	r := s.bench(0, "--rate", "50", "--duration", "2s", "--clients", "10", "--connect-rate", "50")
	if r.Events.Accepted != 100 || r.Deliveries.Delivered != 1000 || r.Events.Seconds < 1.9 || r.Connections.Seconds < 0.17 {
		t.Errorf("%+v", r)
	}
}

// What is refused, misused and not there is told, with the codes that the help names.
func TestBenchFails(t *testing.T) {
	s := startStation(t)
	at := "http://127.0.0.1:" + s.ports["CLIENT_PORT"]
	for name, row := range map[string]struct {
		code int
		says string
		args []string
	}{
		"another machine":        {2, "is not this machine: if it is yours to be put under load, say --yes-to 192.0.2.1", []string{"http://192.0.2.1:8000", "--echo", "x"}},
		"its sender":             {2, "192.0.2.1 is not this machine", []string{at, "--sender", "http://192.0.2.1"}},
		"the one that is named":  {2, "192.0.2.2 is not this machine", []string{"http://192.0.2.2", "--echo", "x", "--yes-to", "192.0.2.1"}},
		"no address":             {2, "URL is no address", []string{"127.0.0.1:8000"}},
		"two ways":               {2, "want one of --emit", []string{"--emit", "x", "--echo", "y"}},
		"a pace and none":        {2, "not both", []string{"--rate", "5", "--flat-out"}},
		"no pace":                {2, "want a --rate", []string{"--rate", "0"}},
		"no transport":           {2, "want websocket or polling", []string{"--transport", "carrier pigeon"}},
		"no protocol":            {2, "want eio4, eio3, pusher or laravel-echo", []string{"--protocol", "mqtt"}},
		"too many":               {2, "want 1 to 200000 clients", []string{"--clients", "200001"}},
		"nobody there":           {4, "no client could connect: connection refused", []string{"http://127.0.0.1:9", "--echo", "x"}},
		"no publisher there":     {4, "what is published has no answer: connection refused", []string{"--sender", "http://127.0.0.1:9"}},
		"no server of socket.io": {3, "no client could connect: answered 4", []string{"http://127.0.0.1:" + s.ports["SERVER_PORT"], "--echo", "x"}},
		"nothing comes":          {5, "nothing came", []string{at, "--listen-only", "--duration", "200ms"}},
		"no such join":           {5, "nothing that is published reaches any client", []string{at, "--join", "unknown", "--timeout", "3s"}},
	} {
		t.Run(name, func(t *testing.T) {
			cmd, stdout, stderr := s.command(append([]string{"bench", "--clients", "5", "--duration", "1s"}, row.args...)...)
			if code := exitCode(t, cmd); code != row.code || !strings.Contains(stderr.String(), row.says) || row.code == 2 && stdout.Len() > 0 {
				t.Errorf("exit code %d, want %d: %s%s", code, row.code, stdout, stderr)
			}
		})
	}
	cmd, stdout, stderr := s.command("bench", "--clients", "5")
	cmd.Env = []string{"SERVER_SECRET=another-secret-than-there"}
	if code := exitCode(t, cmd); code != 3 || !strings.Contains(stderr.String(), "the server refuses what is published: answered 401") || strings.Contains(stdout.String()+stderr.String(), "another-secret") {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
	few := exec.Command("prlimit", "--nofile=200:200", program, "bench", "--clients", "1000")
	few.Dir, few.Env = s.dir, []string{}
	if out, _ := few.CombinedOutput(); few.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), "1000 clients need 1036 open files, and this process may have 200") {
		t.Errorf("exit code %d: %s", few.ProcessState.ExitCode(), out)
	}
}

// Ctrl-C ends a test with the numbers so far.
func TestBenchInterrupted(t *testing.T) {
	s := startStation(t)
	_, before := s.counted()
	f := s.follow("bench", "--duration", "1h", "--clients", "5", "--json")
	eventually(t, "deliveries", func() bool { _, n := s.counted(); return n > before+50 })
	if err := f.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	code := f.code(t)
	var r loadtest.Report
	if err := json.Unmarshal([]byte(f.stdout.String()), &r); err != nil || code != 0 || !r.Interrupted || r.Deliveries.Delivered < 20 || f.stderr.String() != "" {
		t.Errorf("exit code %d, %v: %s%s", code, err, f.stdout.String(), f.stderr.String())
	}
}

// A server that dies halfway ends a test with exit code 1, and the numbers so far.
func TestBenchServerDies(t *testing.T) {
	s := startStation(t, "SHUTDOWN_TIMEOUT=1s")
	_, before := s.counted()
	f := s.follow("bench", "--duration", "1h", "--clients", "5", "--timeout", "2s")
	eventually(t, "deliveries", func() bool { _, n := s.counted(); return n > before+50 })
	_ = s.cmd.Process.Signal(syscall.SIGKILL)
	if code := f.code(t); code != 1 || !strings.Contains(f.stdout.String(), "every connection has ended") || !strings.Contains(f.stdout.String(), "0 out of order") {
		t.Errorf("exit code %d: %s%s", code, f.stdout.String(), f.stderr.String())
	}
}

// In a pipe there is no bar and no escape code.
func TestBenchInAPipe(t *testing.T) {
	s := startStation(t)
	cmd, stdout, stderr := s.command("bench", "--clients", "3", "--duration", "1s")
	cmd.Env = []string{"TERM=xterm"}
	if code := exitCode(t, cmd); code != 0 || stderr.Len() > 0 || strings.ContainsAny(stdout.String(), "\x1b\r") || !strings.Contains(stdout.String(), "deliveries ") {
		t.Errorf("exit code %d: %q%q", code, stdout, stderr)
	}
}

// On a terminal there is a bar that grows, and nothing is left of it when there are numbers.
func TestBenchBarInTmux(t *testing.T) {
	if _, err := exec.LookPath("tmux"); err != nil {
		t.Fatal("tmux is not installed: apt-get install tmux")
	}
	s := startStation(t)
	socket := filepath.Join(t.TempDir(), "tmux")
	tmux := func(args ...string) (string, error) {
		cmd := exec.Command("tmux", append([]string{"-S", socket, "-f", "/dev/null"}, args...)...)
		cmd.Dir, cmd.Env = s.dir, []string{"PATH=" + os.Getenv("PATH"), "TERM=xterm", "LC_ALL=C.UTF-8", "SHELL=/bin/sh"}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := tmux("new-session", "-d", "-x", "80", "-y", "24", program+" bench --clients 10 --duration 6s; echo ended with $?; sleep 600"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Cleanup(func() { _, _ = tmux("kill-server") })
	bar := regexp.MustCompile(`(?m)^\[(#*)-*\] +([0-9]+) % publishing, 10/10 clients, [0-9]+ deliveries$`)
	seen := make(map[string]bool) // how long the bar was
	screen := ""
	eventually(t, "a bar that grows, and the numbers", func() bool {
		screen, _ = tmux("capture-pane", "-p")
		if m := bar.FindStringSubmatch(screen); m != nil {
			seen[m[1]] = true
		}
		return strings.Contains(screen, "ended with ")
	})
	if len(seen) < 2 {
		t.Errorf("%d bars were seen", len(seen))
	}
	if !strings.Contains(screen, "ended with 0") || strings.Contains(screen, "#") || !strings.HasPrefix(screen, "server ") {
		t.Errorf("at the end there is\n%s", screen)
	}
}

// foreignServer starts a server of socket.io on Node that knows nothing of Poosh, of a
// version that test/loadtest has, and returns its address.
func foreignServer(t *testing.T, version string) string {
	t.Helper()
	if _, err := os.Stat("test/loadtest/node_modules/socket.io-" + version); err != nil {
		t.Fatal("socket.io is not installed: npm ci --prefix test/loadtest")
	}
	node := exec.Command("node", "server.js", version)
	node.Dir = "test/loadtest"
	hold, err := node.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := node.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Start(); err != nil {
		t.Fatalf("%v: apt-get install nodejs", err)
	}
	t.Cleanup(func() {
		_ = hold.Close()
		_ = node.Process.Kill()
		_ = node.Wait()
	})
	port, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return "http://127.0.0.1:" + strings.TrimSpace(port)
}

// Servers of socket.io 1.3.5 and 4.8.1: a join, events that clients emit to a room, and an
// echo. Nothing is lost, and the report says what was asked of whom.
func TestBenchOfAnotherServer(t *testing.T) {
	at := map[string]string{"1": foreignServer(t, "1"), "4": foreignServer(t, "4")}
	dir := t.TempDir() // without settings
	const clients, events = 12, 40
	emit := []string{"--join", "join", "--emit", "publish"}
	for _, row := range []struct {
		version, protocol, transport string
		args                         []string
		each                         int64 // deliveries of an event
	}{
		{"4", "eio4", "websocket", append(emit, "--rooms", "3"), clients / 3},
		{"4", "eio3", "websocket", emit, clients},
		{"4", "eio4", "polling", append(emit, "--rooms", "2"), clients / 2},
		{"4", "eio4", "websocket", []string{"--echo", "ping me"}, 1},
		{"4", "eio3", "polling", []string{"--echo", "ping me"}, 1},
		{"1", "eio3", "websocket", append(emit, "--rooms", "3"), clients / 3},
		{"1", "eio3", "polling", emit, clients},
		{"1", "eio3", "websocket", []string{"--echo", "ping me"}, 1},
	} {
		t.Run(strings.Join(append([]string{row.version, row.protocol, row.transport}, row.args...), " "), func(t *testing.T) {
			s := &station{t: t, dir: dir}
			r := s.bench(0, append([]string{at[row.version], "--clients", "12", "--duration", "1s", "--rate", "40",
				"--protocol", row.protocol, "--transport", row.transport}, row.args...)...)
			if r.Events.Accepted != events || r.Deliveries.Delivered != events*row.each || r.Latency == nil || !r.Good() {
				t.Errorf("%+v", r)
			}
			if "http://"+r.Server != at[row.version] || r.Protocol != row.protocol || r.Transport != row.transport {
				t.Errorf("it says %s, %s over %s", r.Server, r.Protocol, r.Transport)
			}
		})
	}
	for version, protocol := range map[string]string{"1": "eio3", "4": "eio4"} {
		s := &station{t: t, dir: dir}
		flat := s.bench(0, append([]string{at[version], "--clients", "12", "--duration", "1s", "--flat-out", "--protocol", protocol}, emit...)...)
		if flat.Events.Accepted < 20 || flat.Deliveries.Delivered != clients*flat.Events.Accepted {
			t.Errorf("socket.io %s: %+v", version, flat)
		}
	}
	s := &station{t: t, dir: dir}
	twice := s.bench(1, at["4"], "--clients", "12", "--duration", "1s", "--rate", "40", "--join", "join", "--emit", "twice")
	// It ends when everybody has the last event, and need not see that come again.
	if d := twice.Deliveries; d.Delivered != clients*events || d.Doubled < clients*(events-1) || d.Doubled > clients*events || d.Lost != 0 {
		t.Errorf("%+v", d)
	}
}

// With --listen-only what others publish to a room is counted.
func TestBenchListens(t *testing.T) {
	s := startStation(t)
	f := s.follow("bench", "--listen-only", "--room", "news", "--clients", "4", "--duration", "1h", "--json")
	eventually(t, "it to listen", func() bool {
		code, out, _ := s.run("send", "--room", "news", "hello")
		return code == 0 && strings.Contains(out, "4 connections took it")
	})
	time.Sleep(3 * time.Second) // it does not tell what has come so far, and that is on its way
	if err := f.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	code := f.code(t)
	var r loadtest.Report
	if err := json.Unmarshal([]byte(f.stdout.String()), &r); err != nil || code != 0 || r.Deliveries.Delivered < 4 || r.Latency != nil || r.Deliveries.Bytes < 40 {
		t.Errorf("exit code %d, %v: %s%s", code, err, f.stdout.String(), f.stderr.String())
	}
}
