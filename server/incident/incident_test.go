package incident

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func newRecorder(t *testing.T, sections ...Section) *Recorder {
	t.Helper()
	r := New(Config{Sections: sections, Log: slog.New(slog.DiscardHandler)})
	r.Start()
	t.Cleanup(r.Close)
	return r
}

func ask(h http.HandlerFunc, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h(w, httptest.NewRequest("GET", path, nil))
	return w
}

// One thing is profiled at a time, and for so long at the most.
func TestOneAtATime(t *testing.T) {
	r := newRecorder(t)
	for _, path := range []string{"/api/bundle?seconds=0", "/api/bundle?seconds=31", "/api/bundle?seconds=x"} {
		if w := ask(r.ServeBundle, path); w.Code != 400 {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	r.profiling.Lock()
	for path, h := range map[string]http.HandlerFunc{"/api/bundle": r.ServeBundle, "/debug/pprof/profile": r.ServeProfiles, "/debug/pprof/trace": r.ServeProfiles} {
		if w := ask(h, path); w.Code != 409 {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	r.profiling.Unlock()
}

func TestProfiles(t *testing.T) {
	r := newRecorder(t)
	for path, begins := range map[string]string{
		"": "allocs\t", "heap": "\x1f\x8b", "goroutine?debug=1": "goroutine profile: total ", "profile?seconds=1": "\x1f\x8b", "trace?seconds=1": "go 1.",
	} {
		if w := ask(r.ServeProfiles, ProfilesPath+path); w.Code != 200 || !strings.HasPrefix(w.Body.String(), begins) {
			t.Errorf("%s: %d %.40q", path, w.Code, w.Body)
		}
	}
	for _, path := range []string{"cmdline", "nothing", "heap/x"} {
		if w := ask(r.ServeProfiles, ProfilesPath+path); w.Code != 404 {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	if _, pattern := http.DefaultServeMux.Handler(httptest.NewRequest("GET", ProfilesPath, nil)); pattern != "" {
		t.Errorf("the default mux has %s", pattern)
	}
}

// Whoever goes ends what is made for him, and nobody takes a part for the whole.
func TestBundleOfOneWhoGoes(t *testing.T) {
	r := newRecorder(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	began := time.Now()
	defer func() {
		if recover() != http.ErrAbortHandler {
			t.Error("the answer ends as a whole one does")
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("it took %v", took)
		}
	}()
	r.ServeBundle(httptest.NewRecorder(), httptest.NewRequest("GET", "/api/bundle?seconds=30", nil).WithContext(ctx))
}
