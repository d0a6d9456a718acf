package pusher_test

import (
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
)

// A door is a port in front of a server's, at which new connections wait while it is shut.
//
// Outside a browser pusher-js takes each end of a connection for an unclean one, and gives its
// one transport up after the second. Who comes back while the server has not ended yet is told
// to come later, which is the second.
type door struct {
	ln   net.Listener
	to   string
	gate sync.RWMutex // held for writing while it is shut

	mu   sync.Mutex // guards what follows
	open map[net.Conn]bool
	over bool
	all  sync.WaitGroup
}

// newDoor opens one; it is taken away at the end of the test.
func newDoor(t *testing.T, port int) *door {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &door{ln: ln, to: fmt.Sprint("127.0.0.1:", port), open: make(map[net.Conn]bool)}
	d.all.Go(func() { // ends with the listener
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			if d.has(c) {
				d.all.Go(func() { d.carry(c) }) // ends with the connection
			}
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		d.mu.Lock()
		d.over = true
		for c := range d.open {
			_ = c.Close()
		}
		d.mu.Unlock()
		d.all.Wait()
	})
	return d
}

// port is where clients connect.
func (d *door) port() int { return d.ln.Addr().(*net.TCPAddr).Port }

// shut keeps new connections waiting until f has returned.
func (d *door) shut(f func()) {
	d.gate.Lock()
	defer d.gate.Unlock()
	f()
}

// has notes a connection, or closes it where the test is over.
func (d *door) has(c net.Conn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over {
		_ = c.Close()
		return false
	}
	d.open[c] = true
	return true
}

func (d *door) close(c net.Conn) {
	_ = c.Close()
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.open, c)
}

// carry joins a connection to the server's port, until either ends.
func (d *door) carry(c net.Conn) {
	defer d.close(c)
	d.gate.RLock()
	up, err := net.Dial("tcp", d.to)
	d.gate.RUnlock()
	if err != nil || !d.has(up) {
		return
	}
	defer d.close(up)
	both := make(chan struct{}, 2)
	pass := func(to, from net.Conn) {
		_, _ = io.Copy(to, from)
		_ = to.(*net.TCPConn).CloseWrite()
		both <- struct{}{}
	}
	d.all.Go(func() { pass(up, c) }) // both end with the connections
	d.all.Go(func() { pass(c, up) })
	<-both
	<-both
}
