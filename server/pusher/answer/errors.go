// Package answer is the form of the Pusher dialect's answers over HTTP: their head, its
// errors, and the headers of rate limits. It knows no app.
package answer

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"poosh/auth"
	"poosh/server/admission"
	"poosh/server/hub"
	"poosh/server/quota"
)

// An Error is an answer that is not 200. Its body has Sockudo's form; the libraries
// hand it to their caller as it is.
type Error struct {
	Status int
	Code   string        // one word for programs
	Text   string        // for people; never a secret
	Retry  time.Duration // when to try again; 0 for no advice
	Cause  hub.Cause     // why an event was not sent, where the sender asked for that
}

// Error is the text for people.
func (e *Error) Error() string { return e.Text }

// Invalid is said of a request that is wrong.
func Invalid(format string, args ...any) error {
	return &Error{Status: http.StatusBadRequest, Code: "invalid_input", Text: fmt.Sprintf(format, args...)}
}

// What is answered in more than one place.
var (
	ErrNoRoute  = &Error{Status: http.StatusNotFound, Code: "not_found", Text: "no such address"}
	ErrNoApp    = &Error{Status: http.StatusNotFound, Code: "app_not_found", Text: "no app has this id"}
	ErrDraining = &Error{Status: http.StatusServiceUnavailable, Code: "service_unavailable", Text: "the server is going away", Retry: 2 * time.Second}
	ErrAway     = &Error{Status: http.StatusServiceUnavailable, Code: "service_unavailable", Text: hub.ErrAway.Error(), Retry: time.Second}
	errFull     = &Error{Status: http.StatusServiceUnavailable, Code: "backpressure", Text: hub.ErrFull.Error(), Retry: time.Second}
	errBacklog  = &Error{Status: http.StatusServiceUnavailable, Code: "backpressure", Text: admission.ErrOverloaded.Error(), Retry: time.Second}
	errNoRoom   = &Error{Status: http.StatusServiceUnavailable, Code: "backpressure", Text: quota.ErrFull.Error(), Retry: time.Second}
	errInternal = &Error{Status: http.StatusInternalServerError, Code: "internal_error", Text: "internal error"}
	errPanic    = &Error{Status: http.StatusInternalServerError, Code: "internal_error", Text: "internal error"}
)

// TooBig is said of what is larger than it may be.
func TooBig(format string, args ...any) error {
	return &Error{Status: http.StatusRequestEntityTooLarge, Code: "payload_too_large", Text: fmt.Sprintf(format, args...)}
}

// OverLimit is said of more than there may be.
func OverLimit(format string, args ...any) error {
	return &Error{Status: http.StatusBadRequest, Code: "limit_exceeded", Text: fmt.Sprintf(format, args...)}
}

// As finds the answer to an error, which is an internal one for those that nobody
// thought of.
func As(err error) *Error {
	var known *Error
	var token *auth.PusherError
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(err, hub.ErrAway), errors.Is(err, admission.ErrAway):
		return ErrAway
	case errors.Is(err, hub.ErrFull):
		return errFull
	case errors.Is(err, hub.ErrUncertain):
		// Without Retry-After: who sends it again may have it come twice.
		return &Error{Status: http.StatusServiceUnavailable, Code: "service_unavailable", Text: err.Error()}
	case errors.Is(err, admission.ErrOverloaded):
		return errBacklog
	case errors.Is(err, admission.ErrClosed):
		return ErrDraining
	case errors.Is(err, quota.ErrFull):
		return errNoRoom
	case errors.As(err, &token):
		return &Error{Status: http.StatusUnauthorized, Code: "auth_failed", Text: token.Error()}
	case errors.Is(err, auth.ErrQueryEscape), errors.Is(err, auth.ErrQueryTooBig):
		return &Error{Status: http.StatusBadRequest, Code: "invalid_input", Text: err.Error()}
	}
	return errInternal
}
