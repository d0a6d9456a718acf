package peers

import (
	"net/http"
	"net/netip"
	"strings"
)

// Proxies are the networks of peers that speak for others: their connections count for
// nobody, and their word is believed about whom a request is from.
type Proxies []netip.Prefix

// Has reports whether a peer is one of them.
func (p Proxies) Has(a netip.Addr) bool {
	for _, network := range p {
		if network.Contains(a) {
			return true
		}
	}
	return false
}

// Forwarded gives requests of proxies the address that the proxy saw, the last in
// X-Forwarded-For that is not itself one of them: what [Of] is asked about afterwards is
// whose the request is, whoever brought it.
func (p Proxies) Forwarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if lines := r.Header["X-Forwarded-For"]; len(lines) > 0 {
			if peer, err := netip.ParseAddrPort(r.RemoteAddr); err == nil && p.Has(peer.Addr().Unmap()) {
				if from, ok := p.origin(lines); ok {
					r.RemoteAddr = netip.AddrPortFrom(from, 0).String()
				}
			}
		}
		next.ServeHTTP(w, r)
	})
}

// origin reads X-Forwarded-For from its end.
func (p Proxies) origin(lines []string) (netip.Addr, bool) {
	var last netip.Addr
	for i := len(lines) - 1; i >= 0; i-- {
		parts := strings.Split(lines[i], ",")
		for j := len(parts) - 1; j >= 0; j-- {
			a, err := netip.ParseAddr(strings.TrimSpace(parts[j]))
			if err != nil {
				return last, last.IsValid() // written by a stranger: believe nothing before it
			}
			// A zone says something only to the proxy itself.
			if last = a.Unmap().WithZone(""); !p.Has(last) {
				return last, true
			}
		}
	}
	return last, last.IsValid()
}
