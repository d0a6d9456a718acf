// Package prometheus shows readings to Prometheus and to whatever else asks as it does.
// It is the one importer of client_golang, and knows no dialect.
//
// # Why
//
// Nothing is registered and counted here: a scrape asks for the readings of that moment
// and writes them down, so no number can drift from what it measures, and nothing is
// kept up to date while nobody asks.
package prometheus

import (
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"

	"poosh/server/metric"
)

// Prefix begins all names but those of the process and of Go, which are the same for every
// program.
const Prefix = "poosh_"

const (
	// atOnce is how many scrapes are served at the same time.
	atOnce = 4
	// patience is how long one may take.
	patience = 10 * time.Second
)

// Handler answers scrapes with what read returns, and with what the Go runtime and the
// operating system tell of the process. It calls read once for each scrape, on a goroutine
// of its own, and up to four of them at once; a fifth is answered 503, as one is that takes
// ten seconds. host says what the operating system tells, and whether that is all of it;
// where it is not, the library looks by itself.
func Handler(read func() []metric.Reading, host func() (Host, bool), log *slog.Logger) http.Handler {
	h := promhttp.HandlerForTransactional(newGatherer(read, host), promhttp.HandlerOpts{
		ErrorLog:            errorLog{log},
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: atOnce,
		EnableOpenMetrics:   true,
		// To compress a scrape takes half its time and a megabyte, and saves a local network 60 KB.
		DisableCompression: true,
	})
	return http.TimeoutHandler(whole(h), patience, fmt.Sprintf("a scrape takes %v at the most\n", patience))
}

// errorLog has what goes wrong at a scrape in the log: a fault of ours.
type errorLog struct{ log *slog.Logger }

func (l errorLog) Println(v ...any) {
	l.log.Error("metrics are not whole: a fault of poosh, please report it", "err", v)
}

// A collector makes metrics of readings. It says nothing beforehand: what there is depends
// on which dialects are on, and a registry checks at each scrape that names, labels and
// help agree.
type collector func() []metric.Reading

// Describe implements [prometheus.Collector].
func (collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements [prometheus.Collector].
func (read collector) Collect(to chan<- prometheus.Metric) {
	for _, r := range read() {
		if r.Name != "" {
			collect(&r, to)
		}
	}
}

// collect writes down one reading.
func collect(r *metric.Reading, to chan<- prometheus.Metric) {
	desc := describe(r)
	send := func(m prometheus.Metric, err error) {
		if err != nil {
			m = prometheus.NewInvalidMetric(desc, err)
		}
		to <- m
	}
	if r.Kind == metric.IsHistogram {
		send(newHistogram(desc, r.Histogram))
		return
	}
	kind := prometheus.GaugeValue
	if r.Kind == metric.IsCounter {
		kind = prometheus.CounterValue
	}
	for _, s := range r.Samples {
		send(prometheus.NewConstMetric(desc, kind, s.Value, s.Labels...))
	}
}

func describe(r *metric.Reading) *prometheus.Desc {
	return prometheus.NewDesc(Prefix+r.Name, r.Help, r.Labels, nil)
}

// A histogram is one with both kinds of buckets: client_golang makes constant ones of
// either kind alone.
type histogram struct {
	prometheus.Metric                   // with the exponential buckets
	classic           prometheus.Metric // with the others
}

// started is when the histograms began: the process did then, nearly.
var started = time.Now()

func newHistogram(desc *prometheus.Desc, h *metric.Histogram) (prometheus.Metric, error) {
	below := make(map[float64]uint64, len(h.Bounds))
	for i, bound := range h.Bounds {
		below[bound] = h.Below[i]
	}
	classic, err := prometheus.NewConstHistogram(desc, h.Count, h.Sum, below)
	if err != nil {
		return nil, err
	}
	native, err := prometheus.NewConstNativeHistogram(desc, h.Count, h.Sum, h.Fine, nil, 0, int32(h.Schema),
		prometheus.DefNativeHistogramZeroThreshold, started)
	return histogram{native, classic}, err
}

// Write implements [prometheus.Metric].
func (h histogram) Write(to *dto.Metric) error {
	var classic dto.Metric
	if err := h.classic.Write(&classic); err != nil {
		return err
	}
	if err := h.Metric.Write(to); err != nil {
		return err
	}
	to.Histogram.Bucket = classic.Histogram.Bucket
	return nil
}

// setHistogram writes down a histogram where another one is.
func setHistogram(to *dto.Metric, r *metric.Reading) error {
	h, err := newHistogram(describe(r), r.Histogram)
	if err != nil {
		return err
	}
	var m dto.Metric
	if err := h.Write(&m); err != nil {
		return err
	}
	to.Histogram = m.Histogram
	return nil
}
