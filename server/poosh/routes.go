package poosh

import (
	"net/http"
	"strings"

	"poosh/server/socketio"
)

// clientRoutes is CLIENT_PORT: socket.io under its path, and for every other GET
// what the Node server said. With two routes a router would cost a poll more than
// it tells.
func clientRoutes(sockets http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, socketio.Path) {
			sockets.ServeHTTP(w, r)
			return
		}
		notAWebSocketClient(w, r)
	})
}

// notAWebSocketClient answers whoever comes to CLIENT_PORT for something else.
func notAWebSocketClient(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	status, body := http.StatusOK, `{"message":"You're not a websocket client!"}`
	switch {
	case strings.EqualFold(r.Header.Get("Upgrade"), "websocket"):
		status, body = http.StatusBadRequest, `{"error":"socket.io is at /socket.io/"}`
	case r.Method == http.MethodOptions:
		h.Set("Allow", "GET,HEAD")
		body = "GET,HEAD"
		h.Set("Content-Type", "text/plain; charset=utf-8")
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		status, body = http.StatusNotFound, `{"error":"there is nothing here but socket.io, at /socket.io/"}`
	}
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body)) // a client that is gone needs no answer
}
