package prometheus

import (
	"bytes"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"poosh/server/metric"
)

// ours is what a scrape says of readings alone.
func ours(h http.Handler, accept string) string {
	w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/metrics", nil)
	r.Header.Set("Accept", accept)
	h.ServeHTTP(w, r)
	var text strings.Builder
	for line := range strings.Lines(w.Body.String()) {
		// A histogram began when its process did, and the library says of a constant one that
		// it began when it was made.
		if strings.Contains(line, Prefix) && !strings.Contains(line, "_created") {
			text.WriteString(line)
		}
	}
	return text.String()
}

// plain answers as the library by itself would.
func plain(read func() []metric.Reading) http.Handler {
	return promhttp.HandlerFor(registered(collector(read)), promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError, EnableOpenMetrics: true})
}

// shapes are readings of one of a dozen shapes, with values by chance; some cannot be told.
func shapes(r *rand.Rand, which int) []metric.Reading {
	n := func() float64 {
		return []float64{0, 1, -1, 0.5, math.NaN(), math.Inf(1), float64(r.IntN(1e9))}[r.IntN(7)]
	}
	list := []metric.Reading{
		metric.Gauge("", "alone", "One number.", n()),
		metric.Counters("", "some_total", "Some.", "reason", []metric.Sample{metric.Of(n(), "b"), metric.Of(n(), "a \"quoted\"\n"), metric.Of(n(), "c")}),
		metric.Gauge("unsaid", "", "For the status line.", n()),
	}
	// Of some counts its exponential buckets have less than all, which is wrong.
	hist := &metric.Histogram{Count: uint64(3 + r.IntN(5)/4), Sum: n(), Bounds: []float64{0.1, 1}, Below: []uint64{1, 3}, Schema: 3, Fine: map[int]int64{r.IntN(9): 1, 20: 2}}
	list = append(list, metric.Reading{Name: "took_seconds", Help: "Took.", Kind: metric.IsHistogram, Histogram: hist})
	switch which {
	case 0:
		list[1].Samples = list[1].Samples[:2]
	case 1:
		list[1].Samples[0].Labels = []string{"d"}
	case 2:
		list[1].Samples[0], list[1].Samples[1] = list[1].Samples[1], list[1].Samples[0]
	case 3:
		list[0].Help = "Another."
	case 4:
		list[0].Kind = metric.IsCounter
	case 5:
		list[1].Labels = []string{"why"}
	case 6:
		list = append(list, metric.Reading{Name: "wrong", Help: "Wrong.", Labels: []string{"a", "b"}, Samples: []metric.Sample{metric.Of(n(), "one")}})
	case 7:
		list[1].Samples[0].Labels = []string{"c"} // twice there
	case 8:
		list[0], list[2] = list[2], list[0]
	case 9:
		list[1].Labels = []string{"z", "a"}
		for i := range list[1].Samples {
			list[1].Samples[i].Labels = []string{fmt.Sprint(i), fmt.Sprint(2 - i)}
		}
	}
	return list
}

// Scrapes one after another say what the library would have said of each.
func TestSheetIsWhatTheLibraryWrites(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var now []metric.Reading
	read := func() []metric.Reading { return now }
	h, library := Handler(read, func() (Host, bool) { return Host{}, true }, slog.New(slog.DiscardHandler)), plain(read)
	formats := []string{"", "application/openmetrics-text;version=1.0.0", "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text"}
	for i := range 120 {
		now = shapes(r, i/2%12) // each comes twice, with other values
		accept := formats[i%len(formats)]
		if got, want := ours(h, accept), ours(library, accept); got != want || got == "" {
			t.Fatalf("scrape %d of %+v as %q:\n%s\nwant\n%s", i, now, accept, got, want)
		}
	}
}

// What scrapes at the same time say is of one moment each.
func TestScrapesAtOnce(t *testing.T) {
	var mu sync.Mutex
	n := 0
	h := Handler(func() []metric.Reading {
		mu.Lock()
		defer mu.Unlock()
		n++
		return []metric.Reading{metric.Gauge("", "one", "One.", n), metric.Gauge("", "other", "Other.", n), metric.Gauge("", "third", "Third.", n)}
	}, func() (Host, bool) { return Host{OpenFiles: 1}, true }, slog.New(slog.DiscardHandler))
	var scraping sync.WaitGroup
	for range atOnce {
		scraping.Go(func() {
			last := 0
			for range 30 {
				text := ours(h, "")
				var one, other, third int
				for line := range strings.Lines(text) {
					_, _ = fmt.Sscanf(line, Prefix+"one %d", &one)
					_, _ = fmt.Sscanf(line, Prefix+"other %d", &other)
					_, _ = fmt.Sscanf(line, Prefix+"third %d", &third)
				}
				if one <= last || one != other || one != third {
					t.Errorf("%d, %d and %d after %d", one, other, third, last)
				}
				last = one
			}
		})
	}
	scraping.Wait()
}

