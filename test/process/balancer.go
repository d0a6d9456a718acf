package process

import (
	"bufio"
	"io"
	"net"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"
)

// A Balancer passes connections on: those of a session of Socket.IO that it has seen begin
// to where that is, as a sticky balancer does, and others to the port that is chosen when
// they come.
type Balancer struct {
	*Front

	mu       sync.Mutex // guards what follows
	to       int        // the port
	sessions map[string]int
	came     map[int][]time.Time // see Came
}

// Balance starts a balancer that ends with the test, and chooses its first port.
func Balance(t testing.TB, to int) *Balancer {
	t.Helper()
	b := &Balancer{to: to, sessions: make(map[string]int), came: make(map[int][]time.Time)}
	b.Front = Serve(t, b.pass)
	return b
}

// Choose has connections go to a port from now on.
func (b *Balancer) Choose(port int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.to = port
}

// Came is when a port began to answer each connection that was a client's first: it asked
// for no session that there was.
func (b *Balancer) Came(port int) []time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.came[port])
}

// A session in what a client asks for, and in what it is told at its beginning.
var asksFor, isTold = regexp.MustCompile(`[?&]sid=([^& ]+)`), regexp.MustCompile(`"sid":"([^"]+)"`)

// pass copies both ways until both ends are closed.
func (b *Balancer) pass(f *Front, c net.Conn) {
	if !f.Keep(c) {
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
	defer f.Drop(up)
	if !f.Keep(up) {
		return
	}
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(c, io.TeeReader(up, &learner{b, port, !asksFor.MatchString(first)}))
		_ = c.(*net.TCPConn).CloseWrite()
	})
	if _, err := io.WriteString(up, first); err == nil {
		_, _ = io.Copy(up, in)
	}
	_ = up.(*net.TCPConn).CloseWrite()
	back.Wait()
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

// A learner is shown what comes from a port in one connection, and notes the sessions that
// begin there.
type learner struct {
	b     *Balancer
	port  int
	comes bool // nothing has come yet, and it is a client's first connection
}

func (l *learner) Write(answer []byte) (int, error) {
	m := isTold.FindSubmatch(answer)
	if m == nil && !l.comes {
		return len(answer), nil
	}
	l.b.mu.Lock()
	defer l.b.mu.Unlock()
	if m != nil {
		l.b.sessions[string(m[1])] = l.port
	}
	if l.comes {
		l.comes = false
		l.b.came[l.port] = append(l.b.came[l.port], time.Now())
	}
	return len(answer), nil
}
