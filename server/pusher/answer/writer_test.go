package answer

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestUnknownErrorIsLogged has an error that no status was thought of for: the
// client learns nothing, the log everything, in one line.
func TestUnknownErrorIsLogged(t *testing.T) {
	var log strings.Builder
	a := Writer{Count: func(string, int) {}, Log: slog.New(slog.NewTextHandler(&log, nil))}
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
