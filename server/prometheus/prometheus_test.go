package prometheus

import (
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"poosh/server/metric"
)

// scrape returns what a scrape of some readings is answered, and what is logged.
func scrape(t *testing.T, readings ...metric.Reading) (text, log string) {
	t.Helper()
	var b strings.Builder
	h := Handler(func() []metric.Reading { return readings }, noHost, slog.New(slog.NewTextHandler(&b, nil)))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 {
		t.Errorf("status %d", w.Code)
	}
	return w.Body.String(), b.String()
}

// noHost leaves what the operating system tells to the library.
func noHost() (Host, bool) { return Host{}, false }

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

// A histogram has both kinds of buckets: in text those that every collector reads, in the
// binary format, which Prometheus asks for, the exponential ones too.
func TestHistogram(t *testing.T) {
	h := &metric.Histogram{Count: 5, Sum: 3.5, Bounds: []float64{0.1, 1}, Below: []uint64{2, 4}, Schema: 3, Fine: map[int]int64{-30: 2, -1: 2, 5: 1}}
	r := metric.Reading{Name: "delivery_seconds", Help: "Took.", Kind: metric.IsHistogram, Histogram: h}
	text, log := scrape(t, r)
	for _, want := range []string{
		"# TYPE poosh_delivery_seconds histogram\n", "poosh_delivery_seconds_bucket{le=\"0.1\"} 2\n", "poosh_delivery_seconds_bucket{le=\"1\"} 4\n",
		"poosh_delivery_seconds_bucket{le=\"+Inf\"} 5\n", "poosh_delivery_seconds_sum 3.5\n", "poosh_delivery_seconds_count 5\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("lacks %q in\n%s", want, text)
		}
	}
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(collector(func() []metric.Reading { return []metric.Reading{r} }))
	all, err := reg.Gather()
	if err != nil || len(all) != 1 || log != "" {
		t.Fatal(err, all, log)
	}
	got := all[0].Metric[0].Histogram
	if got.GetSchema() != 3 || len(got.PositiveSpan) != 3 || got.PositiveSpan[0].GetOffset() != -30 || len(got.Bucket) != 2 || got.GetSampleCount() != 5 {
		t.Errorf("%v", got)
	}
}
