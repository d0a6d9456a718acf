package http1

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"time"

	"poosh/server/loop"
)

// A Candidate is a connection that may be closed for one with something to say: no
// request of a sender's on it has had a good answer. So strangers do not keep out those
// who have something to send.
type Candidate struct {
	Network netip.Addr // of its peer
	Since   time.Time  // when it began to wait
	// Client says that a client's request has had a good answer, or waits for one. The
	// others have said nothing of any worth.
	Client bool
	// New says that it was accepted a moment ago: its first request is on its way.
	New bool

	end func() bool
}

// Evict closes the connection and reports whether it did: there may be something to
// say meanwhile, or something of its peer's that has arrived and was not looked at yet.
func (c Candidate) Evict() bool { return c.end() }

const (
	// justNow is how long a connection is new.
	justNow = 20 * time.Millisecond
	// itsTurn is how long everybody has to say something, whoever wants the place. A
	// newcomer is asked to wait for longer than that before he is refused.
	itsTurn = 5 * time.Millisecond
	// longestTurn bounds for how long those who say a little again and again are
	// listened to.
	longestTurn = time.Second
)

// Candidates returns the connections that could be closed for others which count in
// the same room. It may be called from any goroutine.
func (s *Server) Candidates(room Room) []Candidate {
	var list []Candidate
	now := time.Now()
	for _, c := range s.all() {
		if c.room != room {
			continue
		}
		c.mu.Lock()
		if c.idles() {
			list = append(list, Candidate{
				Network: c.network,
				Since:   c.since,
				Client:  c.proof == Client || c.state == pending,
				New:     c.state == fresh && now.Sub(c.since) < justNow,
				end:     c.evict,
			})
		}
		c.mu.Unlock()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for p := range s.passed {
		if p.room == room && p.idles() {
			list = append(list, Candidate{
				Network: p.network,
				Since:   p.since,
				Client:  p.proof.Load() == int32(Client),
				New:     !p.asked && now.Sub(p.since) < justNow,
				end:     p.evict,
			})
		}
	}
	return list
}

// A Holder is a connection that holds the beginning of a request.
type Holder struct {
	Network netip.Addr // of its peer
	Since   time.Time  // when it began to arrive
	Bytes   int        // that count

	end func() bool
}

// End closes the connection, gives back what it holds, and reports whether it did.
func (h Holder) End() bool { return h.end() }

// Holders returns the connections that hold something. It waits for none: one that is
// busy is not among them. It may be called from any goroutine.
func (s *Server) Holders() []Holder {
	var list []Holder
	for _, c := range s.all() {
		if !c.mu.TryLock() {
			continue
		}
		if c.state == partial && c.counted > 0 {
			list = append(list, Holder{c.network, c.since, c.counted, c.shed})
		}
		c.mu.Unlock()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for p := range s.passed {
		if h, ok := p.holder(); ok {
			list = append(list, h)
		}
	}
	return list
}

func (c *conn) shed() bool {
	if !c.mu.TryLock() {
		return false
	}
	defer c.mu.Unlock()
	if c.state != partial {
		return false
	}
	c.drop()
	c.state = gone
	c.raw.Abort(loop.ErrTooMuch)
	return true
}

// A Proof is what a good answer to a request shows about its peer.
type Proof int32

// The proofs, each worth more than the one before.
const (
	Nothing Proof = iota // everybody may ask that
	Client               // somebody who listens
	Sender               // somebody who has a secret
)

// prove is what has been proven of a peer with a request and its answer's status.
func (s *Server) prove(before Proof, peer netip.Addr, r *http.Request, status int) Proof {
	if before == Sender || status < http.StatusOK || status >= http.StatusBadRequest {
		return before
	}
	return s.proven(before, s.shows(r), peer)
}

// shows is what a good answer to a request shows about its peer.
func (s *Server) shows(r *http.Request) Proof {
	if s.cfg.Proves == nil {
		return Sender
	}
	return s.cfg.Proves(r)
}

// proven is what has been proven of a peer with one thing more.
func (s *Server) proven(before, more Proof, peer netip.Addr) Proof {
	now := max(before, more)
	if before < Sender && now == Sender && s.cfg.Bounds != nil {
		s.cfg.Bounds.Proven(peer)
	}
	return now
}

// idles reports whether there is nothing on the connection that is worth its place.
// c.mu is held.
func (c *conn) idles() bool {
	return c.raw != nil && c.proof < Sender && c.state != serving && c.state != gone && !c.sends()
}

// sends reports whether a request of a sender's waits for its answer, that was let in. c.mu is
// held.
func (c *conn) sends() bool {
	return c.state == pending && c.pending != nil && Proof(c.pending.shows) == Sender
}

func (c *conn) evict() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.idles() || c.state == fresh && time.Since(c.since) < itsTurn || c.state <= partial && c.raw.Unread() {
		return false
	}
	c.state = gone
	c.raw.Abort(ErrEvicted)
	return true
}

// idles reports whether net/http waits for a request, or for the rest of one, and has
// never had a good one of a sender. The server's mu is held.
func (p *passed) idles() bool { return !p.whole && p.proof.Load() < int32(Sender) }

func (p *passed) evict() bool {
	p.srv.mu.Lock()
	ok := p.idles() && !p.arriving(time.Now())
	if ok {
		p.whole = true // not once more
	}
	p.srv.mu.Unlock()
	if ok {
		p.abort()
	}
	return ok
}

// arriving reports whether there is something that net/http has not looked at yet: what
// was read before it, what is in the socket, or what it has read a moment ago. The server's
// mu is held.
func (p *passed) arriving(now time.Time) bool {
	waits := now.Sub(p.since)
	return p.left.Load() || loop.Unread(p.Conn) || !p.asked && waits < itsTurn ||
		waits < longestTurn && now.Sub(time.Unix(0, p.read.Load())) < itsTurn
}

// arrives notes that the head of a request is there.
func (p *passed) arrives() {
	p.release()
	if p.proof.Load() >= int32(Sender) {
		return // nobody asks any more
	}
	p.srv.mu.Lock()
	p.begun = true
	p.srv.mu.Unlock()
}

// arrived notes that a request is there with its body.
func (p *passed) arrived() {
	p.srv.mu.Lock()
	p.whole = true
	p.srv.mu.Unlock()
}

// An arriving body tells its connection when it has been read to its end.
type arriving struct {
	io.ReadCloser
	p *passed
}

func (a *arriving) Read(b []byte) (int, error) {
	n, err := a.ReadCloser.Read(b)
	if err == io.EOF {
		a.p.arrived()
	}
	return n, err
}

// passedKey is where the context of a request has its *passed.
type passedKey struct{}

// withPassed implements ConnContext of an [http.Server].
func withPassed(ctx context.Context, nc net.Conn) context.Context {
	return context.WithValue(ctx, passedKey{}, nc)
}

// proving notes of connections that net/http serves what came of their requests, and
// counts what these were answered.
func (s *Server) proving(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen := &watched{ResponseWriter: w, srv: s, r: r}
		p, ok := r.Context().Value(passedKey{}).(*passed)
		if ok {
			p.arrives()
		}
		if ok && p.proof.Load() < int32(Sender) {
			seen.p = p
			if r.ContentLength == 0 {
				p.arrived()
			} else {
				r.Body = &arriving{r.Body, p}
			}
		}
		next.ServeHTTP(seen, r)
	})
}

// watched is the ResponseWriter of a request that net/http serves.
type watched struct {
	http.ResponseWriter
	srv     *Server
	p       *passed // nil where the request proves nothing more
	r       *http.Request
	said    bool    // the status is known
	account Account // set by CountFor
}

func (w *watched) WriteHeader(status int) {
	if !w.said && status >= http.StatusOK {
		w.said = true
		if p := w.p; p != nil { // whose requests follow each other
			p.proof.Store(int32(p.srv.prove(Proof(p.proof.Load()), p.peer, w.r, status)))
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *watched) Write(b []byte) (int, error) {
	if !w.said {
		w.WriteHeader(http.StatusOK)
	}
	n, err := w.ResponseWriter.Write(b)
	if w.r.Method != http.MethodHead {
		w.srv.count(w.account, n)
	}
	return n, err
}

// Unwrap serves [http.ResponseController].
func (w *watched) Unwrap() http.ResponseWriter { return w.ResponseWriter }
