package pushsocket_test

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"poosh/test/process"
)

// The example's device registers, listens and is sent to, as its README says.
func TestExample(t *testing.T) {
	p := start(t)
	script, err := filepath.Abs(filepath.Join("..", "..", "examples", "pushsocket", "device.js"))
	if err != nil {
		t.Fatal(err)
	}
	modules, err := filepath.Abs("node_modules")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	device := func(args ...string) *exec.Cmd {
		cmd := exec.Command("node", append([]string{script}, args...)...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "PUSH_SOCKET_URL="+p.URL(), "NODE_PATH="+modules)
		return cmd
	}
	alice := device("alice", "listen")
	out, err := alice.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := alice.Start(); err != nil {
		t.Fatal(err)
	}
	lines := make(chan string, 10)
	go func() { // ends with the process
		defer close(lines)
		for r := bufio.NewReader(out); ; {
			line, err := r.ReadString('\n')
			if err == io.EOF {
				return
			}
			lines <- strings.TrimSpace(line)
		}
	}()
	defer func() {
		_ = alice.Process.Kill()
		for range lines {
		}
		_ = alice.Wait() // killed
	}()
	next := func() string {
		t.Helper()
		select {
		case line := <-lines:
			return line
		case <-time.After(process.Patience):
			t.Fatal("the device says nothing")
			return ""
		}
	}
	address, ok := strings.CutPrefix(next(), "listening as ")
	if !ok || !strings.HasSuffix(address, "|1") {
		t.Fatalf("address %q", address)
	}
	sent, err := device("bob", "send", address, "hello \u00e9").CombinedOutput()
	if err != nil || !strings.HasPrefix(string(sent), `200 {"messagesQueued":1,`) {
		t.Errorf("%s, %v", sent, err)
	}
	if got := next(); got != "message: hello \u00e9" {
		t.Errorf("%q", got)
	}
	if removed, err := device("bob", "remove").CombinedOutput(); err != nil || string(removed) != "200 OK\n" {
		t.Errorf("%s, %v", removed, err)
	}
}
