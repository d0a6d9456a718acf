// Package incident keeps what is asked for after something went wrong, and hands it over
// as one archive: the last quarter of an hour in numbers, the last seconds of the Go
// scheduler, what each goroutine is at, and where memory and processor time go.
//
// Nothing in it is a secret or a payload: of settings that are secrets it says whether
// they are set, numbers have our own names alone, and profiles name functions.
//
// # Cost
//
// Numbers are read once a second, and only such as cost the same however many are
// connected. The flight recorder of package runtime/trace is asked to keep [traceBytes],
// which it takes for a hint, and costs some processor time. Both run from [Recorder.Start] to
// [Recorder.Close], which own the one goroutine there is.
package incident

import (
	"log/slog"
	"runtime/metrics"
	"runtime/trace"
	"sync"
	"time"

	"poosh/server/metric"
)

const (
	traceBytes = 8 << 20 // a hint to the runtime, which may hold a little more
	traceAge   = 10 * time.Second
)

// Config says what an archive is made of.
type Config struct {
	// Readings are numbers of this moment. It is called once a second.
	Readings func() []metric.Reading
	// Sections are further files.
	Sections []Section
	Log      *slog.Logger
}

// A Section is a file of the archive.
type Section struct {
	Name string
	// Text returns what is in it: no secret, and nothing that clients or senders sent.
	Text func() ([]byte, error)
}

// A Recorder keeps what an incident needs. Make one with [New].
type Recorder struct {
	cfg    Config
	series series

	profiling sync.Mutex // held while something is profiled or an archive is made

	flight *trace.FlightRecorder // nil where it could not be started; set by Start
	stop   chan struct{}
	ended  sync.WaitGroup
}

// New makes a recorder that records nothing yet.
func New(cfg Config) *Recorder { return &Recorder{cfg: cfg, stop: make(chan struct{})} }

// Start begins to record. Call it once, and [Recorder.Close] later.
func (r *Recorder) Start() {
	flight := trace.NewFlightRecorder(trace.FlightRecorderConfig{MinAge: traceAge, MaxBytes: traceBytes})
	if err := flight.Start(); err != nil { // the process has one already
		r.cfg.Log.Warn("no flight recorder", "err", err)
	} else {
		r.flight = flight
	}
	r.ended.Go(r.sample) // ends with Close
}

// Close ends what Start began. What is being handed over goes on without it.
func (r *Recorder) Close() {
	close(r.stop)
	r.ended.Wait()
	if r.flight != nil {
		r.flight.Stop()
	}
}

// sample reads the numbers once a second.
func (r *Recorder) sample() {
	every := time.NewTicker(time.Second)
	defer every.Stop()
	for {
		select {
		case now := <-every.C:
			r.series.add(now, append(r.cfg.Readings(), runtimeReadings()...))
		case <-r.stop:
			return
		}
	}
}

// Samples is how many seconds the series have, up to a quarter of an hour.
func (r *Recorder) Samples() int {
	r.series.mu.Lock()
	defer r.series.mu.Unlock()
	return len(r.series.samples)
}

// runtimeReadings are numbers of the Go runtime, each of which costs nothing to read.
func runtimeReadings() []metric.Reading {
	samples := []metrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/total:bytes"},
		{Name: "/gc/cycles/total:gc-cycles"},
		{Name: "/gc/heap/allocs:bytes"},
	}
	metrics.Read(samples)
	var list []metric.Reading
	for i, key := range []string{"heap_bytes", "memory_bytes", "gc_cycles", "allocated_bytes"} {
		if samples[i].Value.Kind() == metrics.KindUint64 {
			list = append(list, metric.Counter(key, "", "", samples[i].Value.Uint64()))
		}
	}
	return list
}
