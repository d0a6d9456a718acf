package e2e

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"poosh/test/process"
)

// A cutter is a port in front of another for one client, whose connections it cuts off at
// places that are known before: after so many bytes since the last cut, in both directions
// and of all connections that it has.
type cutter struct {
	*process.Front
	to string

	mu     sync.Mutex // guards what follows; held while bytes go on
	points []point    // the next one in front
	passed int        // bytes since the last cut
	pairs  map[*pair]bool
	silent []net.Conn // to the server, which has not been told that they are over
	closed bool
}

// A point is where connections are cut, and how.
type point struct {
	after int // bytes
	how   cutting
}

type cutting int

const (
	inOrder   cutting = iota // both ends are told in order, behind what came so far
	resetting                // both ends are told at once: what they have not read is lost
	vanishing                // the server is told nothing until the next cut, as where a cable is pulled
	cuttings
)

// A pair is a connection of the client and one to the server.
type pair struct{ client, server net.Conn }

func newCutter(t *testing.T, to string, points []point) *cutter {
	t.Helper()
	c := &cutter{to: to, points: points, pairs: make(map[*pair]bool)}
	c.Front = process.Serve(t, c.carry)
	t.Cleanup(func() { // before that of the front, which waits
		c.mu.Lock()
		defer c.mu.Unlock()
		c.closed = true
		c.cut(resetting)
		c.cut(resetting) // who vanished too
	})
	return c
}

func (c *cutter) url() string { return "http://" + addr(c.Port) }

// left is how many points have not been met.
func (c *cutter) left() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.points)
}

// carry joins a connection to the port behind, until either end closes it or it is cut.
func (c *cutter) carry(_ *process.Front, conn net.Conn) {
	there, err := net.Dial("tcp", c.to)
	if err != nil {
		return
	}
	p := &pair{conn, there}
	c.mu.Lock()
	c.pairs[p] = true
	if c.closed {
		c.cut(resetting)
	}
	c.mu.Unlock()
	var back sync.WaitGroup
	back.Go(func() { c.copy(p, p.client, p.server) })
	c.copy(p, p.server, p.client)
	back.Wait()
}

// copy takes bytes from one end to the other, and the end itself.
func (c *cutter) copy(p *pair, to io.Writer, from io.Reader) {
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
func (c *cutter) pass(p *pair, to io.Writer, data []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.pairs[p] {
		return false
	}
	if len(c.points) == 0 || c.passed+len(data) < c.points[0].after {
		c.passed += len(data)
		_, _ = to.Write(data)
		return true
	}
	_, _ = to.Write(data[:c.points[0].after-c.passed])
	how := c.points[0].how
	c.points, c.passed = c.points[1:], 0
	c.cut(how)
	return false
}

// cut ends all connections. mu is held.
func (c *cutter) cut(how cutting) {
	for _, conn := range c.silent {
		conn.Close()
	}
	c.silent = nil
	for p := range c.pairs {
		delete(c.pairs, p)
		if how == vanishing {
			c.silent = append(c.silent, p.server)
			// Nobody waits for what it says any more.
			_ = p.server.SetReadDeadline(time.Now())
			p.client.Close()
			continue
		}
		for _, conn := range []net.Conn{p.client, p.server} {
			if tcp, ok := conn.(*net.TCPConn); ok && how == resetting {
				_ = tcp.SetLinger(0)
			}
			conn.Close()
		}
	}
}
