package server

import (
	"cmp"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"poosh/server/dialect"
	"poosh/server/http1"
	"poosh/server/network"
	"poosh/server/peers"
	input "poosh/server/quota"
	"poosh/server/route"
)

// A port is a listening address with what serves it.
type port struct {
	*dialect.Port
	server *http1.Server
	ln     net.Listener
}

// senders reports whether nobody but senders comes there, so that what comes is
// published.
func (p *port) senders() bool { return p.Visitors == dialect.Senders }

const (
	// headerBytes bounds the head of a request: 16 KB, as in Node. The HTTP server
	// allows 4 KB more than it is told.
	headerBytes = 12 << 10
	// plainBody is the largest body that is read on the loop; larger ones are
	// net/http's.
	plainBody = 256 << 10
	// discardBody is how much of a body that there was no room for is read on.
	discardBody = 4 << 20
)

// add prepares a port that handler serves.
func (s *Server) add(described *dialect.Port, handler http.Handler) {
	n := s.network()
	p := &port{Port: described}
	h := s.limit.proxies.Forwarded(handler)
	input := s.clientInput
	restInput := input
	if p.senders() {
		input, restInput = s.senderInput, s.senderRest
	}
	rest := &http.Server{
		Handler:           countBody(boundBody(h, n.BodyTimeout), restInput),
		ReadHeaderTimeout: n.HeaderTimeout,
		IdleTimeout:       n.IdleTimeout,
		MaxHeaderBytes:    headerBytes,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	if p.senders() {
		rest.DisableGeneralOptionsHandler = true // OPTIONS * wants a token like everything else
		rest.ReadTimeout = n.HeaderTimeout + n.BodyTimeout
		rest.WriteTimeout = rest.ReadTimeout + n.WriteTimeout
		rest.Handler = countBody(hangUp(h), restInput)
	} // else no ReadTimeout: it would cut the polls that wait
	p.server = http1.New(http1.Config{
		Handler:      h,
		Context:      route.Context,
		Where:        p.Where,
		Proves:       p.Proves,
		Loop:         s.loop,
		Secure:       s.handshakesOf(p),
		Rest:         rest,
		FirstTimeout: n.HeaderTimeout,
		IdleTimeout:  n.IdleTimeout,
		HeadTimeout:  n.HeaderTimeout,
		BodyTimeout:  n.BodyTimeout,
		MaxBody:      plainBody,
		MaxAnswer:    maxAnswer(n),
		Input:        input,
		Shed:         s.shed(p.senders()),
		Bounds:       s.limit.bounds(p.Visitors),
		Log:          s.log,
	})
	s.limit.ports = append(s.limit.ports, p.server)
	s.ports = append(s.ports, p)
	s.servesPassed(p, handler)
}

// maxAnswer is the largest answer, in bytes: frames are escaped once more for scripts.
func maxAnswer(n *network.Config) int { return 4*n.OutboxBytes + headerBytes }

// shed makes room for a request, where there is none for what has arrived of it, by
// ending one that has not arrived whole on ports of the same kind: the oldest one of the
// network that holds the most, if that is more than the newcomer's own would hold then.
// So strangers share what there is with each other, and a sender has as much as the
// least of them.
func (s *Server) shed(senders bool) func(from netip.Addr, bytes int) bool {
	return func(from netip.Addr, bytes int) bool {
		var list []http1.Holder
		held := make(map[netip.Addr]int)
		for _, p := range s.ports {
			if p.senders() == senders {
				list = append(list, p.server.Holders()...)
			}
		}
		for _, h := range list {
			held[h.Network] += h.Bytes
		}
		slices.SortFunc(list, func(a, b http1.Holder) int {
			return cmp.Or(held[b.Network]-held[a.Network], a.Since.Compare(b.Since))
		})
		for _, h := range list {
			if held[h.Network] <= held[from]+bytes {
				return false
			}
			if h.End() {
				return true
			}
		}
		return false
	}
}

// boundBody gives the body of a request some time to arrive, also when no handler
// reads it.
func boundBody(next http.Handler, limit time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(limit))
		}
		next.ServeHTTP(w, r)
	})
}

// countBody counts what a handler has read of a body until it has returned.
func countBody(next http.Handler, count *input.Quota) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength == 0 {
			next.ServeHTTP(w, r)
			return
		}
		body := count.Reader(r.Body, peers.Of(r.RemoteAddr))
		r.Body = body
		next.ServeHTTP(w, r)
		body.Release()
		body.Discard(discardBody)
	})
}

// hangUp closes the connections of those who are refused: a stranger who keeps one
// open for nothing would take it from a sender.
func hangUp(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(&hangingUp{ResponseWriter: w}, r)
	})
}

type hangingUp struct{ http.ResponseWriter }

func (h *hangingUp) WriteHeader(status int) {
	if status == http.StatusUnauthorized {
		h.Header().Set("Connection", "close")
	}
	h.ResponseWriter.WriteHeader(status)
}

// Unwrap serves [http.ResponseController].
func (h *hangingUp) Unwrap() http.ResponseWriter { return h.ResponseWriter }
