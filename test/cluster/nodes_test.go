package cluster

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"poosh/auth"
	"poosh/server/cluster/redistest"
	"poosh/test/process"
)

const (
	secret = "cluster secret 0123456789"
	lease  = 4 * time.Second
)

// A node is one process, with a wire to Redis that can be cut.
type node struct {
	*process.Process                 // whose port is that of clients
	wire             *redistest.Wire // nil for who has several
	admin            int
	server           int    // 0 for other dialects than that of POST /send
	token            string // of the operators' port; empty for none
}

// startNode starts a process in the cluster that redis has.
func startNode(t *testing.T, redis *redistest.Server, more ...string) *node {
	t.Helper()
	server := process.FreePort(t)
	n := startDialect(t, redis, "CLIENT_PORT", append([]string{"SERVER_PORT=" + strconv.Itoa(server), "SERVER_SECRET=" + secret}, more...)...)
	n.server = server
	return n
}

// startDialect is startNode for a dialect whose port a setting names.
func startDialect(t *testing.T, redis *redistest.Server, port string, more ...string) *node {
	t.Helper()
	wire := redistest.NewWire(t, redis.Addr)
	n := startAt(t, "redis://"+wire.Addr, port, more...)
	n.wire = wire
	return n
}

// startAt is startDialect for a Redis at a URL, to which there is no wire.
func startAt(t *testing.T, redis, port string, more ...string) *node {
	t.Helper()
	n := &node{admin: process.FreePort(t)}
	n.Process = process.Start(t, program, port, append([]string{
		"ADMIN_PORT=" + strconv.Itoa(n.admin),
		"CLUSTER_REDIS=" + redis, "CLUSTER_LEASE=" + lease.String(), "CLUSTER_TIMEOUT=1s", "SHUTDOWN_TIMEOUT=10s",
		"GORACE=halt_on_error=0 atexit_sleep_ms=0",
	}, more...)...)
	return n
}

// threeDialects starts a cluster of three of a dialect, whose logs are shown if the test fails.
func threeDialects(t *testing.T, port string, more ...string) (*redistest.Server, []*node) {
	t.Helper()
	redis := redistest.Start(t)
	nodes := make([]*node, 3)
	for i := range nodes {
		nodes[i] = startDialect(t, redis, port, more...)
		t.Cleanup(func() {
			if t.Failed() {
				t.Logf("node %d:\n%.6000s", i+1, nodes[i].Log())
			}
		})
	}
	return redis, nodes
}

// three starts a cluster of three.
func three(t *testing.T, more ...string) (*redistest.Server, []*node) {
	t.Helper()
	redis := redistest.Start(t)
	nodes := make([]*node, 3)
	for i := range nodes {
		nodes[i] = startNode(t, redis, more...)
	}
	return redis, nodes
}

// send sends an event with a text, and returns the answer.
func (n *node) send(room, event, text string) (status int, header http.Header, body string, err error) {
	payload, err := json.Marshal(text)
	if err != nil {
		return 0, nil, "", err
	}
	req, err := http.NewRequest(http.MethodPost, fmt.Sprintf("http://127.0.0.1:%d/send", n.server),
		strings.NewReader(fmt.Sprintf(`{"room":%q,"event":%q,"payload":%s}`, room, event, payload)))
	if err != nil {
		return 0, nil, "", err
	}
	req.Header.Set("Authorization", auth.PooshSign(secret, payload))
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, "", err
	}
	defer res.Body.Close()
	text2, err := io.ReadAll(res.Body)
	return res.StatusCode, res.Header, string(text2), err
}

// get asks the operators' port.
func (n *node) get(t *testing.T, path string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d%s", n.admin, path), nil)
	if err != nil {
		t.Fatal(err)
	}
	if n.token != "" {
		req.Header.Set("Authorization", "Bearer "+n.token)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// metric is a number of the node; -1 where there is none.
func (n *node) metric(t *testing.T, name string) int {
	t.Helper()
	_, text := n.get(t, "/metrics")
	return process.Metric(t, text, name)
}

// A sender sends numbered events one after the other to one node, until it is stopped.
type sender struct {
	name     string
	stopping atomic.Bool
	sent     atomic.Int64 // so far
	done     chan struct{}

	// What follows may be read once done is closed.
	taken    []string // answered with 200
	unsure   []string // answered that nobody knows, or not at all
	statuses map[int]int
	strange  string
}

// sends starts a sender, which sends so many, or until it is stopped for 0.
func (n *node) sends(name, room string, many int) *sender {
	s := &sender{name: name, done: make(chan struct{}), statuses: make(map[int]int)}
	go func() { // ends when it has sent all, or is stopped
		defer close(s.done)
		for i := 1; !s.stopping.Load() && (many == 0 || i <= many); i++ {
			text := fmt.Sprintf("%s-%04d", name, i)
			status, header, body, err := n.send(room, "e", text)
			switch {
			case err != nil:
				s.unsure = append(s.unsure, text)
				time.Sleep(20 * time.Millisecond) // whoever sends to a process that is gone
			case status == http.StatusOK:
				s.taken = append(s.taken, text)
			case status == http.StatusServiceUnavailable && strings.Contains(body, "it may have been published"):
				s.unsure = append(s.unsure, text)
			case status == http.StatusServiceUnavailable && header.Get("Retry-After") != "" && strings.HasPrefix(body, `{"error":`):
			default:
				s.strange = fmt.Sprint(status, " ", body)
			}
			s.statuses[status]++
			s.sent.Add(1)
		}
	}()
	return s
}

func (s *sender) stop(t *testing.T) {
	t.Helper()
	s.stopping.Store(true)
	s.wait(t)
}

func (s *sender) wait(t *testing.T) {
	t.Helper()
	select {
	case <-s.done:
	case <-time.After(2 * process.Patience):
		t.Fatalf("%s is not done", s.name)
	}
	if s.strange != "" {
		t.Errorf("%s was answered %s", s.name, s.strange)
	}
}
