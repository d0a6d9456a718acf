// Package process builds the program and runs it for tests that look at it from
// outside. Only tests import it, and of its ports the benchmark.
package process

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"poosh/server/logtest"
)

// Patience is how long tests wait for what should happen at once, on a busy machine
// with the race detector.
const Patience = 60 * time.Second

// Listing reports whether the tests are only to be named, for which nothing is needed. A
// TestMain asks it first.
func Listing() bool {
	flag.Parse()
	return flag.Lookup("test.list").Value.String() != ""
}

// Main builds the program, with the race detector if race is set, stores where it
// is, and runs the tests of a package. needs are files of npm packages, and what
// installs them is told when one is missing. It returns an exit code.
func Main(m *testing.M, name string, race bool, program *string, needs ...string) int {
	if Listing() {
		return m.Run()
	}
	complain := func(what, install string) int {
		fmt.Fprintf(os.Stderr, "test/%s: %s: %s\n", name, what, install)
		return 1
	}
	for tool, install := range map[string]string{"node": "apt-get install nodejs npm", "curl": "apt-get install curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			return complain(tool+" is not installed", install)
		}
	}
	for _, need := range needs {
		if _, err := os.Stat(filepath.Join("node_modules", need)); err != nil {
			return complain("the npm package "+need+" is not installed", "npm ci --prefix test/"+name)
		}
	}
	dir, err := os.MkdirTemp("", "poosh-"+name+"-")
	if err != nil {
		return complain("a directory", err.Error())
	}
	defer os.RemoveAll(dir)
	if *program, err = Build(dir, race); err != nil {
		return complain("the program", err.Error())
	}
	return m.Run()
}

// A Process is one running program with a port of its own.
type Process struct {
	T    testing.TB
	Dir  string // its working directory
	Port int

	program string
	env     []string
	cmd     *exec.Cmd
	exited  chan struct{}
	log     *logtest.Buffer
}

// Start runs the program with settings given as NAME=value, the one that names the
// port among them added, waits until it answers, and ends it with the test.
func Start(t testing.TB, program, portSetting string, env ...string) *Process {
	t.Helper()
	for try := 1; ; try++ {
		p := &Process{T: t, Dir: t.TempDir(), Port: FreePort(t), program: program}
		p.env = append([]string{portSetting + "=" + strconv.Itoa(p.Port), "HOST=127.0.0.1", "PATH=" + os.Getenv("PATH")}, env...)
		err := p.launch()
		if err == nil {
			t.Cleanup(p.end)
			return p
		}
		if try == 3 || !strings.Contains(p.Log(), "address already in use") {
			t.Fatalf("the server did not start: %v\n%s", err, p.Log())
		}
	}
}

func (p *Process) launch() error {
	p.log = &logtest.Buffer{}
	p.exited = make(chan struct{})
	p.cmd = exec.Command(p.program)
	p.cmd.Dir, p.cmd.Env = p.Dir, p.env
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if err := StartBound(p.cmd, syscall.SIGKILL); err != nil {
		return err
	}
	cmd, exited := p.cmd, p.exited
	go func() { // ends with the process
		_ = cmd.Wait()
		close(exited)
	}()
	for end := time.Now().Add(Patience); ; time.Sleep(5 * time.Millisecond) {
		c, err := net.Dial("tcp", p.Addr())
		if err == nil {
			return c.Close()
		}
		select {
		case <-p.exited:
			return fmt.Errorf("it ended with %v", p.cmd.ProcessState)
		default:
		}
		if time.Now().After(end) {
			_ = p.cmd.Process.Kill()
			<-p.exited
			return err
		}
	}
}

// Addr is where it listens, and URL the same for a client.
func (p *Process) Addr() string { return "127.0.0.1:" + strconv.Itoa(p.Port) }

// URL is the address of the server for an HTTP client.
func (p *Process) URL() string { return "http://" + p.Addr() }

// Log is what it has printed since it was started last.
func (p *Process) Log() string { return p.log.String() }

// Kill ends it by SIGKILL.
func (p *Process) Kill() {
	p.T.Helper()
	p.Signal(syscall.SIGKILL)
	<-p.exited
	p.checkLog()
}

// Restart starts it again on the same port.
func (p *Process) Restart() {
	p.T.Helper()
	if err := p.launch(); err != nil {
		p.T.Fatalf("the server did not start again: %v\n%s", err, p.Log())
	}
}

// Terminate asks it to end and waits until it has; the exit code must be 0.
func (p *Process) Terminate() {
	p.T.Helper()
	p.Signal(syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(Patience):
		p.Signal(syscall.SIGQUIT) // prints the goroutines
		<-p.exited
		p.T.Errorf("the server was still there %v after SIGTERM\n%s", Patience, p.Log())
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		p.T.Errorf("the server ended with %v\n%s", p.cmd.ProcessState, p.Log())
	}
	p.checkLog()
}

// Exited is closed when the process has ended.
func (p *Process) Exited() <-chan struct{} { return p.exited }

func (p *Process) end() {
	select {
	case <-p.exited:
	default:
		p.Terminate()
	}
}

// Signal sends the process a signal; one that has ended is no failure.
func (p *Process) Signal(s os.Signal) {
	p.T.Helper()
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.T.Fatal(err)
	}
}

// checkLog fails the test for what must never be in a log.
func (p *Process) checkLog() {
	p.T.Helper()
	text := p.Log()
	for _, bad := range []string{"DATA RACE", "panic", "goroutine 1 ["} {
		if i := strings.Index(text, bad); i >= 0 {
			p.T.Errorf("the log holds %q:\n%.4000s", bad, text[max(0, i-200):])
		}
	}
}

// Node runs a script of the test's directory and prints what it says. The script
// fails by its exit code.
func Node(t *testing.T, limit time.Duration, script string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "node", append([]string{script}, args...)...)
	timer := time.AfterFunc(limit, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", script, args, err, out)
	}
	if len(out) > 0 {
		t.Logf("%s", bytes.TrimSpace(out))
	}
}

// Fails runs the program with settings that keep it from starting and returns what
// it prints. The exit code must be 1.
func Fails(t testing.TB, program string, env ...string) string {
	t.Helper()
	cmd := exec.Command(program)
	cmd.Dir, cmd.Env = t.TempDir(), env
	timer := time.AfterFunc(Patience, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	out, _ := cmd.CombinedOutput() // the exit code tells
	if code := cmd.ProcessState.ExitCode(); code != 1 {
		t.Errorf("exit code %d, want 1\n%s", code, out)
	}
	return string(out)
}
