package loop

import (
	"crypto/tls"
	"io"
	"net"
	"testing"
	"time"

	"poosh/server/certificate/certificatetest"
)

// tlsEnds makes connections of tests speak TLS. What package secure does beside, and
// imports this one for, its own tests show.
type tlsEnds struct{ client, server *tls.Config }

func newTLSEnds(t testing.TB) *tlsEnds {
	a := certificatetest.New(t)
	return &tlsEnds{a.Client(), a.Server("loop.example")}
}

func (e *tlsEnds) on() bool { return e != nil }

// shake is the server's part; it is made at once, as it would be on a port.
func (e *tlsEnds) shake(nc net.Conn) (net.Conn, error) {
	c := tls.Server(nc, e.server)
	return c, c.Handshake()
}

// dialled is the client's, for which its peer may be waiting: it is made with the first
// read or write at the latest.
func (e *tlsEnds) dialled(nc net.Conn) net.Conn {
	c := tls.Client(nc, e.client)
	_ = c.Handshake()
	return c
}

// socketOf is the socket of a connection.
func socketOf(nc net.Conn) *net.TCPConn {
	if c, ok := nc.(*tls.Conn); ok {
		nc = c.NetConn()
	}
	return nc.(*net.TCPConn)
}

// TestOldDeadline: the time that one write had is not that of an answer later on, when the
// peer of TLS wants other keys; who reads gives that, below the loop.
func TestOldDeadline(t *testing.T) {
	const bound = time.Second
	s := newSite(t, Config{WriteTimeout: bound})
	s.tls.Store(newTLSEnds(t))
	peer, c := s.dial(t)
	if !c.Push([]byte("x")) {
		t.Fatal("nothing can be pushed")
	}
	if _, err := io.ReadFull(peer, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * bound)
	if _, err := socketOf(c.nc.Conn).Write([]byte("x")); err != nil {
		t.Error(err)
	}
}

// A timed connection remembers the time that writes have.
type timed struct {
	net.Conn
	until time.Time
}

func (c *timed) SetDeadline(t time.Time) error      { c.until = t; return nil }
func (c *timed) SetWriteDeadline(t time.Time) error { c.until = t; return nil }

// TestEndedAtWrite: a write that is over gives no time to what has ended meanwhile.
func TestEndedAtWrite(t *testing.T) {
	s := newSite(t, Config{Goroutines: true})
	defer s.hold()() // nobody else is at it
	_, c := s.dial(t)
	nc := &timed{Conn: c.nc.Conn}
	c.nc.Conn = nc
	_ = nc.SetWriteDeadline(time.Now().Add(patience))
	c.watchWrite()()
	if !nc.until.IsZero() {
		t.Errorf("a write that is over has until %v", nc.until)
	}
	stop := c.watchWrite()
	c.Abort(ErrTooMuch)
	stop()
	if nc.until.IsZero() {
		t.Error("who is at one that has ended may wait for ever")
	}
}
