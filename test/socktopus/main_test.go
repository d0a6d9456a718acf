// Package socktopus_test drives the built server's Socktopus dialect from outside,
// with the npm package ws as the client and tokens made by Node's crypto as the
// README of the original describes them.
package socktopus_test

import (
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"poosh/test/process"
)

var program string

func TestMain(m *testing.M) { os.Exit(process.Main(m, "socktopus", true, &program, "ws")) }

func start(t *testing.T, env ...string) *process.Process {
	t.Helper()
	return process.Start(t, program, "SOCKTOPUS_PORT", append([]string{"MYAPP_SOCKTOPUS_SECRET=s3cret-of-myapp", "OTHER_SOCKTOPUS_SECRET=0ther-secret"}, env...)...)
}

// Everything but what takes the default deadline's 20 seconds.
func TestCases(t *testing.T) {
	t.Parallel()
	p := start(t, "SOCKTOPUS_READ_TIMEOUT=2s")
	process.Node(t, 2*time.Minute, "cases.js", p.URL())
	if strings.Contains(p.Log(), "s3cret-of-myapp") {
		t.Errorf("the log holds the secret:\n%s", p.Log())
	}
}

// The public client pings 19 s after it opened and after each PONG.
func TestDefaultDeadline(t *testing.T) {
	t.Parallel()
	process.Node(t, time.Minute, "deadline.js", start(t).URL())
}

func TestKickRace(t *testing.T) {
	t.Parallel()
	process.Node(t, time.Minute, "kick.js", start(t).URL())
}

func TestSlowReader(t *testing.T) {
	t.Parallel()
	process.Node(t, time.Minute, "slow.js", start(t).URL())
}

// 5,000 connections, each sent to, and some replaced. They ping once: the deadline has
// tests of its own.
func TestCrowd(t *testing.T) {
	process.Node(t, 4*time.Minute, "crowd.js", start(t, "MAX_CONNECTIONS_PER_ADDRESS=20000", "SOCKTOPUS_READ_TIMEOUT=1h").URL(), "5000")
}

// With SOCKTOPUS_KEEP a client that comes back is given what it missed.
func TestKeep(t *testing.T) {
	t.Parallel()
	process.Node(t, 2*time.Minute, "keep.js", start(t, "SOCKTOPUS_KEEP=on").URL())
}

// A restart closes the clients so that they join again.
func TestDrain(t *testing.T) {
	t.Parallel()
	p := start(t)
	cmd := exec.Command("node", "drain.js", p.URL())
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 6)
	if _, err := io.ReadFull(out, line); err != nil || string(line) != "ready\n" {
		t.Fatalf("%q, %v", line, err)
	}
	p.Terminate()
	if err := cmd.Wait(); err != nil {
		t.Errorf("the client was not closed as it should: %v", err)
	}
}

// A secret in .env, PORT, and the token that the command line makes.
func TestTokenCommand(t *testing.T) {
	t.Parallel()
	p := start(t)
	out, err := exec.Command(program, "socktopus", "token", "MyApp", "s3cret-of-myapp", "12").Output()
	if err != nil || !regexp.MustCompile(`^Generated Token: [0-9a-f]+h[0-9a-f]+h[0-9a-f]+h[0-9a-f]{64}\n$`).Match(out) {
		t.Fatalf("%s, %v", out, err)
	}
	token := strings.TrimSpace(strings.TrimPrefix(string(out), "Generated Token: "))
	process.Node(t, time.Minute, "join.js", p.URL(), token)
	if out, err := exec.Command(program, "socktopus", "token", "x").CombinedOutput(); err == nil || !strings.Contains(string(out), "NAME SECRET CONNECTION") {
		t.Errorf("%s, %v", out, err)
	}
}
