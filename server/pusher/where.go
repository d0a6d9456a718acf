package pusher

import (
	"net/http"
	"strings"

	"poosh/server/http1"
	"poosh/server/websocket"
)

// Where serves WebSockets on the loop, what publishes an event or a few, whose answer
// is small, on goroutines, and everything else by net/http. It may be called from any
// goroutine.
func Where(r *http.Request) http1.Where {
	switch {
	case r.Method == http.MethodGet && websocket.IsUpgrade(r):
		return http1.Here
	case r.Method == http.MethodPost && (strings.HasSuffix(r.URL.Path, "/events") || strings.HasSuffix(r.URL.Path, "/batch_events")):
		return http1.Separately
	}
	return http1.Elsewhere
}
