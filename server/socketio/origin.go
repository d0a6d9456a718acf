package socketio

import (
	"encoding/json"
	"net/http"
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

// allow reports whether a request with this Origin header is served. Browsers send
// one with whatever crosses origins, with every POST and every WebSocket.
func (o origins) allow(origin string) bool {
	return o == nil || origin == "" || o[strings.ToLower(origin)]
}

// refuseOrigin answers a request of a page that is not allowed. Without the headers of
// crossOrigin the page does not read it.
func (srv *Server) refuseOrigin(w http.ResponseWriter, origin string) {
	srv.count("origin refused")
	srv.log.Debug("request refused", "origin", origin, "reason", "not in the list of allowed origins")
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h["X-Content-Type-Options"] = noSniff
	w.WriteHeader(http.StatusForbidden)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": "this origin is not allowed"}) // a client that is gone needs no answer
}
