package incident

import (
	"context"
	"encoding/csv"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"poosh/server/metric"
)

func newRecorder(t *testing.T, sections ...Section) *Recorder {
	t.Helper()
	r := New(Config{Readings: func() []metric.Reading { return []metric.Reading{metric.Gauge("n", "", "", 1)} }, Sections: sections, Log: slog.New(slog.DiscardHandler)})
	r.Start()
	t.Cleanup(r.Close)
	return r
}

func ask(h http.HandlerFunc, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h(w, httptest.NewRequest("GET", path, nil))
	return w
}

// The series keep a quarter of an hour and so many names, and no more.
func TestSeriesAreBounded(t *testing.T) {
	var s series
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range seconds + 100 {
		readings := []metric.Reading{metric.Gauge("first", "", "", i)}
		if i == seconds+50 {
			readings = append(readings, metric.Counters("by", "", "", "of", []metric.Sample{metric.Of(7, "late")}))
		}
		s.add(start.Add(time.Duration(i)*time.Second), readings)
	}
	rows := read(t, &s)
	if len(rows) != 1+seconds || rows[1][0] != "2026-01-01T00:01:40.000Z" {
		t.Fatalf("%d rows, the first %q", len(rows), rows[1])
	}
	if strings.Join(rows[0], " ") != "time by/late first" || rows[1][2] != "100" || rows[1][1] != "" && rows[1][1] != "0" {
		t.Errorf("%q %q", rows[0], rows[1])
	}
	for i, row := range rows[1:] {
		if row[2] != fmt.Sprint(100+i) || (row[1] == "7") != (100+i == seconds+50) {
			t.Fatalf("row %d is %q", i, row)
		}
	}
	for i := range 2 * maxColumns {
		s.add(start, []metric.Reading{metric.Gauge(fmt.Sprint("name", i), "", "", i)})
	}
	if n := len(read(t, &s)[0]); n != 1+maxColumns {
		t.Errorf("%d columns", n)
	}
}

func read(t *testing.T, s *series) [][]string {
	t.Helper()
	text, err := s.csv()
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(strings.NewReader(string(text))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return rows
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
