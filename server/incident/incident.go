// Package incident keeps what is asked for after something went wrong, and hands it over
// as one archive: the last seconds of the Go scheduler, what each goroutine is at, where
// memory and processor time go, and what other parts add, such as the last quarter of an
// hour in numbers.
//
// Nothing in it is a secret or a payload: of settings that are secrets it says whether
// they are set, numbers have our own names alone, and profiles name functions.
//
// # Cost
//
// The flight recorder of package runtime/trace is asked to keep [traceBytes], which it
// takes for a hint, and costs some processor time. It runs from [Recorder.Start] to
// [Recorder.Close]; there is no goroutine here.
package incident

import (
	"log/slog"
	"runtime/trace"
	"sync"
	"time"
)

const (
	traceBytes = 8 << 20 // a hint to the runtime, which may hold a little more
	traceAge   = 10 * time.Second
)

// Config says what an archive is made of.
type Config struct {
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
	cfg Config

	profiling sync.Mutex // held while something is profiled or an archive is made

	flight *trace.FlightRecorder // nil where it could not be started; set by Start
}

// New makes a recorder that records nothing yet.
func New(cfg Config) *Recorder { return &Recorder{cfg: cfg} }

// Start begins to record. Call it once, and [Recorder.Close] later.
func (r *Recorder) Start() {
	flight := trace.NewFlightRecorder(trace.FlightRecorderConfig{MinAge: traceAge, MaxBytes: traceBytes})
	if err := flight.Start(); err != nil { // the process has one already
		r.cfg.Log.Warn("no flight recorder", "err", err)
	} else {
		r.flight = flight
	}
}

// Close ends what Start began. What is being handed over goes on without it.
func (r *Recorder) Close() {
	if r.flight != nil {
		r.flight.Stop()
	}
}
