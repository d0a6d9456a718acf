package socketio

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"poosh/server/http1"
	"poosh/server/loop"
	"poosh/server/websocket"
)

// patience is how long a test waits for what must happen.
const patience = 10 * time.Second

// quiet is how long a test waits for what must not happen.
const quiet = 150 * time.Millisecond

// A site is a server with its loop on a port of this machine.
type site struct {
	*testing.T
	server *Server
	addr   string
	*dialect
}

// serve starts a site. With plain, polls wait on goroutines of net/http's; else they
// wait on the loop. The server is given to before first.
func serve(t *testing.T, cfg Config, plain bool, before ...func(*Server)) *site {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	l, err := loop.New(loop.Config{CloseTimeout: 200 * time.Millisecond, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	d := &dialect{connected: make(chan *Session, 100), closed: make(chan string, 100)}
	s := &site{T: t, dialect: d, server: New(websocket.NewServer(l, websocket.Config{}), cfg, d, log)}
	for _, prepare := range before {
		prepare(s.server)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = ln.Addr().String()
	rest := &http.Server{Handler: s.server, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
	var web interface {
		Serve(net.Listener) error
		Close() error
	} = rest
	if !plain {
		where := func(*http.Request) http1.Where { return http1.Here }
		web = http1.New(http1.Config{Handler: s.server, Rest: rest, Loop: l, Where: where, MaxAnswer: 8 << 20, MaxBody: 256 << 10,
			FirstTimeout: patience, IdleTimeout: patience, Log: log})
	}
	var served sync.WaitGroup
	served.Go(func() { _ = web.Serve(ln) }) // until Close
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = s.server.Shutdown(ctx)
		_ = web.Close()
		served.Wait()
		l.Close()
	})
	return s
}

// A dialect notes what it is told, and does what a test wants.
type dialect struct {
	connected chan *Session
	closed    chan string // reasons

	mu     sync.Mutex // guards what follows
	greet  func(*Session)
	event  func(*Session, string)
	events []string
}

func (d *dialect) Connected(s *Session) {
	d.mu.Lock()
	greet := d.greet
	d.mu.Unlock()
	if greet != nil {
		greet(s)
	}
	d.connected <- s
}

func (d *dialect) Event(s *Session, name string, args [][]byte) {
	d.mu.Lock()
	d.events = append(d.events, name+string(slices.Concat(args...)))
	event := d.event
	d.mu.Unlock()
	if event != nil {
		event(s, name)
	}
}

func (d *dialect) Closed(_ *Session, reason string) { d.closed <- reason }

func (d *dialect) heard() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.events)
}

// take waits for something that the dialect is told.
func take[T any](t *testing.T, from <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatalf("waited %v for %s", patience, what)
		panic("not reached")
	}
}

// eventually waits for something to become true.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited %v for %s", patience, what)
		}
	}
}

func (s *site) sessions() int { return s.server.Stats().Sessions }

// requestFrom is a handshake from an address.
func requestFrom(remote string) *http.Request {
	r, err := http.NewRequest(http.MethodGet, "http://test"+Path+"?EIO=3&transport=polling", nil)
	if err != nil {
		panic(err)
	}
	r.RemoteAddr = remote
	return r
}

// neverJoins keeps the library from joining any client.
func neverJoins(srv *Server) { srv.library.accept = func(...any) {} }
