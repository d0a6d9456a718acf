package answer

import (
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"poosh/server/hub"
	"poosh/server/pusher/tally"
	"poosh/server/rate"
	"poosh/server/respond"
)

// A Writer answers requests and counts what it answers. Its methods may be called from
// any goroutine.
type Writer struct {
	Count func(what tally.Thing, n int) // counts n things; must not block
	Log   *slog.Logger
}

// Begin writes the head of an answer. All answers are JSON, and pages of any origin
// may read them.
func (a Writer) Begin(w http.ResponseWriter, status int) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	a.Count(tally.Answer(status), 1)
	w.WriteHeader(status)
}

// Fail answers with an error.
func (a Writer) Fail(w http.ResponseWriter, err error) {
	e := As(err)
	if e == errInternal {
		a.Log.Error("an error of the API that nobody thought of", "err", err)
	}
	if e.Retry > 0 {
		w.Header().Set("Retry-After", seconds(e.Retry))
	}
	body := respond.Go.Body(struct {
		respond.Error
		Code   string    `json:"code"`
		Status int       `json:"status"`
		Cause  hub.Cause `json:"cause,omitempty"`
	}{respond.Error{Text: e.Text}, e.Code, e.Status, e.Cause})
	a.Begin(w, e.Status)
	_, _ = w.Write(body) // a client that is gone needs no answer
}

// Recover answers for a handler that panicked, and tells the log alone why. It must be
// deferred itself.
func (a Writer) Recover(w http.ResponseWriter, r *http.Request) {
	switch p := recover(); p {
	case nil:
	case http.ErrAbortHandler:
		panic(p)
	default:
		a.Log.Error("panic in a request", "remote", r.RemoteAddr, "path", r.URL.Path,
			"panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		a.Fail(w, errPanic)
	}
}

// Limit asks a limiter, which may be nil, for a request and writes what it says into
// the answer's headers. It returns what such a request is answered with.
func (a Writer) Limit(w http.ResponseWriter, l *rate.Limiter, remote string) error {
	said := l.Take(remote)
	tell(w.Header(), said)
	if said.OK {
		return nil
	}
	return &Error{Status: http.StatusTooManyRequests, Code: "rate_limited",
		Text: "too many requests", Retry: max(said.Retry, time.Second)}
}

// tell writes the headers of an allowance, unless a tighter one has been written.
// Sockudo has the names; seconds are rounded up.
func tell(h http.Header, said rate.Allowance) {
	if said.Limit == 0 {
		return
	}
	if old, err := strconv.Atoi(h.Get("X-RateLimit-Remaining")); err == nil && old < said.Remaining {
		return
	}
	h.Set("X-RateLimit-Limit", strconv.Itoa(said.Limit))
	h.Set("X-RateLimit-Remaining", strconv.Itoa(said.Remaining))
	h.Set("X-RateLimit-Reset", seconds(said.Reset))
}

// seconds is a time as a header has it, rounded up.
func seconds(d time.Duration) string {
	return strconv.Itoa(max(0, int(math.Ceil(d.Seconds()))))
}
