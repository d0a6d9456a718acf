package pusher

import (
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"poosh/auth"
	"poosh/server/admission"
	"poosh/server/quota"
	"poosh/server/respond"
)

// An apiError is an answer of the API that is not 200. Its body has Sockudo's
// form; the libraries hand it to their caller as it is.
type apiError struct {
	status int
	code   string        // one word for programs
	text   string        // for people; never a secret
	retry  time.Duration // when to try again; 0 for no advice
}

func (e *apiError) Error() string { return e.text }

func invalid(format string, args ...any) error {
	return &apiError{status: http.StatusBadRequest, code: "invalid_input", text: fmt.Sprintf(format, args...)}
}

// What is answered in more than one place.
var (
	errNoRoute   = &apiError{status: http.StatusNotFound, code: "not_found", text: "no such address"}
	errNoApp     = &apiError{status: http.StatusNotFound, code: "app_not_found", text: "no app has this id"}
	errOtherKey  = &apiError{status: http.StatusUnauthorized, code: "auth_failed", text: "auth_key is not the key of this app"}
	errDisabled  = &apiError{status: http.StatusForbidden, code: "forbidden", text: "the app is disabled"}
	errDraining  = &apiError{status: http.StatusServiceUnavailable, code: "service_unavailable", text: "the server is going away", retry: 2 * time.Second}
	errBacklog   = &apiError{status: http.StatusServiceUnavailable, code: "backpressure", text: admission.ErrOverloaded.Error(), retry: time.Second}
	errNoRoom    = &apiError{status: http.StatusServiceUnavailable, code: "backpressure", text: quota.ErrFull.Error(), retry: time.Second}
	errInternal  = &apiError{status: http.StatusInternalServerError, code: "internal_error", text: "internal error"}
	errBodyTime  = &apiError{status: http.StatusRequestTimeout, code: "timeout", text: "the body did not arrive"}
	errPanic     = &apiError{status: http.StatusInternalServerError, code: "internal_error", text: "internal error"}
	errBadBody   = invalid("the body must be a JSON object")
	errNoChannel = &apiError{status: http.StatusBadRequest, code: "missing_channel_info", text: "no channel is named"}
)

// channelRule says what a channel's name may be.
const channelRule = "want 1 to 200 letters, digits and -_=@,.;"

var errBadChannel = errors.New("invalid channel name: " + channelRule)

func badChannel(name string) error {
	return invalid("invalid channel name %s: %s", shown(name), channelRule)
}

// tooMuchData is said of an event's data. The tests of official libraries look for
// the first words as they stand.
func tooMuchData(size, limit int) string {
	return fmt.Sprintf("The data content of this event exceeds the allowed maximum (%d bytes): it has %d; the limit is the app's max_event_bytes",
		limit, size)
}

func tooBig(format string, args ...any) error {
	return &apiError{status: http.StatusRequestEntityTooLarge, code: "payload_too_large", text: fmt.Sprintf(format, args...)}
}

func overLimit(format string, args ...any) error {
	return &apiError{status: http.StatusBadRequest, code: "limit_exceeded", text: fmt.Sprintf(format, args...)}
}

// begin writes the head of an answer. All answers are JSON, and pages of any origin
// may read them.
func (d *Dialect) begin(w http.ResponseWriter, status int) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	d.counts.add("api "+strconv.Itoa(status), 1)
	w.WriteHeader(status)
}

// chunkBytes is about how much of a long answer is written at once.
const chunkBytes = 32 << 10

// stream writes a good answer. A client that is gone needs no more of it.
func (d *Dialect) stream(w http.ResponseWriter, body reply) {
	d.begin(w, http.StatusOK)
	var chunk []byte
	for piece := range body {
		if chunk = append(chunk, piece...); len(chunk) < chunkBytes {
			continue
		}
		if _, err := w.Write(chunk); err != nil {
			return
		}
		chunk = chunk[:0]
	}
	if len(chunk) > 0 {
		_, _ = w.Write(chunk)
	}
}

// fail answers with an error.
func (d *Dialect) fail(w http.ResponseWriter, err error) {
	e := asAPIError(err)
	if e == errInternal {
		d.log.Error("an error of the API that nobody thought of", "err", err)
	}
	if e.retry > 0 {
		w.Header().Set("Retry-After", seconds(e.retry))
	}
	body := respond.Go.Body(struct {
		respond.Error
		Code   string `json:"code"`
		Status int    `json:"status"`
	}{respond.Error{Text: e.text}, e.code, e.status})
	d.begin(w, e.status)
	_, _ = w.Write(body) // a client that is gone needs no answer
}

// asAPIError finds the status of an error.
func asAPIError(err error) *apiError {
	var known *apiError
	var token *auth.PusherError
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(err, admission.ErrOverloaded):
		return errBacklog
	case errors.Is(err, admission.ErrClosed):
		return errDraining
	case errors.Is(err, quota.ErrFull):
		return errNoRoom
	case errors.As(err, &token):
		return &apiError{status: http.StatusUnauthorized, code: "auth_failed", text: token.Error()}
	case errors.Is(err, auth.ErrQueryEscape), errors.Is(err, auth.ErrQueryTooBig):
		return &apiError{status: http.StatusBadRequest, code: "invalid_input", text: err.Error()}
	}
	return errInternal
}

// recoverRequest answers for a handler that panicked, and tells the log alone why.
func (d *Dialect) recoverRequest(w http.ResponseWriter, r *http.Request) {
	switch p := recover(); p {
	case nil:
	case http.ErrAbortHandler:
		panic(p)
	default:
		d.log.Error("panic in a request", "remote", r.RemoteAddr, "path", r.URL.Path,
			"panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		d.fail(w, errPanic)
	}
}
