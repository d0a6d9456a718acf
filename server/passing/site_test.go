package passing

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"poosh/server/http1"
	"poosh/server/http1/http1test"
	"poosh/server/leaktest"
	"poosh/server/metric"
	"poosh/server/socketio"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

const (
	patience   = 20 * time.Second
	testSecret = "the secret of all nodes"
	testPort   = "CLIENT_PORT"
)

// table is where nodes are.
type table struct {
	mu    sync.Mutex // guards addrs
	addrs map[string]string
}

func newTable() *table { return &table{addrs: make(map[string]string)} }

func (t *table) Addr(name string) (string, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	addr, ok := t.addrs[name]
	return addr, ok
}

func (t *table) set(name, addr string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.addrs[name] = addr; addr == "" {
		delete(t.addrs, name)
	}
}

// A site is one node: a server of Socket.IO on a port, and what passes on.
type site struct {
	testing.TB
	name      string
	node      *Node
	server    *socketio.Server
	http      *http1test.Server
	inner     string // address of the nodes' listener
	connected chan *socketio.Session
	closed    chan string
	events    chan string
}

func (s *site) Connected(c *socketio.Session) { s.connected <- c }
func (s *site) Closed(_ *socketio.Session, reason string) {
	select {
	case s.closed <- reason:
	default:
	}
}
func (s *site) Event(_ *socketio.Session, name string, args [][]byte, _ socketio.Ack) {
	select {
	case s.events <- name + string(bytes.Join(args, nil)):
	default:
	}
}

// serve starts a node, which ends with the test.
func serve(t testing.TB, name string, nodes *table, change ...func(*Options)) *site {
	t.Helper()
	sockets := http1test.NewSockets(t)
	s := &site{TB: t, name: name, connected: make(chan *socketio.Session, 5000), closed: make(chan string, 5000), events: make(chan string, 5000)}
	opt := Options{Name: name, Nodes: nodes, Secret: func() string { return testSecret }, Sockets: sockets,
		Timeout: 2 * time.Second, Log: slog.New(slog.DiscardHandler)}
	for _, f := range change {
		f(&opt)
	}
	s.node = New(opt)
	s.server = socketio.New(sockets, socketio.Config{Node: name, Passer: s.node.Passer(testPort), MaxSessionsPerAddress: 5000, MaxUnfinishedPerAddress: 5000}, s, opt.Log)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.server.Shutdown(ctx); err != nil {
			t.Errorf("ending sessions: %v", err)
		}
	})
	s.http = http1test.Serve(t, sockets, s.server, socketio.Where)
	s.node.Add("BROKEN", Port{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("a bug") })})
	s.node.Answer("ASKED", answers)
	s.node.Add(testPort, Port{Handler: s.server, Taker: s.http})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.inner = ln.Addr().String()
	nodes.set(name, s.inner)
	ended := make(chan error, 1)
	go func() { ended <- s.node.Serve(ln) }() // ends with Close
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // at once
		_ = s.node.Close(ctx)
		if err := <-ended; err != nil {
			t.Errorf("serving nodes: %v", err)
		}
	})
	return s
}

// pair is two nodes of one table.
func pair(t testing.TB) (a, b *site) {
	nodes := newTable()
	return serve(t, "nodeAA", nodes), serve(t, "nodeBB", nodes)
}

// An answer is what a request got.
type answer struct {
	status int
	header http.Header
	body   string
}

func (s *site) try(ctx context.Context, method, query, body string, header ...string) (answer, error) {
	r, err := http.NewRequestWithContext(ctx, method, s.http.URL+socketio.Path+"?transport=polling&"+query, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "text/plain;charset=UTF-8")
	}
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	resp, err := s.http.Client().Do(r)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	resp.Header.Del("Date")
	return answer{resp.StatusCode, resp.Header, string(text)}, err
}

func (s *site) ask(method, query, body string, header ...string) answer {
	s.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	a, err := s.try(ctx, method, query, body, header...)
	if err != nil {
		s.Fatalf("%s %s: %v", method, query, err)
	}
	return a
}

// open has a client of protocol 4 connect here, in the default namespace: the query of its requests.
func (s *site) open() (query string, session *socketio.Session) {
	s.Helper()
	a := s.ask("GET", "EIO=4", "")
	_, rest, _ := strings.Cut(a.body, `"sid":"`)
	sid, _, _ := strings.Cut(rest, `"`)
	if a.status != 200 || !strings.HasPrefix(sid, s.name) {
		s.Fatalf("handshake: %d %q", a.status, a.body)
	}
	query = "EIO=4&sid=" + sid
	if got := s.ask("POST", query, "40"); got.status != 200 {
		s.Fatalf("connect: %d %q", got.status, got.body)
	}
	session = take(s, s.connected, "the client")
	if got := s.ask("GET", query, ""); !strings.HasPrefix(got.body, "40") {
		s.Fatalf("connected: %d %q", got.status, got.body)
	}
	return query, session
}

// waiting begins a GET that waits here for a session of another node; the answer, or an error, comes later.
func (s *site) waiting(ctx context.Context, query string) <-chan answer {
	s.Helper()
	before := s.node.reading("cluster_passed_waiting", "")
	answers := make(chan answer, 1)
	go func() { // ends with ctx
		a, err := s.try(ctx, "GET", query, "")
		if err != nil {
			a.body = err.Error()
		}
		answers <- a
	}()
	eventually(s, "the GET waits", func() bool { return s.node.reading("cluster_passed_waiting", "") > before })
	return answers
}

// reading is one number of the node's.
func (n *Node) reading(name, label string) float64 {
	for _, r := range n.Readings() {
		for _, s := range r.Samples {
			if r.Name == name && (label == "" || s.Labels[0] == label) {
				return s.Value
			}
		}
	}
	panic("no reading " + name + " " + label)
}

func take[T any](t testing.TB, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("%s did not come", what)
	}
	panic("unreachable")
}

func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// event is a frame of one.
func event(text string) []byte { return socketio.EventFrame("e", fmt.Appendf(nil, "%q", text)) }

var (
	_ http.Handler    = (*socketio.Server)(nil)
	_ Taker           = (*http1.Server)(nil)
	_ []metric.Sample = nil
)

// another serves something else on a port of its own.
func another(t testing.TB, s *site, h http.Handler) *http1test.Server {
	return http1test.Serve(t, s.node.opt.Sockets, h, socketio.Where)
}
