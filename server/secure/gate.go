package secure

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"time"
)

// A Gate is the door for handshakes of all ports: a few are computed at a time, so that a
// flood of them leaves processors to those who are in. Waiting for a peer takes no place.
// Make one with [NewGate]; its methods may be called from any goroutine.
type Gate struct {
	cfg   atomic.Pointer[tls.Config] // never nil
	slots chan struct{}

	done, failed, late, plain atomic.Uint64
}

// NewGate returns a gate for handshakes by cfg, which must not change afterwards.
func NewGate(cfg *tls.Config) *Gate {
	g := &Gate{slots: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2))}
	g.Use(cfg)
	return g
}

// Use has handshakes that begin from now on made by cfg, which must not change afterwards.
// Sessions of the one before are not resumed.
func (g *Gate) Use(cfg *tls.Config) {
	cfg = cfg.Clone()
	// Small records at first show a page sooner that is read as it comes. An event is
	// read when it is whole, and what waits together should leave in one.
	cfg.DynamicRecordSizingDisabled = true
	g.cfg.Store(cfg)
}

// Server returns the server's end on a socket, whose handshake is not made yet.
func (g *Gate) Server(nc *net.TCPConn) *Conn {
	s := &socket{TCPConn: nc, gate: g, gone: make(chan struct{})}
	return &Conn{tls.Server(s, g.cfg.Load()), s}
}

// The ways in which a handshake goes wrong.
var (
	ErrPlain = errors.New("it speaks HTTP without TLS")
	ErrLate  = errors.New("the handshake took too long")
)

// Shake makes the handshake, within so much time unless that is zero. heard is told of how
// much was read, before that is looked at, and returns false to end it; nil for nobody.
// After an error the connection is good for nothing but [Conn.Refuse], and has to be
// closed.
func (c *Conn) Shake(within time.Duration, heard func(n int) bool) error {
	s := c.socket
	s.shaking, s.heard = true, heard
	if within > 0 {
		s.until = time.Now().Add(within)
		_ = s.SetDeadline(s.until)
	}
	err := c.Conn.HandshakeContext(context.Background()) // a context that ends would cost a goroutine
	s.leave()
	s.shaking, s.heard = false, nil
	if err == nil {
		err = s.SetDeadline(time.Time{})
	}
	return s.gate.outcome(err)
}

// outcome counts how a handshake ended, and gives the error a name that callers know.
func (g *Gate) outcome(err error) error {
	var wrong tls.RecordHeaderError
	switch {
	case err == nil:
		g.done.Add(1)
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, ErrLate):
		g.late.Add(1)
		return fmt.Errorf("%w: %w", ErrLate, err)
	case errors.As(err, &wrong) && wrong.Conn != nil && isHTTP(wrong.RecordHeader):
		g.plain.Add(1)
		return ErrPlain
	}
	g.failed.Add(1)
	return err
}

// isHTTP reports whether a request begins with these bytes.
func isHTTP(head [5]byte) bool {
	for _, method := range []string{"GET ", "HEAD ", "POST ", "PUT ", "PATCH ", "DELETE ", "OPTIONS ", "TRACE ", "CONNECT ", "PRI "} {
		if strings.HasPrefix(method, string(head[:])) || strings.HasPrefix(string(head[:]), method) {
			return true
		}
	}
	return false
}

// refuseTime is how long a peer has to read what it is refused with.
const refuseTime = 500 * time.Millisecond

// Refuse answers a peer that did not begin with TLS in its own tongue, and closes. It waits
// for the peer, but not for long.
func (c *Conn) Refuse(answer []byte) {
	s := c.socket
	_ = s.SetDeadline(time.Now().Add(refuseTime))
	if _, err := s.TCPConn.Write(answer); err == nil {
		// Closing with something unread would cost the peer the answer.
		_ = s.CloseWrite()
		for b := make([]byte, 4<<10); err == nil; _, err = s.TCPConn.Read(b) {
		}
	}
	_ = s.Close()
}

// enter waits for a place in the gate: something has been read of the handshake, and what
// follows is to be computed, be it a first hello, another one or a client's certificate.
func (s *socket) enter() error {
	var late <-chan time.Time
	if !s.until.IsZero() {
		t := time.NewTimer(time.Until(s.until))
		defer t.Stop()
		late = t.C
	}
	select {
	case s.gate.slots <- struct{}{}:
		s.slot = true
		return nil
	case <-s.gone:
		return net.ErrClosed
	case <-late:
		return ErrLate
	}
}

// leave gives up the place in the gate, if there is one. The handshake's goroutine alone
// has one.
func (s *socket) leave() {
	if s.slot {
		s.slot = false
		<-s.gate.slots
	}
}

// Stats are how handshakes ended since the start.
type Stats struct{ Done, Failed, Late, Plain uint64 }

// Stats returns the counts of this moment.
func (g *Gate) Stats() Stats {
	return Stats{g.done.Load(), g.failed.Load(), g.late.Load(), g.plain.Load()}
}
