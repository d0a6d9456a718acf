package attacks_test

import (
	"bytes"
	"crypto/tls"
	"errors"
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

	"poosh/server/certificate/certificatetest"
	"poosh/server/logtest"
	"poosh/test/process"
)

// The secrets of every server here.
const (
	pooshSecret     = "attacks secret 0123456789"
	pusherID        = "77"
	pusherKey       = "0123456789abcdef0123"
	pusherSecret    = "fedcba98765432100123"
	socktopusName   = "attacked"
	socktopusSecret = "attacks socktopus secret"
)

// patience is how long a test waits for what should happen at once.
const patience = process.Patience

// A server is one running program with all dialects on.
type server struct {
	t      *testing.T
	dir    string
	cmd    *exec.Cmd
	log    *logtest.Buffer
	exited chan struct{}
	dead   bool        // and the test has said so
	trusts *tls.Config // of clients; nil for a server without TLS

	clientPort, serverPort, pusherPort, socktopusPort, pushPort, echoPort int
}

// start runs the program with as many open files as it may have and with settings
// given as NAME=value, and ends it with the test. It must live until then.
func start(t *testing.T, files int, env ...string) *server {
	t.Helper()
	for try := 1; ; try++ {
		s := &server{t: t, dir: t.TempDir()}
		for _, port := range s.ports() {
			*port = process.FreePort(t)
		}
		err := s.launch(files, env)
		if err == nil {
			t.Cleanup(s.stop)
			return s
		}
		if try == 3 || !strings.Contains(s.log.String(), "address already in use") {
			t.Fatalf("the server did not start: %v\n%s", err, s.log.String())
		}
	}
}

func (s *server) ports() []*int {
	return []*int{&s.clientPort, &s.serverPort, &s.pusherPort, &s.socktopusPort, &s.pushPort, &s.echoPort}
}

