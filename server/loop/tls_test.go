package loop

import (
	"crypto/tls"
	"net"
	"testing"

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
