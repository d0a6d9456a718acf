package pusher

import (
	"net/http"
	"strings"

	"poosh/server/http1"
	"poosh/server/websocket"
)

// quickBody is the largest body that is served by the goroutine that reads for many
// connections.
const quickBody = 16 << 10

// Where serves WebSockets and what publishes one small event on the loop, what publishes
// more on goroutines, and everything else by net/http. It may be called from any
// goroutine.
func Where(r *http.Request) http1.Where {
	switch {
	case r.Method == http.MethodGet && websocket.IsUpgrade(r):
		return http1.Here
	case r.Method != http.MethodPost:
	case strings.HasSuffix(r.URL.Path, "/events"):
		if r.ContentLength > quickBody {
			return http1.Separately
		}
		return http1.Here // the API goes aside with what has to wait
	case strings.HasSuffix(r.URL.Path, "/batch_events"):
		return http1.Separately
	}
	return http1.Elsewhere
}
