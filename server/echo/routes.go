package echo

import (
	"net/http"
	"strings"

	"poosh/server/health"
	"poosh/server/http1"
	"poosh/server/respond"
	"poosh/server/route"
	"poosh/server/socketio"
)

// mount is what there is on the port: Socket.IO under its path, the HTTP API below /apps, and
// whether the server is well for balancers.
func (d *Dialect) mount(well *health.Health) *route.Router {
	r := route.New(pathName)
	r.Handle(socketio.Path, d.sockets)
	if well != nil {
		for path, h := range map[string]http.HandlerFunc{"/live": well.ServeLive, "/ready": well.ServeReady} {
			r.Get(path, h)
			r.Head(path, h)
		}
	}
	d.api.Mount(r)
	r.NotFound(nothing)
	r.MethodNotAllowed(nothing)
	return r
}

// pathName names the route of a request: everything below Socket.IO's path is one.
func pathName(r *http.Request) string {
	if strings.HasPrefix(r.URL.Path, socketio.Path) {
		return socketio.Path
	}
	return r.URL.EscapedPath()
}

// nothing answers for a path that is not there.
func nothing(w http.ResponseWriter, r *http.Request) {
	text := "there is nothing here"
	if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		text = "socket.io is at " + socketio.Path
	}
	respond.Express.Error(w, http.StatusNotFound, text)
}

// where serves Socket.IO on the loop, and everything else by net/http.
func where(r *http.Request) http1.Where { return socketio.Where(r) }
