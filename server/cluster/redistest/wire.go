package redistest

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// A Wire leads to a server until it is cut.
type Wire struct {
	Addr string

	t       testing.TB
	to      string
	names   *names // that what comes from there has in place of others; nil for none
	ln      net.Listener
	running sync.WaitGroup

	mu    sync.Mutex // guards what follows
	cut   bool
	held  chan struct{} // closed when what is on its way goes on; nil while nothing is held
	pace  time.Duration // that a KiB takes
	conns map[net.Conn]bool
}

// NewWire lays one to an address; it ends with the test.
func NewWire(t testing.TB, to string) *Wire {
	t.Helper()
	w := newWire(t, to)
	w.running.Go(w.accept)
	return w
}

// newWire is one over which nothing goes yet.
func newWire(t testing.TB, to string) *Wire {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &Wire{Addr: ln.Addr().String(), t: t, to: to, ln: ln, conns: make(map[net.Conn]bool)}
	t.Cleanup(func() {
		_ = ln.Close()
		w.Cut()
		w.running.Wait()
	})
	return w
}

// Cut ends every connection, and those that are made from now on.
func (w *Wire) Cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = true
	w.letGo()
	for c := range w.conns {
		_ = c.Close()
	}
	clear(w.conns)
}

// Heal lets connections be made again.
func (w *Wire) Heal() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = false
}

// Hold has nothing arrive, either way, until [Wire.Release]: connections stay, as they do when a process
// is stopped.
func (w *Wire) Hold() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.held == nil {
		w.held = make(chan struct{})
	}
}

// Release lets go on what is held.
func (w *Wire) Release() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.letGo()
}

// letGo is that. mu is held.
func (w *Wire) letGo() {
	if w.held != nil {
		close(w.held)
		w.held = nil
	}
}

// Slow has each KiB take so long from now on, either way on each connection.
func (w *Wire) Slow(pace time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pace = pace
}

func (w *Wire) accept() {
	for {
		c, err := w.ln.Accept()
		if err != nil {
			return
		}
		if !w.add(c) {
			continue
		}
		there, err := net.Dial("tcp", w.to)
		if err != nil || !w.add(there) {
			_ = c.Close()
			continue
		}
		w.running.Go(func() { w.lead(c, there, slowed{w, there}) })
		var back io.Writer = slowed{w, c}
		if w.names != nil {
			back = &renamer{to: back, names: w.names}
		}
		w.running.Go(func() { w.lead(there, c, back) })
	}
}

// add notes a connection, or ends it.
func (w *Wire) add(c net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cut {
		_ = c.Close()
		return false
	}
	w.conns[c] = true
	return true
}

// lead copies by a writer until one side ends, and ends the other.
func (w *Wire) lead(from, to net.Conn, by io.Writer) {
	_, _ = io.Copy(by, from)
	_ = from.Close()
	_ = to.Close()
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.conns, from)
	delete(w.conns, to)
}

// slowed is a connection at the pace of a wire.
type slowed struct {
	w  *Wire
	to net.Conn
}

func (s slowed) Write(b []byte) (int, error) {
	s.w.mu.Lock()
	pace, held := s.w.pace, s.w.held
	s.w.mu.Unlock()
	if held != nil {
		<-held
	}
	time.Sleep(pace * time.Duration(len(b)) / 1024)
	return s.to.Write(b)
}
