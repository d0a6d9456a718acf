package socketio

import (
	"net/http"
	"strings"

	"poosh/server/http1"
)

// Where serves everything of socket.io on the loop but the client script, which is
// large, and what else there is on the port by net/http.
func Where(r *http.Request) http1.Where {
	if strings.HasPrefix(r.URL.Path, Path) && !isScript(r.URL.Path) {
		return http1.Here
	}
	return http1.Elsewhere
}
