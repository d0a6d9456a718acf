package pushsocket

import (
	"math"
	"net/http"
	"strconv"

	"poosh/server/rate"
)

// A Rate is how many things are allowed in a span of time.
type Rate = rate.Rate

// within asks a limiter for a request, of something that counts by itself as
// [rate.Limiter.TakeOf] has it, or answers 429 by itself.
func (d *Dialect) within(l *rate.Limiter, w http.ResponseWriter, r *http.Request, of, what string, why happening) bool {
	a := l.TakeOf(r.RemoteAddr, of)
	if a.OK {
		return true
	}
	w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(a.Retry.Seconds()))))
	d.reject(w, http.StatusTooManyRequests, why, "too many "+what+" from this address, please try again later")
	return false
}
