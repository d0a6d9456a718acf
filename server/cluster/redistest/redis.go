// Package redistest starts Redis for tests: one, one with Sentinels, a Redis Cluster, and wires
// to them that can be cut. Only tests import it.
package redistest

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"poosh/test/process"
)

// patience is how long something may take that takes a moment.
const patience = 30 * time.Second

// A Server is a redis-server of a test's own. It keeps nothing on disk.
type Server struct {
	Addr string // 127.0.0.1:port

	t    testing.TB
	dir  string
	args []string
	mu   sync.Mutex // guards what follows
	cmd  *exec.Cmd
}

// Start starts one with more arguments, and ends it with the test.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	_, port := FreePort(t)
	s := &Server{Addr: "127.0.0.1:" + port, t: t, dir: t.TempDir()}
	s.args = append([]string{"--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", s.dir}, args...)
	t.Cleanup(s.Kill)
	s.Run()
	return s
}

// FreePort finds a port on which nobody listens, and nobody else will.
func FreePort(t testing.TB) (addr, port string) {
	t.Helper()
	port = strconv.Itoa(process.FreePort(t))
	return "127.0.0.1:" + port, port
}

// find is the path of a program, which test/run installs.
func find(t testing.TB, program, install string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Fatalf("%s is not installed: %s", program, install)
	}
	return path
}

// Run starts the server, again after [Server.Kill], and returns once it answers.
func (s *Server) Run() { s.RunAs() }

// RunAs is Run with more arguments for this time.
func (s *Server) RunAs(more ...string) {
	s.t.Helper()
	s.start(find(s.t, "redis-server", "apt-get install redis-server"), append(slices.Clone(s.args), more...)...)
}

func (s *Server) start(program string, args ...string) {
	s.t.Helper()
	out := new(bytes.Buffer)
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr, cmd.Dir = out, out, s.dir
	if err := process.StartBound(cmd, syscall.SIGKILL); err != nil {
		s.t.Fatal(err)
	}
	s.mu.Lock()
	s.cmd = cmd
	s.mu.Unlock()
	if !within(patience, func() bool {
		answer, err := s.Try("PING")
		return err == nil && (strings.Contains(answer, "PONG") || strings.Contains(answer, "NOAUTH"))
	}) {
		s.Kill() // so that it says nothing more
		s.t.Fatalf("not within %s: %s at %s answers. It says\n%s", patience, program, s.Addr, out)
	}
}

// Kill ends the server as SIGKILL does.
func (s *Server) Kill() {
	s.mu.Lock()
	cmd := s.cmd
	s.cmd = nil
	s.mu.Unlock()
	if cmd != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}

// Signal sends the server a signal, such as SIGSTOP.
func (s *Server) Signal(sig syscall.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// Do asks the server, and fails the test if it says no.
func (s *Server) Do(args ...string) string {
	s.t.Helper()
	answer, err := s.Try(args...)
	if err != nil || strings.HasPrefix(answer, "-") {
		s.t.Fatalf("%q at %s: %q, %v", args, s.Addr, answer, err)
	}
	return answer
}

// Try asks the server, and returns the first line of what it says; of a text also that.
func (s *Server) Try(args ...string) (string, error) {
	conn, err := net.DialTimeout("tcp", s.Addr, patience)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	var b bytes.Buffer
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
	}
	if _, err := conn.Write(b.Bytes()); err != nil {
		return "", err
	}
	r := bufio.NewReader(conn)
	line, err := r.ReadString('\n')
	if err == nil && strings.HasPrefix(line, "$") && line != "$-1\r\n" {
		var n int
		if _, err := fmt.Sscanf(line, "$%d", &n); err != nil {
			return "", err
		}
		text := make([]byte, n)
		if _, err = io.ReadFull(r, text); err == nil {
			return string(text), nil
		}
	}
	return strings.TrimSpace(line), err
}

// Until polls until something is so, and fails the test if it does not come to be.
func Until(t testing.TB, what string, done func() bool) {
	t.Helper()
	if !within(patience, done) {
		t.Fatalf("not within %s: %s", patience, what)
	}
}

// within polls until something is so, and reports false if it does not come to be in time.
func within(limit time.Duration, done func() bool) bool {
	for end := time.Now().Add(limit); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// Cluster starts a Redis Cluster of three.
func Cluster(t testing.TB) []*Server {
	t.Helper()
	return cluster(t, 3, 15*time.Second)
}

// ClusterWithReplicas starts a Redis Cluster of three, each of which has a replica that takes its place when it
// has been away for so long. Which are which, they say themselves.
func ClusterWithReplicas(t testing.TB, away time.Duration) []*Server {
	t.Helper()
	list := cluster(t, 6, away, "--cluster-replicas", "1")
	for _, s := range list {
		Until(t, "the replicas have a link", func() bool {
			info := s.Do("INFO", "replication")
			return strings.Contains(info, "role:master") && strings.Contains(info, "state=online") || strings.Contains(info, "master_link_status:up")
		})
	}
	return list
}

func cluster(t testing.TB, size int, away time.Duration, more ...string) []*Server {
	t.Helper()
	var list []*Server
	create := []string{"--cluster", "create"}
	for range size {
		_, bus := FreePort(t)
		s := Start(t, "--cluster-enabled", "yes", "--cluster-port", bus, "--cluster-node-timeout", strconv.FormatInt(away.Milliseconds(), 10))
		list = append(list, s)
		create = append(create, s.Addr)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, find(t, "redis-cli", "apt-get install redis-tools"), append(append(create, more...), "--cluster-yes")...).CombinedOutput()
	if err != nil {
		t.Fatalf("redis-cli --cluster create: %v\n%s", err, out)
	}
	for _, s := range list {
		Until(t, "the Redis Cluster is whole", func() bool { return strings.Contains(s.Do("CLUSTER", "INFO"), "cluster_state:ok") })
	}
	return list
}

// Master is what Sentinels of tests call their primary.
const Master = "main"

// Sentinel starts a primary with a replica, and three Sentinels that look after them.
func Sentinel(t testing.TB) (primary, replica *Server, sentinels []*Server) {
	t.Helper()
	primary = Start(t)
	host, port, _ := net.SplitHostPort(primary.Addr)
	replica = Start(t, "--replicaof", host+" "+port)
	Until(t, "the replica has a link", func() bool { return strings.Contains(replica.Do("INFO", "replication"), "master_link_status:up") })
	for range 3 {
		_, own := FreePort(t)
		s := &Server{Addr: "127.0.0.1:" + own, t: t, dir: t.TempDir()}
		conf := filepath.Join(s.dir, "sentinel.conf")
		text := fmt.Sprintf("port %s\nbind 127.0.0.1\ndir %s\nsentinel monitor %s %s %s 2\nsentinel down-after-milliseconds %s 1000\nsentinel failover-timeout %s 5000\n",
			own, s.dir, Master, host, port, Master, Master)
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Kill)
		s.start(find(t, "redis-sentinel", "apt-get install redis-sentinel"), conf)
		sentinels = append(sentinels, s)
	}
	for _, s := range sentinels {
		Until(t, "the Sentinels know each other and the replica", func() bool {
			info := s.Do("INFO", "sentinel")
			return strings.Contains(info, "slaves=1,sentinels=3")
		})
	}
	return primary, replica, sentinels
}
