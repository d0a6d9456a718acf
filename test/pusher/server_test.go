package pusher_test

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"poosh/server/logtest"
	"poosh/test/process"
)

// The app of all servers here. The id is digits: some libraries take nothing else.
const (
	appID     = "3"
	appKey    = "278d425bdf160c739803"
	appSecret = "7ad3773142a6692b25b8"
	masterKey = "VGhlIDMyIGNoYXJzIGxvbmcgZW5jcnlwdGlvbiBrZXk=" // 32 bytes, as the libraries demand
	pooshKey  = "thisisthesharedsecret"
)

// A server is one running binary.
type server struct {
	t       *testing.T
	env     []string
	port    int      // PUSHER_PORT
	client  int      // CLIENT_PORT, if Poosh is on
	sender  int      // SERVER_PORT
	dir     string   // its working directory; empty for a new one
	plain   []string // all settings of its environment, in place of the usual app's; nil for that
	secrets []string // what its log must not hold, beside the usual app's
	cmd     *exec.Cmd
	exited  chan struct{}
	log     *logtest.Buffer
}

// start runs the binary with settings given as KEY=value and waits until its
// ports answer. It ends with the test, and must end well.
func start(t *testing.T, env ...string) *server {
	t.Helper()
	s := &server{t: t, env: env, port: freePort(t), client: freePort(t), sender: freePort(t)}
	s.launch()
	t.Cleanup(s.stop)
	return s
}

func (s *server) launch() {
	s.t.Helper()
	s.log, s.exited = &logtest.Buffer{}, make(chan struct{})
	s.cmd = exec.Command(program)
	if s.cmd.Dir = s.dir; s.dir == "" {
		s.cmd.Dir = s.t.TempDir()
	}
	s.cmd.Env = append(os.Environ(), s.plain...)
	if s.plain == nil {
		s.cmd.Env = append(s.cmd.Env, "HOST=127.0.0.1", "LOG_LEVEL=debug",
			"PUSHER_APP_ID="+appID, "PUSHER_APP_KEY="+appKey, "PUSHER_APP_SECRET="+appSecret,
			fmt.Sprint("PUSHER_PORT=", s.port), fmt.Sprint("CLIENT_PORT=", s.client), fmt.Sprint("SERVER_PORT=", s.sender))
	}
	s.cmd.Env = append(s.cmd.Env, s.env...)
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	if err := process.StartBound(s.cmd, syscall.SIGKILL); err != nil {
		s.t.Fatal(err)
	}
	go func(cmd *exec.Cmd, exited chan struct{}) { // ends with the process
		_ = cmd.Wait()
		close(exited)
	}(s.cmd, s.exited)
	eventually(s.t, "the server to listen", func() bool {
		c, err := net.Dial("tcp", fmt.Sprint("127.0.0.1:", s.port))
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

// stop ends the server as a service manager does. No race, no panic and no secret
// may be in its log.
func (s *server) stop() {
	s.t.Helper()
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.exited:
	case <-time.After(patience):
		_ = s.cmd.Process.Kill()
		s.t.Errorf("the server did not end:\n%s", s.log)
	}
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		s.t.Errorf("exit code %d:\n%s", code, s.log)
	}
	for _, bad := range append([]string{"DATA RACE", "panic", appSecret, pooshKey}, s.secrets...) {
		if strings.Contains(s.log.String(), bad) {
			s.t.Errorf("the log holds %q:\n%s", bad, s.log)
		}
	}
}

// crash ends the server without a word to anybody.
func (s *server) crash() {
	_ = s.cmd.Process.Kill()
	<-s.exited
}

// settings is how the drivers are told of the server.
func (s *server) settings(more map[string]any) string {
	m := map[string]any{"app": appID, "key": appKey, "secret": appSecret, "masterKey": masterKey, "port": s.port}
	for k, v := range more {
		m[k] = v
	}
	return marshal(m)
}

func marshal(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // of a value that the test wrote
	}
	return string(b)
}

func freePort(t *testing.T) int { return process.FreePort(t) }

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
