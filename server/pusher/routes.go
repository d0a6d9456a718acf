package pusher

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"poosh/server/pusher/answer"
	"poosh/server/route"
	"poosh/server/websocket"
)

// mount is what there is on the port: the API below /apps, connections below /app, and
// whether the server is well under /up, /live and, as soketi has it, /, /ready and
// /accept-traffic.
func (d *Dialect) mount() *route.Router {
	r := route.New(d.pathName)
	r.Use(d.bounded)
	r.NotFound(d.nothing)

	r.HandleFunc("/app/{key}", func(w http.ResponseWriter, r *http.Request) { d.clients.Connect(w, r, route.Parts(r)[1:]) })
	r.HandleFunc("/app/*", d.connectNowhere)
	r.HandleFunc("/app", d.connectNowhere)

	d.api.Mount(r)

	r.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if websocket.IsUpgrade(r) {
			d.connectNowhere(w, r)
			return
		}
		d.health(w, r)
	})
	for _, probe := range []string{"/up", "/live", "/ready", "/accept-traffic"} {
		r.HandleFunc(probe, d.health)
		r.HandleFunc(probe+"/*", d.health)
	}
	return r
}

// pathName names the route of a request: its path as it was sent, without the prefix
// and one slash at the end. Parts are compared decoded, each by itself, so that %2F in
// the name of a channel is no separator.
func (d *Dialect) pathName(r *http.Request) string {
	path := r.URL.EscapedPath()
	if rest, found := strings.CutPrefix(path, d.prefix); d.prefix != "" && found && strings.HasPrefix(rest, "/") {
		path = rest
	}
	if strings.Contains(path, "%") {
		parts := strings.Split(path, "/")
		for i := range parts {
			parts[i] = url.PathEscape(route.Plain(parts[i]))
		}
		path = strings.Join(parts, "/")
	}
	if path = strings.TrimSuffix(path, "/"); path != "" {
		return path
	}
	return "/"
}

// bounded answers for handlers that panic, and gives a request and its answer some
// time.
func (d *Dialect) bounded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer d.answer.Recover(w, r)
		if !websocket.IsUpgrade(r) {
			// The port is a WebSocket's too, whose server has no such limits of its own.
			// A body that nobody reads is waited for as well.
			rc, now := http.NewResponseController(w), time.Now()
			_ = rc.SetReadDeadline(now.Add(d.cfg.BodyTimeout)) // not of every test's writer
			_ = rc.SetWriteDeadline(now.Add(d.cfg.BodyTimeout + d.cfg.WriteTimeout))
		}
		next.ServeHTTP(w, r)
	})
}

// connectNowhere refuses a connection for its path.
func (d *Dialect) connectNowhere(w http.ResponseWriter, r *http.Request) {
	d.clients.Connect(w, r, nil)
}

// nothing answers for a path that is not there.
func (d *Dialect) nothing(w http.ResponseWriter, r *http.Request) {
	switch first := route.Parts(r)[0]; {
	case first == "apps" || first == "users":
		d.api.Nothing(w, r)
	case websocket.IsUpgrade(r):
		d.connectNowhere(w, r)
	default:
		d.answer.Fail(w, answer.ErrNoRoute)
	}
}
