// Package series reads the numbers of the process once a second and keeps them for a day,
// in three resolutions and a few megabytes: see [Levels]. It knows no number by itself.
//
// There is one goroutine, which [Recorder.Start] starts and [Recorder.Close] ends, unless it
// is stuck in something that it asks for a number. What
// else wants the numbers of each second, such as the operators' live view, is told by it,
// so that they are read once for all.
package series

import (
	"time"

	"poosh/server/metric"
)

// Config says what is recorded.
type Config struct {
	// Readings are numbers of this moment. It is called once a second, so they are such as
	// cost the same however many are connected.
	Readings func() []metric.Reading
	// Told is told of them each time, on the same goroutine, and must not wait; nil for
	// nobody.
	Told func(now time.Time, readings []metric.Reading)
	// Usual are the names that are answered where none are asked for.
	Usual []string
}

// A Recorder keeps series. Make one with [New]; all methods but Start and Close may be
// called from any goroutine.
type Recorder struct {
	cfg   Config
	store *store
	stop  chan struct{}
	ended chan struct{}
}

// New makes a recorder that records nothing yet.
func New(cfg Config) *Recorder {
	return &Recorder{cfg: cfg, store: newStore(), stop: make(chan struct{}), ended: make(chan struct{})}
}

// Start takes the first sample and begins to record. Call it once, and [Recorder.Close]
// later.
func (r *Recorder) Start() {
	r.sample(time.Now())
	go r.run() // ends with Close
}

// closePatience is how long Close waits.
const closePatience = time.Second

// Close ends what Start began. It waits for a sample that is being taken, but not for ever:
// a server with a part that is stuck must be able to end.
func (r *Recorder) Close() {
	close(r.stop)
	select {
	case <-r.ended:
	case <-time.After(closePatience):
	}
}

// run samples once a second.
func (r *Recorder) run() {
	defer close(r.ended)
	every := time.NewTicker(time.Second)
	defer every.Stop()
	for {
		select {
		case now := <-every.C:
			r.sample(now)
		case <-r.stop:
			return
		}
	}
}

func (r *Recorder) sample(now time.Time) {
	readings := r.cfg.Readings()
	r.store.add(now, readings)
	if r.cfg.Told != nil {
		r.cfg.Told(now, readings)
	}
}

// Samples is how many of the seconds there are, up to a quarter of an hour.
func (r *Recorder) Samples() int {
	r.store.mu.Lock()
	defer r.store.mu.Unlock()
	return len(r.store.rings[0].samples)
}

// CSV returns what there is of each second, oldest first, with names in the first line.
func (r *Recorder) CSV() ([]byte, error) { return r.store.csv() }
