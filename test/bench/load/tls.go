//go:build linux

package load

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"syscall"
	"time"
)

// shaking is how many TLS handshakes are under way at once, each on a thread.
const shaking = 16

// A shaken is a client's connection after its TLS handshake.
type shaken struct {
	client int
	fd     int
	conn   *tls.Conn
	err    error
}

// beginTLS connects a client and does its TLS handshake, which waits, on a goroutine
// that ends by sending the result. No certificate is checked.
func (c *Crowd) beginTLS(i int) {
	c.clients[i] = client{fd: -1, state: connecting, beaten: now()}
	go func() {
		fd, err := dialBlocking(c.cfg.Addr, handshakeTimeout)
		s := shaken{client: i, fd: fd, err: err}
		if err == nil {
			s.conn = tls.Client(rawConn(fd), &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12})
			s.err = errors.Join(s.conn.Handshake(), syscall.SetNonblock(fd, true))
		}
		c.shaken <- s // which has room for all that are under way
	}()
}

const handshakeTimeout = 20 * time.Second

// takeShaken goes on with clients whose TLS handshake has ended.
func (c *Crowd) takeShaken() error {
	for {
		select {
		case s := <-c.shaken:
			if s.err != nil {
				if s.fd >= 0 {
					_ = syscall.Close(s.fd)
				}
				return s.err
			}
			c.clients[s.client].tls = s.conn
			c.clients[s.client].state = handshaking
			if err := c.watch(s.client, s.fd, syscall.EPOLLIN); err != nil {
				return err
			}
			if err := c.hello(s.client); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}

// readTLS serves a client whose socket has something, record by record.
func (c *Crowd) readTLS(i int) error {
	cl := &c.clients[i]
	for cl.state != gone {
		n, err := cl.tls.Read(c.buf)
		if n > 0 {
			if err := c.received(i, c.buf[:n]); err != nil {
				return err
			}
		}
		if errors.Is(err, errWouldBlock) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// rawConn is a socket as crypto/tls wants it, by its descriptor. Without a deadline of
// its own: reads and writes of a blocking descriptor end by its options.
type rawConn int

// errWouldBlock tells that a socket has nothing. TLS goes on after an error that says
// of itself that it is temporary.
var errWouldBlock net.Error = wouldBlock{}

type wouldBlock struct{}

func (wouldBlock) Error() string   { return "nothing to read yet" }
func (wouldBlock) Timeout() bool   { return true }
func (wouldBlock) Temporary() bool { return true }

func (c rawConn) Read(b []byte) (int, error) {
	for {
		n, err := syscall.Read(int(c), b)
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			return 0, errWouldBlock
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.EOF
		}
		return n, nil
	}
}

func (c rawConn) Write(b []byte) (int, error) {
	for wrote := 0; ; {
		n, err := syscall.Write(int(c), b[wrote:])
		if err != nil && err != syscall.EINTR {
			return wrote, err
		}
		if wrote += max(n, 0); wrote == len(b) {
			return wrote, nil
		}
	}
}

func (c rawConn) Close() error                   { return syscall.Close(int(c)) }
func (rawConn) LocalAddr() net.Addr              { return nil }
func (rawConn) RemoteAddr() net.Addr             { return nil }
func (rawConn) SetDeadline(time.Time) error      { return nil }
func (rawConn) SetReadDeadline(time.Time) error  { return nil }
func (rawConn) SetWriteDeadline(time.Time) error { return nil }
