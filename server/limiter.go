package server

import (
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
)

// A limiter bounds the sockets that clients have open, in all and for each
// address, and knows which peers are proxies. A socket counts from the moment it
// is accepted until it is closed, also when it has become a WebSocket.
type limiter struct {
	max, perAddress int            // set once
	trusted         []netip.Prefix // set once
	log             *slog.Logger   // set once

	mu      sync.Mutex // guards what follows
	open    int
	counts  map[netip.Addr]int
	refused map[net.Conn]bool // closed at once, never counted
}

func newLimiter(cfg NetworkConfig, log *slog.Logger) *limiter {
	return &limiter{max: cfg.MaxConnections, perAddress: cfg.MaxConnectionsPerAddress, trusted: cfg.TrustedProxies,
		log: log, counts: make(map[netip.Addr]int), refused: make(map[net.Conn]bool)}
}

// connState follows the sockets of an HTTP server. One that becomes a WebSocket
// stays counted: the loop tells of its end.
func (l *limiter) connState(c net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		if bound := l.take(c); bound != "" {
			l.log.Warn("connection refused", "remote", c.RemoteAddr(), "bound", bound)
			_ = c.Close()
		}
	case http.StateClosed:
		l.mu.Lock()
		was := l.refused[c]
		delete(l.refused, c)
		l.mu.Unlock()
		if !was {
			l.release(peerOf(c))
		}
	}
}

// take counts a new socket, or names the setting that bounds it.
func (l *limiter) take(c net.Conn) string {
	from := peerOf(c)
	l.mu.Lock()
	defer l.mu.Unlock()
	bound := ""
	switch {
	case l.open >= l.max:
		bound = "MAX_CONNECTIONS"
	case l.counts[from] >= l.perAddress && !l.isProxy(from):
		bound = "MAX_CONNECTIONS_PER_ADDRESS"
	}
	if bound != "" {
		l.refused[c] = true
		return bound
	}
	l.open++
	l.counts[from]++
	return ""
}

// release forgets a socket.
func (l *limiter) release(from netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	if l.counts[from]--; l.counts[from] <= 0 {
		delete(l.counts, from)
	}
}

// connections returns how many sockets are open.
func (l *limiter) connections() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open
}

func peerOf(c net.Conn) netip.Addr {
	if tcp, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

func (l *limiter) isProxy(a netip.Addr) bool {
	for _, p := range l.trusted {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// forwarded gives requests of trusted proxies the address that the proxy saw:
// the last in X-Forwarded-For that is not itself a trusted proxy.
func (l *limiter) forwarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if lines := r.Header["X-Forwarded-For"]; len(lines) > 0 {
			if peer, err := netip.ParseAddrPort(r.RemoteAddr); err == nil && l.isProxy(peer.Addr().Unmap()) {
				if from, ok := l.origin(lines); ok {
					r.RemoteAddr = netip.AddrPortFrom(from, 0).String()
				}
			}
		}
		next.ServeHTTP(w, r)
	})
}

// origin reads X-Forwarded-For from its end.
func (l *limiter) origin(lines []string) (netip.Addr, bool) {
	var last netip.Addr
	for i := len(lines) - 1; i >= 0; i-- {
		parts := strings.Split(lines[i], ",")
		for j := len(parts) - 1; j >= 0; j-- {
			a, err := netip.ParseAddr(strings.TrimSpace(parts[j]))
			if err != nil {
				return last, last.IsValid() // written by a stranger: believe nothing before it
			}
			if last = a.Unmap(); !l.isProxy(last) {
				return last, true
			}
		}
	}
	return last, last.IsValid()
}
