package server

import (
	"log/slog"
	"net/http/httptest"
	"regexp"
	"strconv"
	"testing"

	"poosh/server/metric"
	"poosh/server/prometheus"
)

// hostMetrics is what a scrape says of the process, by name, as host has it or as the
// library finds it by itself.
func hostMetrics(t *testing.T, host func() (prometheus.Host, bool)) map[string]float64 {
	t.Helper()
	w := httptest.NewRecorder()
	prometheus.Handler(func() []metric.Reading { return nil }, host, slog.New(slog.DiscardHandler)).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	by := make(map[string]float64)
	for _, m := range regexp.MustCompile(`(?m)^(process_\w+) (\S+)$`).FindAllStringSubmatch(w.Body.String(), -1) {
		n, err := strconv.ParseFloat(m[2], 64)
		if err != nil {
			t.Error(err)
		}
		by[m[1]] = n
	}
	return by
}

// The operating system tells us what it tells the library.
func TestHostIsWhatTheLibraryFinds(t *testing.T) {
	if _, ok := host(); !ok {
		t.Fatal("not all is known")
	}
	library := func() (prometheus.Host, bool) { return prometheus.Host{}, false }
	for range 3 {
		before := hostMetrics(t, library)
		got := hostMetrics(t, host)
		after := hostMetrics(t, library)
		if len(got) != 9 || len(before) != len(got) {
			t.Fatalf("%d numbers, and the library has %d", len(got), len(before))
		}
		for name, n := range got {
			low, high := min(before[name], after[name]), max(before[name], after[name])
			slack := 0.0
			switch name {
			case "process_cpu_seconds_total":
				slack = 0.05 // the library counts by hundredths
			case "process_open_fds":
				slack = 8 // files of /proc stay open
			case "process_resident_memory_bytes", "process_virtual_memory_bytes":
				slack = high / 2 // the heap grows meanwhile
			}
			if n < low-slack || n > high+slack || n == 0 && low > 0 {
				t.Errorf("%s is %v, and from %v to %v by the library", name, n, low, high)
			}
		}
	}
}
