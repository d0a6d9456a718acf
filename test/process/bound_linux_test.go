package process

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// bound is set for a test binary that starts something and is then killed.
const bound = "POOSH_TEST_BOUND"

// What a test has started ends with it, however that ends.
func TestStartBound(t *testing.T) {
	if os.Getenv(bound) != "" {
		cmd := exec.Command("sleep", "600")
		if err := StartBound(cmd, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		fmt.Printf("pid %d\n", cmd.Process.Pid)
		_ = cmd.Wait()
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run", "^TestStartBound$")
	cmd.Env = append(os.Environ(), bound+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := 0
	for lines := bufio.NewScanner(out); pid == 0 && lines.Scan(); {
		_, _ = fmt.Sscanf(lines.Text(), "pid %d", &pid)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if pid == 0 {
		t.Fatal("it started nothing")
	}
	for end := time.Now().Add(Patience); runs(pid); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			t.Fatalf("%d is there %v later", pid, Patience)
		}
	}
}

// runs reports whether a process sleeps on; whoever has ended may be there until its parent hears of it.
func runs(pid int) bool {
	name, err := os.ReadFile(filepath.Join("/proc", fmt.Sprint(pid), "cmdline"))
	return err == nil && len(name) > 0
}
