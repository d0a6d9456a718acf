package process

import (
	"bytes"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A Cutter is a port in front of another for one client, whose connections it cuts off at
// places that are known before: after so many bytes since the last cut, in both directions
// and of all connections that it has.
type Cutter struct {
	*Front
	to   string
	hold time.Duration
	left atomic.Int64 // points that have not been met

	mu       sync.Mutex // guards what follows; held while bytes go on
	points   []CutPoint // the next one in front
	passed   int        // bytes since the last cut, as far as they count
	answered time.Time  // the server's first byte since then passed; zero before
	pairs    map[*pair]bool
	silent   []net.Conn // to the server, which has not been told that they are over
	closed   bool
}

// A CutPoint is where connections are cut, and how.
type CutPoint struct {
	After int // bytes
	How   Cutting
	// Behind is in the bytes to the client from whose end on those of a connection count. It
	// comes in one piece. Empty: all count.
	Behind string
}

// Cutting is a way to cut a connection.
type Cutting int

// The ways.
const (
	InOrder   Cutting = iota // both ends are told in order, behind what came so far
	Resetting                // both ends are told at once: what they have not read is lost
	Vanishing                // the server is told nothing until the next cut, as where a cable is pulled
	cuttings
)

// CutPoints spreads n points of one of so many clients over the first span bytes of its
// connections, the early and the late ones in turn, each in another way. Those of each client
// are elsewhere, so that all of them together lie close.
func CutPoints(span, n, client, clients int) (list []CutPoint) {
	step := n/3 | 1
	for n > 1 && divisor(step, n) > 1 {
		step += 2
	}
	for i := range n {
		at := (i*step + client) % n
		list = append(list, CutPoint{After: 1 + (at*clients+client)*span/(n*clients), How: Cutting((i + client) % int(cuttings))})
	}
	return list
}

func divisor(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// A pair is a connection of the client and one to the server.
type pair struct {
	client, server net.Conn
	begun          bool // what the next point is behind has passed
}

// Cut opens a cutter in front of a port of this machine for as long as the test lasts. At a
// point it lets nothing pass until the client has had the server's first byte for the time
// hold, and cuts then: there are clients that hold it against a way to the server when
// connections end soon after they began.
func Cut(t testing.TB, to int, points []CutPoint, hold time.Duration) *Cutter {
	t.Helper()
	c := &Cutter{to: net.JoinHostPort("127.0.0.1", strconv.Itoa(to)), hold: hold, points: points, pairs: make(map[*pair]bool)}
	c.left.Store(int64(len(points)))
	c.Front = Serve(t, c.carry)
	t.Cleanup(func() { // before that of the front, which waits
		c.mu.Lock()
		defer c.mu.Unlock()
		c.closed = true
		c.cut(Resetting)
		c.cut(Resetting) // who vanished too
	})
	return c
}

// URL is the address of the cutter for an HTTP client.
func (c *Cutter) URL() string { return "http://127.0.0.1:" + strconv.Itoa(c.Port) }

// Left is how many points have not been met. It may be called from any goroutine.
func (c *Cutter) Left() int { return int(c.left.Load()) }

// Spare lets everything pass from now on, and returns how many points have not been met. It may
// be called from any goroutine.
func (c *Cutter) Spare() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.points = nil
	return int(c.left.Swap(0))
}

// carry joins a connection to the port behind, until either end closes it or it is cut.
func (c *Cutter) carry(_ *Front, conn net.Conn) {
	there, err := net.Dial("tcp", c.to)
	if err != nil {
		return
	}
	p := &pair{client: conn, server: there}
	c.mu.Lock()
	c.pairs[p] = true
	if c.closed {
		c.cut(Resetting)
	}
	c.mu.Unlock()
	var back sync.WaitGroup
	back.Go(func() { c.copy(p, p.client, p.server) })
	c.copy(p, p.server, p.client)
	back.Wait()
}

// copy takes bytes from one end to the other, and the end itself.
func (c *Cutter) copy(p *pair, to, from net.Conn) {
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		if !c.pass(p, to, b[:n]) {
			return
		}
		if err != nil {
			c.mu.Lock()
			defer c.mu.Unlock()
			if c.pairs[p] {
				delete(c.pairs, p)
				p.client.Close()
				p.server.Close()
			}
			return
		}
	}
}

// pass has bytes go on up to the next point, and reports whether the pair is still one.
func (c *Cutter) pass(p *pair, to io.Writer, data []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.pairs[p] {
		return false
	}
	if len(data) > 0 && to == p.client && c.answered.IsZero() {
		c.answered = time.Now()
	}
	if len(c.points) == 0 || !p.begun && c.points[0].Behind != "" {
		p.begun = len(c.points) > 0 && to == p.client && bytes.Contains(data, []byte(c.points[0].Behind))
		_, _ = to.Write(data)
		return true
	}
	if c.passed+len(data) < c.points[0].After {
		c.passed += len(data)
		_, _ = to.Write(data)
		return true
	}
	_, _ = to.Write(data[:c.points[0].After-c.passed])
	if !c.answered.IsZero() && !c.closed {
		time.Sleep(time.Until(c.answered.Add(c.hold)))
	}
	how := c.points[0].How
	c.points, c.passed, c.answered = c.points[1:], 0, time.Time{}
	c.left.Add(-1)
	c.cut(how)
	return false
}

// cut ends all connections. mu is held.
func (c *Cutter) cut(how Cutting) {
	for _, conn := range c.silent {
		conn.Close()
	}
	c.silent = nil
	for p := range c.pairs {
		delete(c.pairs, p)
		if how == Vanishing {
			c.silent = append(c.silent, p.server)
			// Nobody waits for what it says any more.
			_ = p.server.SetReadDeadline(time.Now())
			p.client.Close()
			continue
		}
		for _, conn := range []net.Conn{p.client, p.server} {
			if tcp, ok := conn.(*net.TCPConn); ok && how == Resetting {
				_ = tcp.SetLinger(0)
			}
			conn.Close()
		}
	}
}
