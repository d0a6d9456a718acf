package pusher

import (
	"net/http"
	"net/url"
	"strings"
	"time"

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
	r.Wrong(d.wrongMethod)

	r.HandleFunc("/app/{key}", func(w http.ResponseWriter, r *http.Request) { d.connect(w, r, segments(r)[1:]) })
	r.HandleFunc("/app/*", d.connectNowhere)
	r.HandleFunc("/app", d.connectNowhere)

	for _, api := range []struct {
		method, path string // below the app; {of} is a channel or user
		handle       handler
	}{
		{http.MethodPost, "/events", (*call).events},
		{http.MethodPost, "/batch_events", (*call).batchEvents},
		{http.MethodPost, "/users/{of}/events", (*call).userEvents},
		{http.MethodGet, "/channels", (*call).channels},
		{http.MethodGet, "/channels/{of}", (*call).channel},
		{http.MethodGet, "/channels/{of}/users", (*call).channelUsers},
		{http.MethodPost, "/users/{of}/terminate_connections", (*call).terminate},
		{http.MethodPost, "/users/{of}/force_reconnect", (*call).forceReconnect},
		{http.MethodGet, "/connections", (*call).connections},
	} {
		by := route.Methods{api.method: d.api(api.handle), http.MethodOptions: d.preflight}
		r.On("/apps/{app}"+api.path, by)
		if strings.HasPrefix(api.path, "/users/") {
			r.On(api.path, by)
		}
	}

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
			parts[i] = url.PathEscape(plain(parts[i]))
		}
		path = strings.Join(parts, "/")
	}
	if path = strings.TrimSuffix(path, "/"); path != "" {
		return path
	}
	return "/"
}

// segments returns the parts of a request's name, decoded.
func segments(r *http.Request) []string {
	parts := strings.Split(strings.TrimPrefix(route.Name(r), "/"), "/")
	for i := range parts {
		parts[i] = plain(parts[i])
	}
	return parts
}

// plain decodes a part of a path, which net/http has seen to be in order.
func plain(part string) string {
	text, err := url.PathUnescape(part)
	if err != nil {
		return part
	}
	return text
}

// bounded answers for handlers that panic, and gives a request and its answer some
// time.
func (d *Dialect) bounded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer d.recoverRequest(w, r)
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
func (d *Dialect) connectNowhere(w http.ResponseWriter, r *http.Request) { d.connect(w, r, nil) }

// isAPI reports whether a request is for the API, whatever it is.
func isAPI(r *http.Request) bool {
	first := segments(r)[0]
	return first == "apps" || first == "users"
}

// nothing answers for a path that is not there.
func (d *Dialect) nothing(w http.ResponseWriter, r *http.Request) {
	switch {
	case isAPI(r) && r.Method == http.MethodOptions:
		d.preflight(w, r)
	case isAPI(r):
		_, err := d.serve(w, r, nil, errNoRoute)
		d.fail(w, err)
	case websocket.IsUpgrade(r):
		d.connectNowhere(w, r)
	default:
		d.fail(w, errNoRoute)
	}
}

// wrongMethod answers for a path of the API that is there.
func (d *Dialect) wrongMethod(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	allow := h.Get("Allow")
	wanted, _, _ := strings.Cut(allow, ",")
	no := &apiError{status: http.StatusMethodNotAllowed, code: "method_not_allowed", text: "want " + wanted}
	_, err := d.serve(w, r, nil, no)
	if err != no { // whether there is such a path is for those who may know
		h.Del("Allow")
	}
	d.fail(w, err)
}
