package dashboard_test

import (
	"bufio"
	"bytes"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The server is killed, started again, stopped for a while, and asked to end; the page
// says so, and comes back by itself.
func TestLost(t *testing.T) {
	p, at := start(t, "SHUTDOWN_TIMEOUT=12s")
	cmd := exec.CommandContext(t.Context(), "node", "lost.js", at)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	cmd.WaitDelay = 5 * time.Second // for what it has started
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	limit := time.AfterFunc(4*time.Minute, func() { _ = cmd.Process.Kill() })
	defer limit.Stop()

	var did []string
	ended := make(chan struct{})
	for lines := bufio.NewScanner(out); lines.Scan(); {
		word := lines.Text()
		did = append(did, word)
		switch word {
		case "kill":
			p.Kill()
		case "restart":
			p.Restart()
		case "stop":
			t.Cleanup(func() { p.Signal(syscall.SIGCONT) }) // a stopped server would not end
			p.Signal(syscall.SIGSTOP)
		case "go on":
			p.Signal(syscall.SIGCONT)
		case "terminate":
			go func() { // ends with the server
				defer close(ended)
				p.Terminate()
			}()
		default:
			t.Fatalf("the script says %q", word)
		}
		if _, err := io.WriteString(in, "done\n"); err != nil {
			t.Fatal(err)
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("after %q: %v\n%s", did, err, &complaints)
	}
	if got, want := strings.Join(did, ", "), "kill, restart, stop, go on, terminate"; got != want {
		t.Fatalf("it asked for %s, want %s", got, want)
	}
	<-ended
}
