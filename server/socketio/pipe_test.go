package socketio

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"poosh/server/http1/http1test"
	"poosh/server/loop"
	"poosh/server/websocket"
)

// A lane is one direction of a connection in memory. It has room, as a kernel has:
// writing does not wait. One goroutine at a time reads.
type lane struct {
	wake chan struct{} // capacity 1; tells the reader to look again

	mu     sync.Mutex // guards what follows
	text   []byte
	closed bool
	until  time.Time // reading ends
	timer  *time.Timer
}

func newLane() *lane { return &lane{wake: make(chan struct{}, 1)} }

func (l *lane) rouse() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *lane) write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return 0, io.ErrClosedPipe
	}
	l.text = append(l.text, b...)
	l.rouse()
	return len(b), nil
}

func (l *lane) read(b []byte) (int, error) {
	for {
		if n, err := l.take(b); n > 0 || err != nil || len(b) == 0 {
			return n, err
		}
		<-l.wake
	}
}

func (l *lane) take(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case !l.until.IsZero() && !time.Now().Before(l.until):
		return 0, os.ErrDeadlineExceeded
	case len(l.text) == 0 && l.closed:
		return 0, io.EOF
	}
	n := copy(b, l.text)
	l.text = l.text[n:]
	return n, nil
}

func (l *lane) deadline(t time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.timer != nil {
		l.timer.Stop()
	}
	if l.until = t; time.Until(t) > 0 {
		l.timer = time.AfterFunc(time.Until(t), l.rouse)
	}
	l.rouse()
}

func (l *lane) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.rouse()
}

// A duplex is one end of a connection in memory, whose two directions are closed one
// by one as those of TCP are.
type duplex struct{ in, out *lane }

// newDuplex returns the two ends of a connection.
func newDuplex() (near, far *duplex) {
	a, b := newLane(), newLane()
	return &duplex{a, b}, &duplex{b, a}
}

func (d *duplex) Read(b []byte) (int, error)        { return d.in.read(b) }
func (d *duplex) Write(b []byte) (int, error)       { return d.out.write(b) }
func (d *duplex) CloseWrite() error                 { d.out.close(); return nil }
func (d *duplex) SetDeadline(t time.Time) error     { return d.SetReadDeadline(t) }
func (d *duplex) SetReadDeadline(t time.Time) error { d.in.deadline(t); return nil }
func (d *duplex) SetWriteDeadline(time.Time) error  { return nil } // writing does not wait
func (d *duplex) LocalAddr() net.Addr               { return memory }
func (d *duplex) RemoteAddr() net.Addr              { return memory }

func (d *duplex) Close() error {
	d.out.close()
	d.in.close()
	return nil
}

// memory is the address of both ends.
var memory = &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}

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

func (l *pipeListener) Addr() net.Addr { return memory }

// still runs a test with a site in a bubble of testing/synctest: in memory, where time
// passes when there is nothing else to do.
func still(t *testing.T, cfg Config, test func(*site), before ...func(*Server)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(serveStill(t, cfg, before...)) })
}

// stillSockets are those of a site in a bubble, whose loop asks nothing of the system.
func stillSockets(t *testing.T) *websocket.Server {
	t.Helper()
	return http1test.SocketsOn(t, loop.Config{CloseTimeout: closeTimeout, Goroutines: true})
}

// serveStill starts the site of still: on net/http, with polls that wait on goroutines.
func serveStill(t *testing.T, cfg Config, before ...func(*Server)) *site {
	t.Helper()
	s := newSite(t, cfg, stillSockets(t), before...)
	ln := newPipeListener()
	s.dialer = ln.dial
	web := &http.Server{Handler: s.server, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)}
	var served sync.WaitGroup
	served.Go(func() { _ = web.Serve(ln) }) // until Close
	t.Cleanup(func() {
		s.end()
		_ = web.Close()
		served.Wait()
		time.Sleep(time.Second) // net/http is slow to close a connection whose request was not read
	})
	return s
}

// TestDuplex holds the connections in memory to what TCP does.
func TestDuplex(t *testing.T) {
	near, far := newDuplex()
	_, _ = far.Write([]byte("x"))
	_ = far.CloseWrite()
	if got, err := io.ReadAll(near); err != nil || string(got) != "x" {
		t.Errorf("read %q, %v", got, err)
	}
	if _, err := near.Write([]byte("y")); err != nil {
		t.Errorf("behind the other's end: %v", err)
	}
	var b [1]byte
	if _, err := far.Read(b[:]); err != nil || b[0] != 'y' {
		t.Errorf("behind its own end it read %q, %v", b, err)
	}
	_ = far.SetDeadline(time.Now().Add(time.Millisecond))
	if _, err := far.Read(b[:]); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("reading ended with %v", err)
	}
	_ = far.Close()
	if _, err := near.Write(b[:]); err == nil {
		t.Error("what is closed takes more")
	}
}
