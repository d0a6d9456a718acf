package socketio

import (
	"net/http"
	"net/url"
	"strings"
)

// origins are the allowed origins of pages; nil allows all.
type origins map[string]bool

func newOrigins(list []string) origins {
	if len(list) == 0 {
		return nil
	}
	o := make(origins, len(list))
	for _, origin := range list {
		if origin == "*" {
			return nil
		}
		o[strings.ToLower(origin)] = true
	}
	return o
}

// allow reports whether a request is served. Browsers send an Origin with whatever
// crosses origins, with every POST and every WebSocket, and programs that are no
// browsers send none. A script of the JSONP transport has none either, though every
// page may run it: there the page that it names as its referrer counts.
func (o origins) allow(r *http.Request, jsonp bool) bool {
	if o == nil {
		return true
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		if !jsonp {
			return true
		}
		page, err := url.Parse(r.Referer())
		if err != nil {
			return false
		}
		origin = page.Scheme + "://" + page.Host
	}
	return o[strings.ToLower(origin)]
}

// refuseOrigin answers a request of a page that is not allowed. Without the headers of
// crossOrigin the page does not read it.
func (srv *Server) refuseOrigin(w http.ResponseWriter, r *http.Request) {
	srv.refused.Add(refusedOrigin, 1)
	srv.log.Debug("request refused", "origin", r.Header.Get("Origin"), "reason", "not in the list of allowed origins")
	w.Header()["X-Content-Type-Options"] = noSniff
	refusalForm.Error(w, http.StatusForbidden, "this origin is not allowed")
}
