package socketio

import (
	"io"
	"net/http"
	"strings"

	"poosh/server/http1"
)

// A Passer hands on requests for sessions of other processes, and their answers back, so that a
// balancer may send each request of a session to another process.
type Passer interface {
	// Pass is asked for each request with the id of a session that this server does not know,
	// but for one that its page may not make, and reports whether it answers it: a GET, a POST
	// or the handshake of a WebSocket. Where it reports false it has done nothing, and the
	// session is unknown. It must not block: see [http1.Later], and [http1.Aside], of which
	// it may have said so; then the request comes once more.
	//
	// To the process that has the session it comes as [Server.ServeHTTP] of a request with the
	// client's address as its RemoteAddr, and a ResponseWriter that may be a [Postponer]. Of a body
	// there is one byte more than MaxPayload at the most, so that that process refuses it.
	Pass(w http.ResponseWriter, r *http.Request, session string) (passed bool)
}

// passes has a request handed on whose session is not here, if there are others who may have it.
// An id that this process made was one of a session that has ended.
func (srv *Server) passes(w http.ResponseWriter, r *http.Request, session string) bool {
	cfg := srv.cfg()
	if cfg.Passer == nil || strings.HasPrefix(session, cfg.Node) {
		return false
	}
	if r.ContentLength != 0 && r.Body != nil {
		r.Body = limited{io.LimitReader(r.Body, int64(cfg.MaxPayload)+1), r.Body}
	}
	return cfg.Passer.Pass(w, r, session)
}

// limited is the beginning of a body.
type limited struct {
	io.Reader
	io.Closer
}

// Yield has a GET that waits answered with nothing, so that its client asks once more: for who passed
// it on and goes away. What waits otherwise does nothing.
func (g *pollWait) Yield() {
	s := g.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.poll != nil && s.poll.get == g {
		s.poll.yield()
	}
}

// A Postponer is a ResponseWriter of which the answer may come after the handler has returned,
// beside those that [http1.Later] knows: that of a request which another process has passed on.
// What is said of [http1.Later] and [http1.Pending.Answer] holds.
type Postponer interface {
	Later(to http1.Waiter) Answerer
}

// An Answerer is what [http1.Pending] is to a handler.
type Answerer = laterAnswer

// postpone is [http1.Later] for both kinds of ResponseWriter.
func postpone(w http.ResponseWriter, to http1.Waiter) (laterAnswer, bool) {
	if p, ok := http1.Later(w, to); ok {
		return p, true
	}
	for {
		switch v := w.(type) {
		case Postponer:
			return v.Later(to), true
		case interface{ Unwrap() http.ResponseWriter }:
			w = v.Unwrap()
		default:
			return nil, false
		}
	}
}
