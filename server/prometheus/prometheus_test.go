package prometheus

import (
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"poosh/server/metric"
)

// scrape returns what a scrape of some readings is answered, and what is logged.
func scrape(t *testing.T, readings ...metric.Reading) (text, log string) {
	t.Helper()
	var b strings.Builder
	h := Handler(func() []metric.Reading { return readings }, slog.New(slog.NewTextHandler(&b, nil)))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 {
		t.Errorf("status %d", w.Code)
	}
	return w.Body.String(), b.String()
}

func TestHandler(t *testing.T) {
	text, log := scrape(t,
		metric.Gauge("open", "open", "Open now.", 3),
		metric.Gauge("unsaid", "", "For the status line.", 9),
		metric.Counters("", "refused_total", "Refused.", "reason", []metric.Sample{metric.Of(2, "too big"), metric.Of(0, "other")}),
	)
	for _, want := range []string{
		"# HELP poosh_open Open now.\n# TYPE poosh_open gauge\npoosh_open 3\n",
		"# TYPE poosh_refused_total counter\npoosh_refused_total{reason=\"other\"} 0\npoosh_refused_total{reason=\"too big\"} 2\n",
		"\ngo_goroutines ", "\nprocess_open_fds ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("lacks %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "unsaid") || log != "" {
		t.Errorf("says too much, or that something is wrong: %s", log)
	}
}

// What cannot be told does not keep the rest from being told, and is in the log.
func TestWrongReading(t *testing.T) {
	text, log := scrape(t,
		metric.Gauge("", "good", "Good.", 1),
		metric.Reading{Name: "bad", Help: "Bad.", Labels: []string{"a", "b"}, Samples: []metric.Sample{metric.Of(1, "one")}},
	)
	if !strings.Contains(text, "poosh_good 1\n") || strings.Contains(text, "poosh_bad") || !strings.Contains(log, "level=ERROR") {
		t.Errorf("%s\nlogged %s", text[:200], log)
	}
}
