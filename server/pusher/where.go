package pusher

import (
	"net/http"
	"strings"
)

// IsPublish reports whether a request publishes one event or a few, so that its
// answer is small. It may be called from any goroutine.
func IsPublish(r *http.Request) bool {
	return r.Method == http.MethodPost && (strings.HasSuffix(r.URL.Path, "/events") || strings.HasSuffix(r.URL.Path, "/batch_events"))
}
