package poosh

import (
	"bufio"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"poosh/server/hub"
	"poosh/server/hub/history"
)

// A lagging broker joins processes, and this one is behind the others until the test says so.
type lagging struct {
	answering

	mu   sync.Mutex // guards then
	then []func(bool)
}

// Follow implements [hub.Follower].
func (b *lagging) Follow(_ string, then func(bool)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.then = append(b.then, then)
}

// come has all go on who wait, and returns how many these were.
func (b *lagging) come() int {
	b.mu.Lock()
	list := b.then
	b.then = nil
	b.mu.Unlock()
	for _, then := range list {
		then(true)
	}
	return len(list)
}

// A telling connection tells when somebody begins to write to it.
type telling struct {
	net.Conn
	writes chan struct{} // capacity 1
}

func (c telling) Write(b []byte) (int, error) {
	select {
	case c.writes <- struct{}{}:
	default:
	}
	return c.Conn.Write(b)
}

func (telling) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

// TestStreamHoldsUpNobodyWhoWaits: a stream whose socket takes nothing yet has others go on who wait
// until this process has come to where they were.
func TestStreamHoldsUpNobodyWhoWaits(t *testing.T) {
	kept := history.Config{Events: 100, Bytes: 1 << 20, Age: time.Minute}
	b, log := new(lagging), history.New(kept, App)
	p := newOutlet(t, kept, 64<<10)
	p.clients.hub = hub.NewWith(b, log)
	log.Reach(App, hub.Position{Epoch: 7, Number: 5})
	ahead := hub.Position{Epoch: 7, Number: 6}

	client, nc := net.Pipe() // on which a write waits for a read, as over TLS one waits for the socket
	_ = client.SetDeadline(time.Now().Add(patience))
	accepted := make(chan net.Conn, 1)
	told := telling{nc, make(chan struct{}, 1)}
	accepted <- told
	srv := &http.Server{Handler: p.streams}
	served := make(chan error, 1)
	l := &fewConns{accepted, make(chan struct{}), sync.Once{}}
	go func() { served <- srv.Serve(l) }()
	defer func() { _ = srv.Close(); <-served }()
	defer client.Close()
	fmt.Fprintf(client, "GET /events?room=r HTTP/1.1\r\nHost: a\r\nLast-Event-ID: %s\r\n\r\n", ahead)
	<-told.writes

	came := make(chan struct{})
	if !p.clients.hub.Await(App, []hub.Position{ahead}, netip.Addr{}, func() { close(came) }) {
		t.Fatal("nothing is to be waited for")
	}
	b.come()
	select {
	case <-came:
	case <-time.After(patience / 2):
		t.Error("who waits is held up by a stream that nobody reads")
	}

	// It begins all the same, once somebody reads it.
	stop := make(chan struct{})
	defer close(stop)
	go func() { // ends with the test
		for b.come() == 0 {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
			}
		}
	}()
	for in := bufio.NewReader(client); ; {
		line, err := in.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(line, `"recovered":false`) {
			return
		}
	}
}

// fewConns is a listener of connections that are there.
type fewConns struct {
	conns chan net.Conn
	over  chan struct{}
	once  sync.Once
}

func (l *fewConns) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.over:
		return nil, net.ErrClosed
	}
}

func (l *fewConns) Close() error { l.once.Do(func() { close(l.over) }); return nil }

func (l *fewConns) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

// TestHistoryThatPanicsIsAnswered: nobody waits for ever for a page that could not be read.
func TestHistoryThatPanicsIsAnswered(t *testing.T) {
	s := newArchive(t, Config{})
	b, log := new(lagging), history.New(history.Config{Events: 100, Bytes: 1 << 20, Age: time.Minute}, App)
	s.API.hub = hub.NewWith(b, log)
	log.Reach(App, hub.Position{Epoch: 7, Number: 5})
	s.API.log = slog.New(brokenLog{s.API.log.Handler(), "history read"})
	code := make(chan int, 1)
	go func() { // ends with the answer
		code <- s.do(reads("/history?room=r&since=" + hub.Position{Epoch: 7, Number: 6}.String())).Code
	}()
	for end := time.Now().Add(patience); b.come() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not wait")
		}
	}
	select {
	case got := <-code:
		if got != http.StatusInternalServerError {
			t.Errorf("answered with %d", got)
		}
	case <-time.After(patience):
		t.Error("no answer")
	}
}
