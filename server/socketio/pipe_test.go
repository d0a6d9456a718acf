package socketio

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"poosh/server/wire"
)

// A duplex is one end of a connection in memory, whose two directions are closed one
// by one as those of TCP are.
type duplex struct {
	net.Conn          // what is read
	out      net.Conn // what is written
}

// newDuplex returns the two ends of a connection.
func newDuplex() (near, far *duplex) {
	a, b := net.Pipe()
	c, d := net.Pipe()
	return &duplex{a, c}, &duplex{d, b}
}

func (d *duplex) Write(b []byte) (int, error)        { return d.out.Write(b) }
func (d *duplex) SetWriteDeadline(t time.Time) error { return d.out.SetWriteDeadline(t) }
func (d *duplex) CloseWrite() error                  { return d.out.Close() }

func (d *duplex) SetDeadline(t time.Time) error {
	_ = d.out.SetWriteDeadline(t)
	return d.Conn.SetReadDeadline(t)
}

func (d *duplex) Close() error {
	_ = d.out.Close()
	return d.Conn.Close()
}

// A pipeListener accepts connections in memory.
type pipeListener struct {
	accepted chan net.Conn
	closed   chan struct{}
	once     sync.Once
}

func newPipeListener() *pipeListener {
	return &pipeListener{accepted: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *pipeListener) dial() (net.Conn, error) {
	near, far := newDuplex()
	select {
	case l.accepted <- far:
		return near, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.accepted:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "memory"} }

// still runs a test with a site in a bubble of testing/synctest: in memory, where time
// passes when there is nothing else to do.
func still(t *testing.T, cfg Config, test func(*site), before ...func(*Server)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(serveStill(t, cfg, before...)) })
}

// serveStill starts the site of still: on net/http, with polls that wait on goroutines.
func serveStill(t *testing.T, cfg Config, before ...func(*Server)) *site {
	t.Helper()
	s := newSite(t, cfg, wire.Config{Goroutines: true}, before...)
	ln := newPipeListener()
	s.dialer = ln.dial
	web := &http.Server{Handler: s.server, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)}
	var served sync.WaitGroup
	served.Go(func() { _ = web.Serve(ln) }) // until Close
	t.Cleanup(func() { s.stop(web.Close, &served) })
	return s
}

// TestDuplex holds the connections in memory to what TCP does.
func TestDuplex(t *testing.T) {
	near, far := newDuplex()
	go func() { // ends with the far end's side
		_, _ = far.Write([]byte("x"))
		_ = far.CloseWrite()
	}()
	var b bytes.Buffer
	if _, err := b.ReadFrom(near); err != nil || b.String() != "x" {
		t.Errorf("read %q, %v", b.String(), err)
	}
	done := make(chan error, 1)
	go func() { // ends with what is read here
		_, err := near.Write([]byte("y"))
		done <- err
	}()
	var y [1]byte
	if _, err := far.Read(y[:]); err != nil || y[0] != 'y' {
		t.Errorf("behind its own end it read %q, %v", y, err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	_ = near.SetDeadline(time.Unix(1, 0))
	if _, err := near.Write(y[:]); err == nil || fmt.Sprint(err) == "" {
		t.Error("a deadline that is over lets a write wait")
	}
	_ = near.Close()
}
