package http1

import (
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// A handover is the listener by which Rest gets connections.
type handover struct {
	addr   net.Addr // set by Serve
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (h *handover) init() {
	h.conns = make(chan net.Conn)
	h.closed = make(chan struct{})
}

func (h *handover) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

func (h *handover) Close() error {
	h.once.Do(func() { close(h.closed) })
	return nil
}

func (h *handover) Addr() net.Addr { return h.addr }

// pass gives a connection to net/http, or closes it when that has ended.
func (s *Server) pass(p *passed) {
	p.left.Store(len(p.early) > 0)
	s.mu.Lock()
	p.since = time.Now()
	s.passed[p] = struct{}{}
	s.mu.Unlock()
	select {
	case s.rest.conns <- p:
	case <-s.rest.closed:
		_ = p.Close()
		s.changed(p, http.StateClosed)
	}
}

// changed is told by net/http of what becomes of connections that were passed to it.
func (s *Server) changed(nc net.Conn, state http.ConnState) {
	p, ok := nc.(*passed)
	if !ok {
		return
	}
	switch state {
	case http.StateIdle:
		p.expectHead()
	case http.StateClosed, http.StateHijacked:
		p.release()
	}
	s.mu.Lock()
	if state != http.StateActive { // or it has waited since before
		p.since = time.Now()
	}
	p.whole, p.begun, p.asked = false, false, p.asked || state == http.StateIdle
	if state == http.StateClosed || state == http.StateHijacked {
		delete(s.passed, p)
	}
	s.mu.Unlock()
	if state == http.StateClosed {
		s.closed(p.peer, p.room)
	}
}

// A passed connection gives its next reader what was read of it already. It
// implements the Passed of websocket.
type passed struct {
	net.Conn
	srv     *Server
	remote  net.Addr // nil for the connection's own
	peer    netip.Addr
	network netip.Addr // of peer
	room    Room
	early   []byte       // owned by whoever reads
	proof   atomic.Int32 // a Proof
	left    atomic.Bool  // of early is something that nobody has read yet
	read    atomic.Int64 // Unix time in nanoseconds at which something was read last

	input   sync.Mutex // guards what follows; others than who reads try it alone
	held    int        // of a handshake or a head, counted by Config.Input
	heading bool       // what is read is one of these

	// Guarded by the server's mu.
	shakes bool      // the handshake of TLS is not over
	begun  bool      // the head of a request is there
	whole  bool      // a request has arrived and is being answered
	asked  bool      // one has been answered
	since  time.Time // when net/http began to wait for a request
}

func (p *passed) Read(b []byte) (n int, err error) {
	if len(p.early) == 0 {
		n, err = p.Conn.Read(b)
	} else {
		n = copy(b, p.early)
		if p.early = p.early[n:]; len(p.early) == 0 {
			p.early = nil
			p.left.Store(false)
		}
	}
	p.read.Store(time.Now().UnixNano())
	if n > 0 && !p.keep(n) {
		// To net/http another error is a request that is wrong.
		p.abort()
		return 0, io.EOF
	}
	return n, err
}

// CloseWrite lets net/http end a connection without cutting off its last answer.
func (p *passed) CloseWrite() error {
	if c, ok := p.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return nil
}

// Upgraded implements the Passed of websocket.
func (p *passed) Upgraded(from netip.Addr) bool {
	if p.srv.upgraded(p.peer, p.room, from) {
		return true
	}
	p.srv.closed(p.peer, p.room)
	return false
}

// RemoteAddr is the client's, which is not the connection's where another process has passed that on.
func (p *passed) RemoteAddr() net.Addr {
	if p.remote != nil {
		return p.remote
	}
	return p.Conn.RemoteAddr()
}

// Unwrap implements the Passed of websocket.
func (p *passed) Unwrap() (net.Conn, []byte) { return p.Conn, p.early }
