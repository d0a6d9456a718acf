// Package tls has TLS of our own ports looked at from outside, by real clients and by an
// authority.
package tls

import (
	"fmt"
	"net/http"
	"os/exec"
	"testing"
	"time"

	"poosh/server/logtest"
	"poosh/test/process"
)

const patience = 60 * time.Second

// operators ask over HTTP, and do not wait forever.
var operators = &http.Client{Timeout: patience}

// tool is where a program is, which a test needs.
func tool(t testing.TB, program, pack string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Fatalf("%s is missing; on Debian: apt-get install -y --no-install-recommends %s", program, pack)
	}
	return path
}

func freePort(t testing.TB) int { return process.FreePort(t) }

func addr(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

func eventually(t testing.TB, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !so(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// start runs a program until the test ends.
func start(t testing.TB, cmd *exec.Cmd) *logtest.Buffer {
	t.Helper()
	out := new(logtest.Buffer)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			text := out.String()
			t.Logf("%s:\n%s", cmd.Path, text[max(0, len(text)-4000):])
		}
	})
	return out
}
