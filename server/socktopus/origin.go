package socktopus

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// An originList is the pages whose browsers may join, in lower case: "*", hosts with
// or without a port, "*.host" for all below one, and origins with a scheme. An empty
// one is all pages. The original let every page join.
type originList []string

// CheckOrigin reports what cannot stand in [Config] Origins, and what would be right.
func CheckOrigin(page string) error {
	wrong := fmt.Errorf("%q is none: want *, hosts such as example.com or *.example.com, or origins such as https://example.com:8443", page)
	if page == "*" {
		return nil
	}
	rest := strings.TrimPrefix(page, "*.")
	if !strings.Contains(rest, "://") {
		rest = "https://" + rest
	} else if rest != page {
		return wrong
	}
	u, err := url.Parse(rest)
	if err != nil || u.Hostname() == "" || rest != u.Scheme+"://"+u.Host || strings.ContainsAny(u.Host, "*\"'<>") {
		return wrong
	}
	return nil
}

func newOrigins(pages []string) originList {
	var list originList
	for _, page := range pages {
		list = append(list, strings.ToLower(page))
	}
	return list
}

// allows reports whether a request comes from such a page, or from none: what is no
// browser sends no Origin (RFC 6455, section 10.2).
func (l originList) allows(r *http.Request) bool {
	for _, origin := range r.Header["Origin"] {
		if !l.has(strings.ToLower(origin)) {
			return false
		}
	}
	return true
}

func (l originList) has(origin string) bool {
	if len(l) == 0 {
		return true
	}
	u, err := url.Parse(origin)
	if err != nil {
		u = new(url.URL)
	}
	for _, page := range l {
		below, wild := strings.CutPrefix(page, "*.")
		switch {
		case page == "*", page == origin:
			return true
		case u.Host == "": // "null", or no origin at all
		case wild && strings.HasSuffix(u.Hostname(), "."+below), page == u.Hostname(), page == u.Host:
			return true
		}
	}
	return false
}
