package socketio

import (
	"net/http"
	"strings"
)

// clientScript serves /socket.io/socket.io.js: a redirect to an address, or a
// file, read anew for each request so that it can be replaced.
func clientScript(source string) http.Handler {
	if strings.HasPrefix(source, "http://") || strings.HasPrefix(source, "https://") {
		return http.RedirectHandler(source, http.StatusFound)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/javascript")
		w.Header().Set("Cache-Control", "public, max-age=0")
		http.ServeFile(w, r, source)
	})
}
