package process

import (
	"bufio"
	"io"
	"net"
	"regexp"
	"strconv"
	"sync"
	"testing"
)

// A Balancer passes connections on: those of a session of Socket.IO that it has seen begin
// to where that is, as a sticky balancer does, and others to the port that is chosen when
// they come.
type Balancer struct {
	Port int

	mu       sync.Mutex // guards what follows
	to       int        // the port
	sessions map[string]int
	conns    []net.Conn
	over     bool
}

// Balance starts a balancer that ends with the test, and chooses its first port.
func Balance(t testing.TB, to int) *Balancer {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &Balancer{Port: ln.Addr().(*net.TCPAddr).Port, to: to, sessions: make(map[string]int)}
	var passing sync.WaitGroup
	passing.Go(func() { // ends with ln
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			passing.Go(func() { b.pass(c) }) // ends with both ends of it, or the test
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		b.mu.Lock()
		b.over = true
		for _, c := range b.conns {
			_ = c.Close()
		}
		b.mu.Unlock()
		passing.Wait()
	})
	return b
}

// Choose has connections go to a port from now on.
func (b *Balancer) Choose(port int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.to = port
}

// A session in what a client asks for, and in what it is told at its beginning.
var asksFor, isTold = regexp.MustCompile(`[?&]sid=([^& ]+)`), regexp.MustCompile(`"sid":"([^"]+)"`)

// pass copies both ways until both ends are closed.
func (b *Balancer) pass(c net.Conn) {
	defer c.Close()
	if !b.keep(c) {
		return
	}
	in := bufio.NewReader(c)
	first, err := in.ReadString('\n') // of the first request
	if err != nil {
		return
	}
	port := b.portOf(first)
	up, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return
	}
	defer up.Close()
	if !b.keep(up) {
		return
	}
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(c, io.TeeReader(up, learner{b, port}))
		_ = c.(*net.TCPConn).CloseWrite()
	})
	if _, err := io.WriteString(up, first); err == nil {
		_, _ = io.Copy(up, in)
	}
	_ = up.(*net.TCPConn).CloseWrite()
	back.Wait()
}

// keep has the end of the test close a connection.
func (b *Balancer) keep(c net.Conn) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.conns = append(b.conns, c)
	return !b.over
}

// portOf is where a request goes.
func (b *Balancer) portOf(request string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	if m := asksFor.FindStringSubmatch(request); m != nil && b.sessions[m[1]] != 0 {
		return b.sessions[m[1]]
	}
	return b.to
}

// A learner is shown what comes from a port, and notes the sessions that begin there.
type learner struct {
	b    *Balancer
	port int
}

func (l learner) Write(answer []byte) (int, error) {
	if m := isTold.FindSubmatch(answer); m != nil {
		l.b.mu.Lock()
		defer l.b.mu.Unlock()
		l.b.sessions[string(m[1])] = l.port
	}
	return len(answer), nil
}
