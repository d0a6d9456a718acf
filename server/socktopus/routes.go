package socktopus

import (
	"net/http"

	"poosh/server/route"
	"poosh/server/websocket"
)

// mount is what there is on the port.
func (d *Dialect) mount() *route.Router {
	r := route.New(route.Decoded)
	// The original did not look at the method.
	r.Wrong(func(w http.ResponseWriter, _ *http.Request) {
		writeError(w, http.StatusMethodNotAllowed, "Method not allowed")
	})
	for _, path := range joinPaths {
		r.On(path, route.Methods{"GET": d.receive})
	}
	r.On("/send", route.Methods{"POST": d.send})
	r.On("/kick", route.Methods{"POST": d.kick})
	r.On("/", route.Methods{"GET": d.home, "HEAD": d.home})
	r.NotFound(func(w http.ResponseWriter, _ *http.Request) { writeError(w, http.StatusNotFound, "Not found") })
	return r
}

// joinPaths are where clients join; the first is how the original spells it.
var joinPaths = [...]string{"/recieve", "/receive"}

// IsJoin reports whether a client asks to join: the one request that ServeHTTP answers
// without ever waiting. /send waits at the gate, /kick for tokens. It may be called
// from any goroutine.
func IsJoin(r *http.Request) bool {
	return r.Method == http.MethodGet && (r.URL.Path == joinPaths[0] || r.URL.Path == joinPaths[1]) && websocket.IsUpgrade(r)
}

// ServeHTTP answers every request of the listener.
func (d *Dialect) ServeHTTP(w http.ResponseWriter, r *http.Request) { d.routes.ServeHTTP(w, r) }
