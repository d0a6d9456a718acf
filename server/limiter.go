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

	mu     sync.Mutex // guards what follows
	open   int
	counts map[netip.Addr]int
}

func newLimiter(cfg NetworkConfig, log *slog.Logger) *limiter {
	return &limiter{max: cfg.MaxConnections, perAddress: cfg.MaxConnectionsPerAddress, trusted: cfg.TrustedProxies,
		log: log, counts: make(map[netip.Addr]int)}
}

// opened counts a new socket, or reports false and logs why it is refused.
func (l *limiter) opened(c net.Conn) bool {
	bound := l.take(peerOf(c))
	if bound != "" {
		l.log.Warn("connection refused", "remote", c.RemoteAddr(), "bound", bound)
	}
	return bound == ""
}

// closed forgets a socket that was opened. One that became a WebSocket stays
// counted: the loop tells of its end.
func (l *limiter) closed(c net.Conn) { l.release(peerOf(c)) }

// connState is told by an HTTP server of sockets that were counted before it got
// them.
func (l *limiter) connState(c net.Conn, state http.ConnState) {
	if state == http.StateClosed {
		l.closed(c)
	}
}

// take counts a new socket, or names the setting that bounds it.
func (l *limiter) take(from netip.Addr) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.open >= l.max:
		return "MAX_CONNECTIONS"
	case l.counts[from] >= l.perAddress && !l.isProxy(from):
		return "MAX_CONNECTIONS_PER_ADDRESS"
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
