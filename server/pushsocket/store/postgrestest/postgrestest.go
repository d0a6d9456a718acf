// Package postgrestest runs PostgreSQL for tests: servers with a directory and a socket
// of their own, which nobody else finds. Only tests import it.
package postgrestest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"poosh/test/process"
)

// patience is how long a server may take to start and to end, on a busy machine.
const patience = 60 * time.Second

// install is what a machine without PostgreSQL wants.
const install = "PostgreSQL is not installed: apt-get install -y --no-install-recommends postgresql"

// Password is that of every user in addresses that this package makes: tests look for it
// where it must not be.
const Password = "hush-hush-hush"

// A Server is a PostgreSQL that runs. One goroutine starts and ends it.
type Server struct {
	dir     string // of data and socket
	bin     string // where its programs are
	options []string
	as      owner

	cmd    *exec.Cmd
	log    bytes.Buffer // written by cmd, read when it has ended
	exited chan struct{}
}

// Start makes a server that ends with the test, with settings such as fsync=off.
func Start(t testing.TB, settings ...string) *Server {
	t.Helper()
	s, err := start(settings...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.remove)
	return s
}

var shared struct {
	mu     sync.Mutex
	server *Server
	err    error
}

// Shared is one server for all tests of a package, without the care for a machine that
// loses its power. Whoever uses it hands [End] to the TestMain.
func Shared(t testing.TB) *Server {
	t.Helper()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.server == nil && shared.err == nil {
		shared.server, shared.err = start("fsync=off", "full_page_writes=off")
	}
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.server
}

// End ends the server that tests shared, if there is one.
func End() {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.server != nil {
		shared.server.remove()
	}
}

// programs is where initdb and postgres are: behind the one on the path, or where Debian
// has them, the newest first.
func programs() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			dir := filepath.Dir(path)
			if _, err := os.Stat(filepath.Join(dir, "postgres")); err == nil { // else it is a script
				return dir, nil
			}
		}
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		return "", errors.New(install)
	}
	version := func(path string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
		return n
	}
	return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })), nil
}

func start(settings ...string) (*Server, error) {
	bin, err := programs()
	if err != nil {
		return nil, err
	}
	s := &Server{bin: bin}
	if s.as, err = credential(); err != nil {
		return nil, err
	}
	if s.dir, err = directory(s.as); err != nil {
		return nil, err
	}
	s.options = []string{"-D", s.data(), "-k", s.dir, "-c", "listen_addresses=", "-c", "unix_socket_permissions=0777"}
	for _, option := range settings {
		s.options = append(s.options, "-c", option)
	}
	initdb := s.command("initdb", "-D", s.data(), "-U", "poosh", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, errors.Join(fmt.Errorf("initdb: %w\n%s", err, out), os.RemoveAll(s.dir))
	}
	if err := s.launch(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.dir))
	}
	return s, nil
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

func (s *Server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.bin, name), args...)
	cmd.Dir, cmd.Env = s.dir, []string{"PATH=" + s.bin + ":/usr/bin:/bin", "TZ=UTC"}
	runAs(cmd, s.as)
	return cmd
}

// launch starts the server and waits until it answers.
func (s *Server) launch() error {
	s.log.Reset()
	s.cmd, s.exited = s.command("postgres", s.options...), make(chan struct{})
	s.cmd.Stdout, s.cmd.Stderr = &s.log, &s.log
	// What it starts has its output too, and may be there for longer.
	s.cmd.WaitDelay = time.Second
	if err := process.StartBound(s.cmd, syscall.SIGQUIT); err != nil { // which it takes for an end at once
		return err
	}
	cmd, exited := s.cmd, s.exited
	go func() { // ends with the server
		_ = cmd.Wait()
		close(exited)
	}()
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		err := s.exec("SELECT 1")
		if err == nil {
			return nil
		}
		select {
		case <-s.exited:
			return fmt.Errorf("postgres ended with %v\n%s", cmd.ProcessState, &s.log)
		default:
		}
		if time.Now().After(end) {
			s.end(syscall.SIGKILL)
			return fmt.Errorf("postgres does not answer: %w\n%s", err, &s.log)
		}
	}
}

// exec executes statements in the database that is there from the beginning.
func (s *Server) exec(text string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.url("").String())
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, text)
	return errors.Join(err, conn.Close(ctx))
}

// url is where a schema is.
func (s *Server) url(schema string) *url.URL {
	q := url.Values{"host": {s.dir}, "sslmode": {"disable"}}
	if schema != "" {
		q.Set("search_path", schema)
	}
	return &url.URL{Scheme: "postgres", User: url.UserPassword("poosh", Password), Path: "/postgres", RawQuery: q.Encode()}
}

var schemas atomic.Int64

// Schema makes an empty schema and returns its address, as PUSH_SOCKET_DB has it.
func (s *Server) Schema(t testing.TB) string {
	t.Helper()
	name := fmt.Sprint("test", schemas.Add(1))
	s.Exec(t, "CREATE SCHEMA "+name)
	return s.url(name).String()
}

// Exec executes statements, without a search path.
func (s *Server) Exec(t testing.TB, text string) {
	t.Helper()
	if err := s.exec(text); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

// Signal sends the server's first process a signal.
func (s *Server) Signal(t testing.TB, what syscall.Signal) {
	t.Helper()
	if err := s.cmd.Process.Signal(what); err != nil {
		t.Fatal(err)
	}
}

// Stop ends the server as its manager does (fast), and Kill as a machine that fails does:
// all of its processes by SIGKILL.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	if !s.end(syscall.SIGINT) {
		t.Fatal("postgres does not end")
	}
}

// Kill is described with Stop.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", s.cmd.Process.Pid))
	if !s.end(syscall.SIGKILL) {
		t.Fatal("postgres does not end")
	}
	for _, field := range bytes.Fields(children) {
		if pid, err := strconv.Atoi(string(field)); err == nil {
			kill(pid)
		}
	}
}

// Restart starts a server that was ended.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	// Until the last process of a server that was killed is gone, the next one refuses.
	err := s.launch()
	for end := time.Now().Add(patience); err != nil && time.Now().Before(end); err = s.launch() {
		time.Sleep(100 * time.Millisecond)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// end ends the server and reports whether it has.
func (s *Server) end(how syscall.Signal) bool {
	_ = s.cmd.Process.Signal(how) // it may have ended
	select {
	case <-s.exited:
		return true
	case <-time.After(patience):
		return false
	}
}

// remove ends the server with all it has.
func (s *Server) remove() {
	select {
	case <-s.exited:
	default:
		_ = s.cmd.Process.Signal(goOn) // a test may have stopped it
		if !s.end(syscall.SIGINT) {
			s.end(syscall.SIGKILL)
		}
	}
	_ = os.RemoveAll(s.dir)
}
