package http1

import (
	"errors"
	"fmt"
	"net"
	"time"

	"poosh/server/secure"
)

// plainAnswer is for who speaks HTTP where TLS is expected.
var plainAnswer = func() []byte {
	const body = `{"error":"this port speaks HTTPS: ask with https:// or wss://"}`
	return fmt.Appendf(nil, "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}()

// maxHandshake bounds what a peer may say before the handshake is over: the hellos of
// browsers have 2 KB, and a chain of certificates as a client may show has some more.
const maxHandshake = 32 << 10

// acceptSecure takes one connection that begins with a handshake of TLS. From then on it
// counts, and can be closed for others, as one that has sent a part of a head.
func (s *Server) acceptSecure() error {
	p, err := s.acceptOne()
	if p == nil {
		return err
	}
	end := s.cfg.Secure.Server(p.Conn.(*net.TCPConn)) // see Serve
	p.Conn = end
	s.mu.Lock()
	over := s.over
	if !over {
		s.passed[p] = struct{}{}
		s.shaking++
		p.shakes = true
	}
	s.mu.Unlock()
	if over {
		end.Abort()
		s.closed(p.peer, p.room)
		return nil
	}
	s.helpers.Go(func() { s.shake(p, end) }) // ends with the handshake, which has FirstTimeout
	return nil
}

// shake makes a handshake and gives the connection to net/http.
func (s *Server) shake(p *passed, end *secure.Conn) {
	defer s.shaken()
	heard := 0
	err := end.Shake(s.cfg.FirstTimeout, func(n int) bool {
		heard += n
		p.read.Store(time.Now().UnixNano())
		return heard <= maxHandshake && p.keep(n)
	})
	p.release()
	if proto := end.ConnectionState().NegotiatedProtocol; err == nil && proto != "" && proto != "http/1.1" {
		err = fmt.Errorf("it speaks %s", proto) // an authority has seen what it wanted to
		_ = end.Close()
	}
	if err == nil {
		s.mu.Lock()
		p.shakes = false
		s.mu.Unlock()
		p.expectHead()
		s.pass(p)
		return
	}
	s.cfg.Log.Debug("TLS handshake failed", "remote", p.RemoteAddr(), "err", err)
	if errors.Is(err, secure.ErrPlain) {
		end.Refuse(plainAnswer)
	}
	end.Abort()
	s.mu.Lock()
	delete(s.passed, p)
	s.mu.Unlock()
	s.closed(p.peer, p.room)
}

// shaken notes that a handshake is over, and its connection somebody's or gone.
func (s *Server) shaken() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shaking--; s.shaking == 0 {
		s.empty.Broadcast()
	}
}

// keep counts bytes of a handshake, or of a head, and reports false when there is no room
// for them.
func (p *passed) keep(n int) bool {
	if p.srv.cfg.Input == nil {
		return true
	}
	p.input.Lock()
	defer p.input.Unlock()
	if !p.heading {
		return true
	}
	if !p.srv.take(p.network, p.held, n) {
		return false
	}
	p.held += n
	return true
}

// release gives back what counts, and counts nothing until expectHead.
func (p *passed) release() {
	p.input.Lock()
	defer p.input.Unlock()
	if p.held > 0 {
		p.srv.cfg.Input.Give(p.network, p.held)
	}
	p.held, p.heading = 0, false
}

// expectHead has what is read from now on count as the head of a request.
func (p *passed) expectHead() {
	p.input.Lock()
	defer p.input.Unlock()
	p.heading = true
}

// holder is what the connection holds, if that is anything and nobody is at it.
func (p *passed) holder() (h Holder, ok bool) {
	if !p.input.TryLock() {
		return h, false
	}
	defer p.input.Unlock()
	return Holder{p.network, p.since, p.held, p.shed}, p.held > 0
}

// shed closes a connection that holds something.
func (p *passed) shed() bool {
	if !p.input.TryLock() {
		return false
	}
	defer p.input.Unlock()
	if p.held == 0 {
		return false
	}
	p.srv.cfg.Input.Give(p.network, p.held)
	p.held, p.heading = 0, false
	p.abort()
	return true
}

// abort closes the socket, and waits for nobody.
func (p *passed) abort() {
	if a, ok := p.Conn.(interface{ Abort() }); ok {
		a.Abort()
		return
	}
	_ = p.Conn.Close()
}

// closeIdle closes a connection on which nothing ever was, or no more than a part of a
// head, long after the server began to end. The server's mu is held.
func (p *passed) closeIdle(now time.Time) {
	if p.shakes || p.idles() && !p.begun && !p.asked && !p.arriving(now) {
		p.abort()
	}
}