// A reading that comes to a panic keeps nobody from the rest.
func TestPanicOfAReading(t *testing.T) {
	var log strings.Builder
	broken := true
	h := Handler(func() []metric.Reading {
		if broken {
			panic("a stuck number")
		}
		return []metric.Reading{metric.Gauge("", "one", "One.", 1)}
	}, noHost, slog.New(slog.NewTextHandler(&log, nil)))
	for _, broken = range []bool{true, false, true} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		text := w.Body.String()
		if w.Code != 200 || !strings.Contains(text, "\ngo_goroutines ") || strings.Contains(text, Prefix+"one 1\n") == broken || strings.Contains(log.String(), "a stuck number") != broken {
			t.Errorf("broken %v: %d, logged %s", broken, w.Code, log.String())
		}
		log.Reset()
	}
}

// What the operating system tells is what host says, under the library's names.
func TestHost(t *testing.T) {
	known := Host{CPUSeconds: 1.5, OpenFiles: 2, MaxFiles: 3, ResidentBytes: 4, VirtualBytes: 5, MaxVirtualBytes: 6, ReceivedBytes: 7, SentBytes: 8}
	ok := true
	h := Handler(func() []metric.Reading { return nil }, func() (Host, bool) { known.CPUSeconds++; return known, ok }, slog.New(slog.DiscardHandler))
	scrape := func() string {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		return w.Body.String()
	}
	for i := range 2 {
		text := scrape()
		for _, want := range []string{
			fmt.Sprintf("# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total %v\n", 2.5+float64(i)),
			"\nprocess_open_fds 2\n", "\nprocess_max_fds 3\n", "\nprocess_resident_memory_bytes 4\n", "\nprocess_virtual_memory_bytes 5\n",
			"\nprocess_virtual_memory_max_bytes 6\n", "\nprocess_network_receive_bytes_total 7\n", "\nprocess_network_transmit_bytes_total 8\n",
			"\nprocess_start_time_seconds ",
		} {
			if !strings.Contains(text, want) {
				t.Errorf("scrape %d lacks %q", i, want)
			}
		}
	}
	ok = false
	if text := scrape(); !strings.Contains(text, "\nprocess_open_fds ") || strings.Contains(text, "\nprocess_virtual_memory_bytes 5\n") {
		t.Error("where not all is known the library does not look by itself")
	}
	// There is none that the library has and Host does not, but for when it started.
	families, err := newGatherer(nil, nil).process.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if _, has := known.values()[f.GetName()]; !has && f.GetName() != "process_start_time_seconds" {
			t.Errorf("Host lacks %s", f.GetName())
		}
	}
}

// written counts writes.
type written struct {
	*httptest.ResponseRecorder
	writes int
}

func (w *written) Write(b []byte) (int, error) { w.writes++; return w.ResponseRecorder.Write(b) }

// A scrape leaves with one write, and says how long it is.
func TestScrapeIsOneWrite(t *testing.T) {
	var list []metric.Sample
	for i := range 1000 {
		list = append(list, metric.Of(i, fmt.Sprint("reason", i)))
	}
	h := Handler(func() []metric.Reading {
		return []metric.Reading{metric.Counters("", "many_total", "Many.", "reason", list)}
	}, noHost, slog.New(slog.DiscardHandler))
	for range 3 {
		w := &written{httptest.NewRecorder(), 0}
		h.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		if length := w.Header().Get("Content-Length"); w.writes != 1 || w.Body.Len() < 20_000 || length != fmt.Sprint(w.Body.Len()) || !bytes.Contains(w.Body.Bytes(), []byte("reason999")) {
			t.Errorf("%d writes of %d bytes, which are said to be %s", w.writes, w.Body.Len(), length)
		}
	}
}

// A scrape that differs in values alone takes a part of what the library takes for one.
func TestScrapeAllocates(t *testing.T) {
	list := make([]metric.Reading, 100)
	for i := range list {
		list[i] = metric.Counters("", fmt.Sprintf("n%d_total", i), "Some.", "reason", []metric.Sample{metric.Of(i, "a"), metric.Of(i, "b"), metric.Of(i, "c")})
	}
	s := new(sheet)
	s.fill(list)
	if n := testing.AllocsPerRun(100, func() { s.fill(list) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
