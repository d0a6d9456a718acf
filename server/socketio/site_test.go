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
	"poosh/server/http1/http1test"
	"poosh/server/loop"
	"poosh/server/websocket"
)

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

// closeTimeout is how long a peer has to answer a close frame.
const closeTimeout = 200 * time.Millisecond

// quiet is how long a test waits for what must not happen.
const quiet = 150 * time.Millisecond

// A site is a server with its loop on a port of this machine.
type site struct {
	*testing.T
	server *Server
	dialer func() (net.Conn, error) // to the site
	polls  *polls
	*dialect
}

// newSite makes a site that nobody can reach yet. The server is given to before first.
// Whoever serves it ends it with end, and before that what serves it.
func newSite(t *testing.T, cfg Config, sockets *websocket.Server, before ...func(*Server)) *site {
	t.Helper()
	d := &dialect{connected: make(chan *Session, 1000), closed: make(chan string, 1000)}
	s := &site{T: t, dialect: d, server: New(sockets, cfg, d, slog.New(slog.DiscardHandler))}
	for _, prepare := range before {
		prepare(s.server)
	}
	s.watchPolls()
	return s
}

// polls counts the GETs that began to wait, by session.
type polls struct {
	mu      sync.Mutex // guards what follows
	begun   map[*Session]int
	changed chan struct{} // closed, and made anew, with each
}

// watchPolls tells of each GET that begins to wait.
func (s *site) watchPolls() {
	s.polls = &polls{begun: make(map[*Session]int), changed: make(chan struct{})}
	later := s.server.later
	s.server.later = func(w http.ResponseWriter, to http1.Waiter) (laterAnswer, bool) {
		s.polls.mu.Lock()
		defer s.polls.mu.Unlock()
		s.polls.begun[to.(*pollWait).session]++
		close(s.polls.changed)
		s.polls.changed = make(chan struct{})
		return later(w, to)
	}
}

// of returns how many GETs of a session have begun to wait, and what is closed with the
// next of any.
func (p *polls) of(s *Session) (int, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.begun[s], p.changed
}

// await waits for one more GET of a session than n to wait, or to be done.
func (s *site) await(session *Session, n int, done <-chan struct{}) {
	s.Helper()
	patient := time.After(patience)
	for {
		now, changed := s.polls.of(session)
		if now > n {
			return
		}
		select {
		case <-changed:
		case <-done:
			return
		case <-patient:
			s.Fatalf("waited %v for a GET to wait", patience)
		}
	}
}

// end ends the sessions of a site, at once.
func (s *site) end() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = s.server.Shutdown(ctx)
}

// serve starts a site on a port of this machine, and on the HTTP stack that ships: polls
// wait on the loop. The server is given to before first.
func serve(t *testing.T, cfg Config, before ...func(*Server)) *site {
	t.Helper()
	sockets := http1test.SocketsOn(t, loop.Config{CloseTimeout: closeTimeout})
	s := newSite(t, cfg, sockets, before...)
	web := http1test.Serve(t, sockets, s.server, Where)
	s.dialer = func() (net.Conn, error) { return net.Dial("tcp", web.Addr) }
	t.Cleanup(s.end)
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

// A session is its network's, whichever address of it a client has.
func TestNetwork(t *testing.T) {
	s := serve(t, Config{})
	for remote, want := range map[string]string{"192.0.2.1:5": "192.0.2.1", "[2001:db8:1:2:3::4]:5": "2001:db8:1:2::"} {
		if got := s.server.newSession(requestFrom(remote)).Network().String(); got != want {
			t.Errorf("%s is of %s, want %s", remote, got, want)
		}
	}
}
