package answer

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"poosh/auth"
	"poosh/server/admission"
	"poosh/server/pusher/tally"
	"poosh/server/quota"
	"poosh/server/rate"
)

// newWriter returns a writer with its log, and how often it counted what.
func newWriter() (Writer, *strings.Builder, map[string]int) {
	var log strings.Builder
	counts := make(map[string]int)
	return Writer{Count: func(what tally.Thing, n int) { counts[what.String()] += n }, Log: slog.New(slog.NewTextHandler(&log, nil))}, &log, counts
}

// TestFail answers with errors of every kind, from wherever they come.
func TestFail(t *testing.T) {
	tests := []struct {
		err    error
		status int
		code   string
		text   string
		retry  string
	}{
		{Invalid("a %d", 1), 400, "invalid_input", "a 1", ""},
		{OverLimit("b"), 400, "limit_exceeded", "b", ""},
		{TooBig("c"), 413, "payload_too_large", "c", ""},
		{fmt.Errorf("somewhere: %w", ErrNoApp), 404, "app_not_found", "no app has this id", ""},
		{ErrNoRoute, 404, "not_found", "no such address", ""},
		{ErrDraining, 503, "service_unavailable", "the server is going away", "2"},
		{admission.ErrClosed, 503, "service_unavailable", "the server is going away", "2"},
		{admission.ErrOverloaded, 503, "backpressure", admission.ErrOverloaded.Error(), "1"},
		{fmt.Errorf("reading: %w", quota.ErrFull), 503, "backpressure", quota.ErrFull.Error(), "1"},
		{&auth.PusherError{}, 401, "auth_failed", "", ""},
		{auth.ErrQueryEscape, 400, "invalid_input", auth.ErrQueryEscape.Error(), ""},
		{auth.ErrQueryTooBig, 400, "invalid_input", auth.ErrQueryTooBig.Error(), ""},
		{errors.New("secret"), 500, "internal_error", "internal error", ""},
	}
	for _, tt := range tests {
		a, _, counts := newWriter()
		w := httptest.NewRecorder()
		a.Fail(w, tt.err)
		var body struct {
			Error, Code string
			Status      int
		}
		if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || w.Code != tt.status || body.Status != tt.status ||
			body.Code != tt.code || tt.text != "" && body.Error != tt.text || w.Header().Get("Retry-After") != tt.retry {
			t.Errorf("%v: %d %s, retry %q", tt.err, w.Code, w.Body, w.Header().Get("Retry-After"))
		}
		if h := w.Header(); h.Get("Content-Type") != "application/json" || h.Get("Access-Control-Allow-Origin") != "*" || counts[fmt.Sprint("api ", tt.status)] != 1 {
			t.Errorf("%v: %v, %v", tt.err, h, counts)
		}
	}
}

// TestLimit writes the headers of the tightest limit, and refuses what is over it.
func TestLimit(t *testing.T) {
	a, _, _ := newWriter()
	wide, tight := rate.New(rate.Rate{Limit: 5, Per: time.Hour}), rate.New(rate.Rate{Limit: 1, Per: time.Hour})
	w := httptest.NewRecorder()
	for _, l := range []*rate.Limiter{nil, wide, tight, wide} {
		if err := a.Limit(w, l, "192.0.2.1:1"); err != nil {
			t.Error(err)
		}
	}
	if h := w.Header(); h.Get("X-RateLimit-Limit") != "1" || h.Get("X-RateLimit-Remaining") != "0" || h.Get("X-RateLimit-Reset") != "3600" {
		t.Errorf("headers %v", h)
	}
	err := a.Limit(w, tight, "192.0.2.1:1")
	if e := As(err); e.Status != 429 || e.Code != "rate_limited" || e.Retry < 59*time.Minute {
		t.Errorf("%+v", e)
	}
	if asked, over := tight.Counts(); asked != 2 || over != 1 {
		t.Errorf("asked %d times, over %d", asked, over)
	}
	w = httptest.NewRecorder()
	if err := a.Limit(w, nil, ""); err != nil || len(w.Header()) != 0 {
		t.Errorf("no limit: %v, %v", err, w.Header())
	}
}

// TestRecover has a handler panic: the log alone learns why.
func TestRecover(t *testing.T) {
	a, log, _ := newWriter()
	serve := func(what any) *httptest.ResponseRecorder {
		w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/path?secret", nil)
		func() {
			defer a.Recover(w, r)
			if what != nil {
				panic(what)
			}
		}()
		return w
	}
	if w := serve("a bug"); w.Code != 500 || strings.Contains(w.Body.String(), "bug") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "a bug") || !strings.Contains(text, "TestRecover") || strings.Contains(text, "secret") {
		t.Errorf("logged %s", text)
	}
	if w := serve(nil); w.Body.Len() != 0 {
		t.Errorf("answered %s", w.Body)
	}
	defer func() {
		if p := recover(); p != http.ErrAbortHandler {
			t.Errorf("an abort became %v", p)
		}
	}()
	serve(http.ErrAbortHandler)
}

// TestUnknownErrorIsLogged has an error that no status was thought of for: the
// client learns nothing, the log everything, in one line.
func TestUnknownErrorIsLogged(t *testing.T) {
	var log strings.Builder
	a := Writer{Count: func(tally.Thing, int) {}, Log: slog.New(slog.NewTextHandler(&log, nil))}
	w := httptest.NewRecorder()
	a.Fail(w, fmt.Errorf("counting: %w", errors.New("the abacus is broken")))
	if w.Code != 500 || strings.Contains(w.Body.String(), "abacus") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "level=ERROR") || !strings.Contains(text, "counting: the abacus is broken") {
		t.Errorf("logged %q", text)
	}
	a.Fail(httptest.NewRecorder(), ErrNoApp)
	if text := log.String(); strings.Count(text, "\n") != 1 {
		t.Errorf("logged %q", text)
	}
}