func (s *server) launch(files int, env []string) error {
	s.log, s.exited = &logtest.Buffer{}, make(chan struct{})
	s.cmd = limited(files, program)
	s.cmd.Dir = s.dir
	s.cmd.Env = append([]string{
		"HOST=127.0.0.1",
		"PATH=" + os.Getenv("PATH"),
		// Strangers come from addresses of the loopback network, which are no proxies here.
		"TRUSTED_PROXIES=none",
		// What a machine of 512 MiB has room for.
		"BACKLOG_BYTES=64MiB", "ROOM_BYTES=64MiB",
		// A session over polling that nobody uses any more ends within the test.
		"PING_INTERVAL=1s", "PING_TIMEOUT=5s", "CONNECT_TIMEOUT=6s",
		"SHUTDOWN_TIMEOUT=1s",
		"CLIENT_PORT=" + strconv.Itoa(s.clientPort), "SERVER_PORT=" + strconv.Itoa(s.serverPort), "SERVER_SECRET=" + pooshSecret,
		"PUSHER_PORT=" + strconv.Itoa(s.pusherPort), "PUSHER_APP_ID=" + pusherID, "PUSHER_APP_KEY=" + pusherKey, "PUSHER_APP_SECRET=" + pusherSecret,
		"SOCKTOPUS_PORT=" + strconv.Itoa(s.socktopusPort), strings.ToUpper(socktopusName) + "_SOCKTOPUS_SECRET=" + socktopusSecret,
		"ECHO_PORT=" + strconv.Itoa(s.echoPort), "ECHO_REDIS=redis://" + redis, "EMITTER_REDIS=redis://" + redis,
		"PUSH_SOCKET_PORT=" + strconv.Itoa(s.pushPort), "PUSH_SOCKET_DB=" + s.db(),
	}, env...)
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	if err := process.StartBound(s.cmd, syscall.SIGKILL); err != nil {
		return err
	}
	go func() { // ends with the process
		_ = s.cmd.Wait()
		close(s.exited)
	}()
	end := time.Now().Add(patience)
	for _, port := range s.ports() {
		for {
			c, err := net.Dial("tcp", addr(*port))
			if err == nil {
				_ = c.Close()
				break
			}
			if s.ended() || time.Now().After(end) {
				_ = s.cmd.Process.Kill()
				<-s.exited
				return fmt.Errorf("%w; %v", err, s.cmd.ProcessState)
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
	return nil
}

func (s *server) db() string { return filepath.Join(s.dir, "push.db") }

func addr(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }

// url is where a port is.
func (s *server) url(port int) string {
	if s.trusts != nil {
		return "https://" + addr(port)
	}
	return "http://" + addr(port)
}

// startOverTLS is start for a server whose ports all speak TLS.
func startOverTLS(t *testing.T, files int, env ...string) *server {
	t.Helper()
	a := certificatetest.New(t)
	cert, key, _ := a.Write(t.TempDir(), "attacks.example")
	s := start(t, files, append(env, "TLS_CERT="+cert, "TLS_KEY="+key, "TLS_SENDERS=on")...)
	s.trusts = a.Client()
	return s
}

func (s *server) ended() bool {
	select {
	case <-s.exited:
		return true
	default:
		return false
	}
}

// alive fails the test at once when the process has died.
func (s *server) alive() {
	s.t.Helper()
	if s.ended() {
		s.dead = true
		text := s.log.String()
		s.t.Fatalf("the server died: %v\n%.1000s", s.cmd.ProcessState, text[max(0, strings.Index(text, "fatal error")):])
	}
}

func (s *server) stop() {
	s.t.Helper()
	if s.dead {
		return
	}
	s.signal(syscall.SIGTERM)
	select {
	case <-s.exited:
	case <-time.After(patience):
		s.signal(syscall.SIGKILL)
		<-s.exited
		s.t.Errorf("the server was still there %v after SIGTERM", patience)
	}
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		s.t.Errorf("the server ended with %v", s.cmd.ProcessState)
	}
	text := s.log.String()
	for _, bad := range []string{"panic", "goroutine 1 [", "self-check", pooshSecret, pusherSecret, socktopusSecret} {
		if i := strings.Index(text, bad); i >= 0 {
			s.t.Errorf("the log holds %q:\n%.2000s", bad, text[max(0, i-200):])
		}
	}
}

func (s *server) signal(sig os.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		s.t.Fatal(err)
	}
}

// A status is what the line of SIGUSR1 says, by name.
type status map[string]int

// status asks for the line.
func (s *server) status() status {
	s.t.Helper()
	const mark = "msg=status "
	before := strings.Count(s.log.String(), mark)
	s.signal(syscall.SIGUSR1)
	for end := time.Now().Add(patience); ; time.Sleep(2 * time.Millisecond) {
		text := s.log.String()
		if strings.Count(text, mark) > before {
			line := text[strings.LastIndex(text, mark):]
			if line, _, whole := strings.Cut(line, "\n"); whole {
				return parseStatus(line)
			}
		}
		s.alive()
		if time.Now().After(end) {
			s.t.Fatalf("no status line within %v", patience)
		}
	}
}

// count is one number of the line, which must be there.
func (st status) count(t *testing.T, name string) int {
	t.Helper()
	n, ok := st[name]
	if !ok {
		t.Fatalf("the status line has no %s", name)
	}
	return n
}

func parseStatus(line string) status {
	st := make(status)
	for field := range strings.FieldsSeq(line) {
		name, value, _ := strings.Cut(field, "=")
		if n, err := strconv.Atoi(value); err == nil {
			st[name] = n
		}
	}
	return st
}

// peakMemory is the most memory that the process has had, in bytes.
func (s *server) peakMemory() int {
	s.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		s.t.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		if value, ok := bytes.CutPrefix(line, []byte("VmHWM:")); ok {
			n, err := strconv.Atoi(string(bytes.Fields(value)[0]))
			if err != nil {
				s.t.Fatal(err)
			}
			return n << 10
		}
	}
	s.t.Fatal("no VmHWM in /proc")
	return 0
}
