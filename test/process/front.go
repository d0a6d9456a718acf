package process

import (
	"io"
	"net"
	"sync"
	"testing"
)

// A Front is a port of 127.0.0.1 that a test itself serves, such as one in front of a server's
// whose connections it cuts. Its methods may be called from any goroutine.
type Front struct {
	Port int

	mu   sync.Mutex // guards what follows
	kept map[net.Conn]bool
	over bool
}

// Serve opens a front for as long as the test lasts. serve has a goroutine for each connection,
// which is closed when it returns. The end of the test waits for all of them, so what serve
// waits for has to end with connections that it keeps.
func Serve(t testing.TB, serve func(*Front, net.Conn)) *Front {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &Front{Port: ln.Addr().(*net.TCPAddr).Port, kept: make(map[net.Conn]bool)}
	var serving sync.WaitGroup
	serving.Go(func() { // ends with ln
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { // ends with serve
				defer f.Drop(c)
				serve(f, c)
			})
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		f.mu.Lock()
		f.over = true
		f.mu.Unlock()
		f.Reset()
		serving.Wait()
	})
	return f
}

// Keep has [Front.Reset] and the end of the test close connections, that to a server too, and
// reports whether the test goes on: what comes later is closed at once.
func (f *Front) Keep(conns ...net.Conn) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range conns {
		if f.over {
			_ = c.Close()
			continue
		}
		f.kept[c] = true
	}
	return !f.over
}

// Drop closes a connection and keeps it no more.
func (f *Front) Drop(c net.Conn) {
	_ = c.Close()
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.kept, c)
}

// Reset closes all connections that are kept at once: what is on its way in them is lost.
func (f *Front) Reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.kept {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = c.Close()
	}
}

// Join copies both ways between a connection and another one, which it keeps and drops, until
// both ends are closed.
func (f *Front) Join(c, up net.Conn) {
	defer f.Drop(up)
	if !f.Keep(c, up) {
		return
	}
	pass := func(to, from net.Conn) {
		_, _ = io.Copy(to, from)
		_ = to.(*net.TCPConn).CloseWrite()
	}
	var back sync.WaitGroup
	back.Go(func() { pass(c, up) })
	pass(up, c)
	back.Wait()
}
