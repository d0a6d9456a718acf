package poosh

import (
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"poosh/server/health"
	"poosh/server/http1"
	"poosh/server/respond"
	"poosh/server/route"
	"poosh/server/socketio"
)

// This file is what there is on both ports.

// sendPath is where events are posted.
const sendPath = "/send"

// Router returns the handler of SERVER_PORT.
//
// What a path means depends on the body and the token, which the Node server looked at
// before: all routes but that of publishing are refusals of one kind or another, to
// those with a good token. Not so what the Node server had not: that of the history.
func (a *API) Router() *route.Router {
	r := route.New(sendName)
	r.Post(sendPath, a.judged(a.send))
	for _, path := range []string{sendPath, "/*"} {
		r.Get(path, a.judged(a.read))
		r.Head(path, a.judged(a.read))
	}
	if a.hub.Keeps(App) {
		r.Get(historyPath, a.history)
	}
	r.Options(sendPath, a.judged(allow("POST,GET,HEAD")))
	r.Options("/*", a.judged(allow("GET,HEAD")))
	r.NotFound(a.judged(a.notFound))
	r.MethodNotAllowed(a.judged(a.notFound)) // the Node server had no 405
	return r
}

// clientRoutes returns the handler of CLIENT_PORT: Socket.IO under its path, streams of
// events, whether the server is well for balancers, and for everything else what the Node server said.
func clientRoutes(sockets, events http.Handler, well *health.Health) *route.Router {
	r := route.New(func(r *http.Request) string {
		if strings.HasPrefix(r.URL.Path, socketio.Path) {
			return socketio.Path // whatever follows it
		}
		return r.URL.Path
	})
	r.Handle(socketio.Path, sockets)
	r.Handle(eventsPath, events)
	for path, h := range map[string]http.HandlerFunc{"/live": well.ServeLive, "/ready": well.ServeReady} {
		r.Get(path, h)
		r.Head(path, h)
	}
	r.NotFound(notAWebSocketClient)
	r.MethodNotAllowed(notAWebSocketClient)
	return r
}

// nowhere is the name of paths that cannot be decoded; no route begins like it.
const nowhere = "%"

// sendName names the route of a request: /send in any case and with one slash behind
// it is /send. express compares the path as it was sent, so /%73end is not, and
// answers 400 where decodeURIComponent throws.
func sendName(r *http.Request) string {
	switch {
	// RawPath is empty when the path was sent as it decodes.
	case r.URL.RawPath == "" && equalFold(strings.TrimSuffix(r.URL.Path, "/"), sendPath):
		return sendPath
	case !decodable(r.URL):
		return nowhere
	}
	return "" // as it was sent
}

// decodable reports whether a path is ASCII that decodes to UTF-8. That its percent
// signs are in order net/http has seen to.
func decodable(u *url.URL) bool {
	for i := range len(u.RawPath) {
		if u.RawPath[i] >= utf8.RuneSelf {
			return false
		}
	}
	return utf8.ValidString(u.Path)
}

// read answers GET and HEAD.
func (a *API) read(w http.ResponseWriter, r *http.Request, m *message) {
	a.refuse(w, r, m, readOnly, nil)
}

func (a *API) notFound(w http.ResponseWriter, r *http.Request, m *message) {
	why := notFound
	if !decodable(r.URL) {
		why = badPath
	}
	a.refuse(w, r, m, why, nil)
}

// allow answers OPTIONS as express does, with the methods in header and body.
func allow(methods string) func(http.ResponseWriter, *http.Request, *message) {
	return func(w http.ResponseWriter, _ *http.Request, _ *message) {
		w.Header().Set("Allow", methods)
		respond.Text(w, http.StatusOK, methods)
	}
}

// notAWebSocketClient answers whoever comes to CLIENT_PORT for something else.
func notAWebSocketClient(w http.ResponseWriter, r *http.Request) {
	const allowed = "GET,HEAD"
	switch {
	case strings.EqualFold(r.Header.Get("Upgrade"), "websocket"):
		respond.Express.Error(w, http.StatusBadRequest, "socket.io is at "+socketio.Path)
	case r.Method == http.MethodOptions:
		w.Header().Set("Allow", allowed)
		respond.Text(w, http.StatusOK, allowed)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		respond.Express.Error(w, http.StatusNotFound, "there is nothing here but socket.io, at "+socketio.Path)
	default:
		respond.Express.JSON(w, http.StatusOK, map[string]string{"message": "You're not a websocket client!"})
	}
}

// clientWhere serves streams on the loop, where they stay, and what socket.io says of its own.
func clientWhere(r *http.Request) http1.Where {
	if r.URL.Path == eventsPath {
		return http1.Kept
	}
	return socketio.Where(r)
}
