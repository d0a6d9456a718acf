// Package secure speaks TLS on sockets for servers in which some must not wait: nobody
// who ends a connection waits for its peer, and handshakes are computed a few at a time.
// It knows neither certificates nor what is said.
//
// A connection has no goroutine of its own. What is written to it is one record for up to
// 16 KB, so that what leaves together costs the encryption of one.
package secure

import (
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"poosh/server/loop"
)

// A Conn is the server's end of a TLS connection. Make one with [Gate.Server].
type Conn struct {
	*tls.Conn
	socket *socket
}

// Close ends the connection, and says so to the peer if its socket takes that at once. It
// never waits, whoever is reading or writing.
func (c *Conn) Close() error {
	if !c.socket.stopWaiting() {
		return c.socket.Close()
	}
	return c.Conn.Close()
}

// CloseWrite tells the peer that nothing more comes, unless its socket takes nothing. It
// never waits. Nothing can be written behind it.
func (c *Conn) CloseWrite() error {
	if c.socket.stopWaiting() {
		_ = c.Conn.CloseWrite() // or the end of the stream says it
	}
	return c.socket.CloseWrite()
}

// Abort closes the socket without a word. It never waits.
func (c *Conn) Abort() { _ = c.socket.Close() }

// SyscallConn is the socket's, for [loop.Unread].
func (c *Conn) SyscallConn() (syscall.RawConn, error) { return c.socket.SyscallConn() }

// A socket is what TLS reads from and writes to.
type socket struct {
	*net.TCPConn
	gate *Gate

	// Of the handshake, and then of whoever reads.
	shaking bool             // the handshake is not over
	heard   func(n int) bool // is told of what is read of it; nil for nobody
	slot    bool             // of the gate: it is being computed
	until   time.Time        // its time

	once sync.Once
	gone chan struct{} // closed with the socket, by once

	cut     atomic.Bool  // a record did not leave whole: nothing that follows makes sense
	atOnce  atomic.Bool  // nothing may wait any more
	writers atomic.Int32 // who is writing
}

// errRefused is for more of a handshake than there is room for.
var errRefused = errors.New("no room for more of a handshake")

func (s *socket) Read(b []byte) (int, error) {
	if !s.shaking {
		return s.TCPConn.Read(b)
	}
	s.leave() // the peer is waited for
	n, err := s.TCPConn.Read(b)
	if n == 0 {
		return 0, err
	}
	if s.heard != nil && !s.heard(n) {
		return 0, errRefused
	}
	return n, s.enter() // what was read is to be computed; an error of the socket comes again
}

func (s *socket) Write(b []byte) (int, error) {
	s.leave() // what was to be computed is
	s.writers.Add(1)
	defer s.writers.Add(-1)
	if !s.atOnce.Load() {
		n, err := s.TCPConn.Write(b)
		if err != nil {
			s.cut.Store(true)
		}
		return n, err
	}
	n, err := loop.WriteNow(s.TCPConn, b)
	if errors.Is(err, errors.ErrUnsupported) {
		_ = s.SetWriteDeadline(time.Now().Add(time.Millisecond))
		return s.TCPConn.Write(b)
	}
	return n, err
}

// Close also ends the waiting for a place in the gate.
func (s *socket) Close() error {
	s.once.Do(func() { close(s.gone) })
	return s.TCPConn.Close()
}

// stopWaiting has everything that is written from now on leave at once or not at all, and
// reports whether there is something to say: nobody is writing, who would have a lock of
// TLS and may have to wait, and the last record left whole.
func (s *socket) stopWaiting() bool {
	s.atOnce.Store(true)
	return s.writers.Load() == 0 && !s.cut.Load()
}
