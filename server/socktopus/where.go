package socktopus

import (
	"net/http"

	"poosh/server/http1"
)

// Where serves joins on the loop. Nothing else may go there, whatever headers it
// has: it would hold up everybody while it waits.
func Where(r *http.Request) http1.Where {
	if IsJoin(r) {
		return http1.Here
	}
	return http1.Elsewhere
}
