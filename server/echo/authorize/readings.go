package authorize

import "poosh/server/metric"

// Readings are what is counted, and what waits and runs at this moment, for metrics and the
// line of SIGUSR1.
func (a *Asker) Readings() []metric.Reading {
	a.mu.Lock()
	running, waiting := a.queue.running, a.queue.waiting
	a.mu.Unlock()
	return []metric.Reading{
		metric.Counters("echo_auth", "echo_auth_total", "Questions to the application who may join, by what became of them.", "outcome", a.counts.Samples(0, reasons-1, "")),
		metric.Gauge("echo_auth_running", "echo_auth_running", "Requests to the application that run.", running),
		metric.Gauge("echo_auth_waiting", "echo_auth_waiting", "Questions to the application that wait for their turn.", waiting),
	}
}

// Outcomes are all that the label outcome may be.
func Outcomes() []string { return append([]string(nil), names[:]...) }

// Open returns how many questions wait or run.
func (a *Asker) Open() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.queue.running + a.queue.waiting
}
