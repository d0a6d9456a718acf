package e2e

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"poosh/server/logtest"
	"poosh/test/process"
)

// secret is the SERVER_SECRET of every server the tests start.
const secret = "e2e secret é 0123456789"

// patience is how long a test waits for what should happen at once: long enough
// for a busy machine with two cores and the race detector.
const patience = 60 * time.Second

// A server is one running binary with ports of its own.
type server struct {
	t          *testing.T
	cmd        *exec.Cmd
	settings   []string // all of them, as KEY=value
	dir        string   // it runs in; empty for a new one
	program    string   // the binary; empty for the one under test
	clientPort int
	serverPort int
	log        *logtest.Buffer
	exited     chan struct{} // closed once the process is gone
	asked      bool          // the test ended it by itself
}

// start runs the binary with the settings given as KEY=value, waits until both
// ports answer, and ends it with the test. A free port may be taken by somebody
// else before the server has it, so a taken one is tried again.
func start(t *testing.T, env ...string) *server {
	t.Helper()
	for try := 1; ; try++ {
		s := &server{t: t, clientPort: freePort(t), serverPort: freePort(t)}
		s.settings = append([]string{
			"CLIENT_PORT=" + strconv.Itoa(s.clientPort),
			"SERVER_PORT=" + strconv.Itoa(s.serverPort),
			"SERVER_SECRET=" + secret,
			"HOST=127.0.0.1",
			// A session over polling whose client is silent makes the end wait so long.
			"SHUTDOWN_TIMEOUT=1s",
		}, env...)
		err := s.launch()
		if err == nil {
			t.Cleanup(s.stop)
			return s
		}
		if try == 3 || !strings.Contains(s.log.String(), "address already in use") {
			t.Fatalf("the server did not start: %v\n%s", err, s.log)
		}
	}
}

// launch starts the process on the ports of s and waits until both accept.
func (s *server) launch() error {
	s.log = &logtest.Buffer{}
	s.exited = make(chan struct{})
	s.asked = false
	if s.program == "" {
		s.program = program
	}
	s.cmd = exec.Command(s.program)
	if s.dir == "" {
		s.dir = s.t.TempDir()
	}
	s.cmd.Dir = s.dir
	// A race is printed when it happens; the run goes on, and stop finds it. The
	// detector need not wait a second at the end.
	s.cmd.Env = append(append(os.Environ(), "GORACE=halt_on_error=0 atexit_sleep_ms=0"), s.settings...)
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	if err := process.StartBound(s.cmd, syscall.SIGKILL); err != nil {
		return err
	}
	exited, cmd := s.exited, s.cmd
	go func() { // ends with the process
		cmd.Wait()
		close(exited)
	}()
	deadline := time.Now().Add(patience)
	for _, port := range []int{s.clientPort, s.serverPort} {
		for {
			c, err := net.Dial("tcp", addr(port))
			if err == nil {
				c.Close()
				break
			}
			select {
			case <-s.exited:
				return fmt.Errorf("it ended with %v", s.cmd.ProcessState)
			case <-time.After(20 * time.Millisecond):
			}
			if time.Now().After(deadline) {
				s.cmd.Process.Kill()
				<-s.exited
				return fmt.Errorf("port %d: %w", port, err)
			}
		}
	}
	return nil
}

// stop ends the server as a service manager does and fails the test when it does
// not end well: exit code 0, no data race, no panic.
func (s *server) stop() {
	if s.asked {
		return
	}
	s.t.Helper()
	s.signal(syscall.SIGTERM)
	s.waitExit(patience)
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		s.t.Errorf("the server ended with %v after SIGTERM, want exit code 0\n%s", s.cmd.ProcessState, s.log.Tail())
	}
	s.checkLog()
}

// crash ends the server without giving it a chance to say anything.
func (s *server) crash() {
	s.t.Helper()
	s.signal(syscall.SIGKILL)
	s.waitExit(patience)
	s.checkLog()
}

// restart starts the server again on the same ports.
func (s *server) restart() {
	s.t.Helper()
	if err := s.launch(); err != nil {
		s.t.Fatalf("the server did not start again: %v\n%s", err, s.log)
	}
}

// waitExit waits for the process to be gone; it kills one that does not go.
func (s *server) waitExit(d time.Duration) {
	s.t.Helper()
	s.asked = true
	select {
	case <-s.exited:
	case <-time.After(d):
		s.cmd.Process.Signal(syscall.SIGQUIT) // prints the goroutines
		select {
		case <-s.exited:
		case <-time.After(patience):
			s.cmd.Process.Kill()
			<-s.exited
		}
		s.t.Fatalf("the server was still there %v after it was asked to end\n%s", d, s.log.Tail())
	}
}

// running fails the test when the process has ended.
func (s *server) running() {
	s.t.Helper()
	select {
	case <-s.exited:
		s.asked = true
		s.t.Fatalf("the server ended by itself: %v\n%s", s.cmd.ProcessState, s.log.Tail())
	default:
	}
}

func (s *server) signal(sig os.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		s.t.Fatalf("%v to the server: %v", sig, err)
	}
}

// checkLog fails the test for what must never be in a log.
func (s *server) checkLog() {
	s.t.Helper()
	text := s.log.String()
	for _, bad := range []string{"DATA RACE", "panic:", "goroutine 1 [", secret} {
		if i := strings.Index(text, bad); i >= 0 {
			s.t.Errorf("the log of the server holds %q:\n%.4000s", bad, text[max(0, i-200):])
		}
	}
}

// clientURL and serverURL are the two ports as a browser and a sender name them.
func (s *server) clientURL() string { return "http://" + addr(s.clientPort) }
func (s *server) serverURL() string { return "http://" + addr(s.serverPort) }

func addr(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }

// freePort asks the system for a port that is free now.
func freePort(t *testing.T) int { return process.FreePort(t) }

// eventually waits until ok says true and fails the test naming what it waited
// for when that does not happen in d, and what else is to be told then.
func eventually(t *testing.T, d time.Duration, what string, ok func() bool, more ...func() string) {
	t.Helper()
	for end := time.Now().Add(d); ; time.Sleep(20 * time.Millisecond) {
		if ok() {
			return
		}
		if time.Now().After(end) {
			for _, tell := range more {
				what += ": " + tell()
			}
			t.Fatalf("waited %v for %s", d, what)
		}
	}
}

// roomy raises the bounds that real clients with large texts would meet.
var roomy = []string{"MAX_BODY_BYTES=4MiB"}
