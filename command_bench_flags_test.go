package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"poosh/server/certificate/certificatetest"
)

// benchFails runs a small test that is refused, and looks what it says.
func (s *station) benchFails(code int, says string, args ...string) {
	s.t.Helper()
	cmd, stdout, stderr := s.command(append([]string{"bench", "--clients", "3", "--duration", "500ms"}, args...)...)
	if got := exitCode(s.t, cmd); got != code || !strings.Contains(stderr.String(), says) {
		s.t.Errorf("bench %q: exit code %d, want %d, and %q: %s%s", args, got, code, says, stdout, stderr)
	}
}

// benchTakes is how a small test begins that all goes well in.
var benchTakes = []string{"--clients", "3", "--duration", "500ms", "--rate", "10"}

// A certificate that nobody vouches for is refused unless --insecure says otherwise, for
// clients and for senders, over both transports.
func TestBenchInsecure(t *testing.T) {
	cert, key, _ := certificatetest.New(t).Write(t.TempDir(), "push.example.com")
	s := startStation(t, "TLS_CERT="+cert, "TLS_KEY="+key, "TLS_SENDERS=on")
	clients, senders := "https://127.0.0.1:"+s.ports["CLIENT_PORT"], "https://127.0.0.1:"+s.ports["SERVER_PORT"]
	s.benchFails(4, "no client could connect: TLS: the certificate is of an unknown authority", clients)
	s.benchFails(4, "no client could connect: TLS: the certificate is of an unknown authority", clients, "--transport", "polling")
	s.benchFails(4, "what is published has no answer: TLS: the certificate is of an unknown authority", "--sender", senders)
	for _, transport := range []string{"websocket", "polling"} {
		r := s.bench(0, append(benchTakes, clients, "--sender", senders, "--insecure", "--transport", transport)...)
		if r.Connections.Connected != 3 || r.Deliveries.Delivered != 15 {
			t.Errorf("%s: %+v", transport, r)
		}
	}
}

// What --origin says is what the server takes clients' pages for.
func TestBenchOrigin(t *testing.T) {
	s := startStation(t, "CLIENT_ORIGINS=https://app.example.com", "PUSHER_ALLOWED_ORIGINS=app.example.com")
	for _, more := range [][]string{{"--transport", "websocket"}, {"--transport", "polling"}, {"--protocol", "eio3"}, {"--protocol", "pusher"}} {
		r := s.bench(0, append(append(benchTakes, "--origin", "https://app.example.com"), more...)...)
		if r.Connections.Connected != 3 || r.Deliveries.Delivered != 15 {
			t.Errorf("%q: %+v", more, r)
		}
		s.benchFails(3, "no client could connect: ", append(more, "--origin", "https://else.example.com")...)
	}
}

// With --app clients and publishers are those of one app of several.
func TestBenchApp(t *testing.T) {
	apps := filepath.Join(t.TempDir(), "apps.json")
	text := `{"apps":[{"id":"2","key":"two","secret":"hush-hush-of-two"},{"id":"3","key":"three","secret":"hush-hush-of-three","enabled":false}]}`
	if err := os.WriteFile(apps, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := startStation(t, "PUSHER_APPS="+apps) // beside the app 1
	pusher := []string{"--protocol", "pusher"}
	for run, app := range []string{"", "2", "2", "1"} {
		args := append(benchTakes[:len(benchTakes):len(benchTakes)], pusher...)
		if app == "" {
			app = "1"
		} else {
			args = append(args, "--app", app)
		}
		before := s.calls(app)
		r := s.bench(0, args...)
		if got := s.calls(app) - before; r.Deliveries.Delivered != 15 || got < r.Events.Accepted {
			t.Errorf("run %d: %d calls of app %s: %+v", run, got, app, r)
		}
	}
	s.benchFails(3, "no client could connect: ", append(pusher, "--app", "3")...) // it is off
	s.benchFails(1, `the settings have no Pusher app "4"`, append(pusher, "--app", "4")...)
	s.benchFails(2, "--app goes with --protocol pusher", "--app", "2")
}

// calls is how many requests of an app's senders the server has counted.
func (s *station) calls(app string) (n int64) {
	s.t.Helper()
	m := regexp.MustCompile(fmt.Sprintf(`(?m)^poosh_http_calls_received_total\{app_id=%q,.*\} (.*)$`, app)).FindStringSubmatch(s.operators("/metrics"))
	if m == nil {
		return 0
	}
	value, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		s.t.Fatal(err)
	}
	return int64(value)
}
