package admin

import (
	"net"
	"net/http"
	"net/url"
	"strings"

	"poosh/server/respond"
)

// guarded is what every request goes through before it is looked at.
func (s *Server) guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		strict(w.Header())
		switch {
		case s.tokens == nil && !s.isOurName(r.Host):
			respond.Go.Error(w, http.StatusForbidden, "without ADMIN_TOKEN this port answers to localhost, 127.0.0.1, [::1] and ADMIN_HOST alone")
		case isForeign(r):
			respond.Go.Error(w, http.StatusForbidden, "pages of other origins may not ask")
		default:
			if s.tokens != nil && !probes[r.URL.Path] {
				if r = s.tokens.admit(w, r); r == nil {
					return
				}
			}
			r.Body = http.MaxBytesReader(w, r.Body, maxBody)
			next.ServeHTTP(w, r)
		}
	})
}

// strict has browsers keep what is served to itself: nothing of others is loaded into a
// page of ours, and nothing of ours into a page of others or a cache.
func strict(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
}

// isOurName reports whether a Host header names this machine. A page whose own name has
// come to stand for 127.0.0.1 (DNS rebinding) reaches the port under that name. With a
// token that is of no use: a browser shows it to the name that it was typed for alone.
func (s *Server) isOurName(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.Trim(host, "[]"), ".")
	for _, ours := range []string{"localhost", "127.0.0.1", "::1", s.cfg.Host} {
		if strings.EqualFold(host, ours) {
			return true
		}
	}
	return false
}

// isForeign reports whether a page of another origin asks, whatever for: a browser shows
// a password that it knows for such requests too, and they would cost something. Links
// to the first page may stand anywhere.
func isForeign(r *http.Request) bool {
	if origin := r.Header.Get("Origin"); origin != "" {
		// The scheme is not compared: a proxy may have taken TLS off.
		if u, err := url.Parse(origin); err != nil || !strings.EqualFold(u.Host, r.Host) {
			return true
		}
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
		return false
	}
	isLink := r.Method == http.MethodGet && r.URL.Path == "/" && r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document"
	return !isLink
}
