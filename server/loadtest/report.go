package loadtest

import "time"

// A Report is what became of a test. Times are in seconds but where a name says otherwise.
type Report struct {
	Server    string  `json:"server"`
	Protocol  string  `json:"protocol"`
	Transport string  `json:"transport"`
	Publish   Publish `json:"publish"`
	Rate      float64 `json:"rate"` // that was asked for; 0 flat out
	Rooms     int     `json:"rooms"`
	Size      int     `json:"size"` // bytes of a payload

	Connections Connections `json:"connections"`
	Events      Events      `json:"events"`
	Deliveries  Deliveries  `json:"deliveries"`
	Latency     *Quantiles  `json:"latency"` // nil where nothing came that tells
	Errors      []Fault     `json:"errors"`
	Interrupted bool        `json:"interrupted"`
	OwnCores    float64     `json:"own_cores"` // processors that this program used itself; 0 where that is not known
}

// Connections are what became of the clients.
type Connections struct {
	Wanted    int64      `json:"wanted"`
	Tried     int64      `json:"tried"`
	Connected int64      `json:"connected"` // that were in their rooms
	Left      int64      `json:"left"`      // of these, at the end
	Seconds   float64    `json:"seconds"`
	PerSecond float64    `json:"per_second"`
	Time      *Quantiles `json:"time"` // of one; nil if none connected
}

// Events are what became of what was published.
type Events struct {
	Accepted   int64   `json:"accepted"`
	Refused    int64   `json:"refused"`
	Unanswered int64   `json:"unanswered"` // nobody knows whether they were taken
	Unsent     int64   `json:"unsent"`     // were due and could not leave in time
	Late       int64   `json:"late"`       // left more than 5 ms after they were due
	Seconds    float64 `json:"seconds"`
	PerSecond  float64 `json:"per_second"`
	Probes     int64   `json:"probes"` // that looked who was in the rooms; they count nowhere else
}

// Deliveries are what clients got.
type Deliveries struct {
	Delivered  int64   `json:"delivered"`
	PerSecond  float64 `json:"per_second"`
	Lost       int64   `json:"lost"`   // taken by the server, and not delivered to clients that were there
	Missed     int64   `json:"missed"` // the same, of clients whose connections had ended
	Doubled    int64   `json:"doubled"`
	OutOfOrder int64   `json:"out_of_order"`
	Damaged    int64   `json:"damaged"` // payloads that are not what was sent
	Foreign    int64   `json:"foreign"` // events of somebody else
	Bytes      int64   `json:"bytes"`   // of messages with events
	Probes     int64   `json:"probes"`
}

// Quantiles are how long something took, in milliseconds.
type Quantiles struct {
	Count uint64  `json:"count"`
	P50   float64 `json:"p50_ms"`
	P90   float64 `json:"p90_ms"`
	P99   float64 `json:"p99_ms"`
	P999  float64 `json:"p999_ms"`
	Max   float64 `json:"max_ms"`
}

func quantiles(h *Histogram) *Quantiles {
	if h.Count() == 0 {
		return nil
	}
	ms := func(d time.Duration) float64 { return float64(d) / 1e6 }
	return &Quantiles{
		Count: h.Count(), P50: ms(h.Quantile(0.5)), P90: ms(h.Quantile(0.9)), P99: ms(h.Quantile(0.99)), P999: ms(h.Quantile(0.999)), Max: ms(h.Max()),
	}
}

// Good reports whether everything was as it should be. Of an interrupted test something was
// on its way to be sent, which is no fault.
func (r *Report) Good() bool {
	d := r.Deliveries
	return len(r.Errors) == 0 && d.Lost+d.Missed+d.Doubled+d.OutOfOrder+d.Damaged == 0 && (r.Events.Unsent == 0 || r.Interrupted)
}

// report sums up what there is.
func (t *Test) report() *Report {
	cfg := &t.cfg
	r := &Report{
		Server: cfg.Server.Host(), Protocol: string(cfg.Protocol), Transport: "websocket", Publish: cfg.Publish, Rate: cfg.Rate,
		Rooms: len(t.rooms), Size: cfg.Size, Errors: t.faults.list(), Interrupted: t.interrupted.Load(),
	}
	if cfg.Polling {
		r.Transport = "polling"
	}
	c := &r.Connections
	c.Wanted, c.Tried, c.Connected, c.Left = int64(cfg.Clients), t.tried.Load(), t.joined.Load(), t.alive.Load()
	c.Seconds = seconds(t.connected.Load() - t.connecting.Load())
	c.PerSecond = rate(c.Connected, c.Seconds)
	t.connect.mu.Lock()
	c.Time = quantiles(&t.connect.h)
	t.connect.mu.Unlock()

	e := &r.Events
	e.Accepted, e.Refused, e.Unanswered, e.Unsent = t.accepted.Load(), t.refused.Load(), t.unanswered.Load(), t.unsent.Load()
	e.Late, e.Probes = t.late.Load(), t.probes.Load()
	if begin := t.begin.Load(); begin > 0 {
		e.Seconds = seconds(t.published.Load() - begin)
		e.PerSecond = rate(e.Accepted, e.Seconds)
	}
	t.reportDeliveries(r)
	return r
}

func (t *Test) reportDeliveries(r *Report) {
	var latency Histogram
	d, last := &r.Deliveries, int64(0)
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		d.Delivered += s.delivered
		d.Doubled += s.doubled
		d.OutOfOrder += s.misordered
		d.Damaged += s.damaged
		d.Foreign += s.foreign
		d.Bytes += s.bytes
		d.Probes += s.probes
		latency.Add(&s.latency)
		last = max(last, s.last)
		s.mu.Unlock()
	}
	r.Latency = quantiles(&latency)
	if begin := t.begin.Load(); begin > 0 {
		if t.cfg.Publish == ByOthers {
			last = t.published.Load()
		}
		d.PerSecond = rate(d.Delivered, seconds(last-begin))
	}
	d.Lost, d.Missed = t.shortfall()
}

func seconds(nanoseconds int64) float64 { return time.Duration(max(nanoseconds, 0)).Seconds() }

func rate(n int64, seconds float64) float64 {
	if seconds <= 0 {
		return 0
	}
	return float64(n) / seconds
}

// A Progress is how far a test is.
type Progress struct {
	Stage     string
	Share     float64 // of its time, 0 to 1
	Connected int64
	Wanted    int64
	Delivered int64
}

// Progress tells how far the test is. It costs the same however many clients there are.
func (t *Test) Progress() Progress {
	p := Progress{Stage: *t.stage.Load(), Connected: t.joined.Load(), Wanted: int64(t.cfg.Clients), Delivered: t.seen()}
	// Connecting is a tenth of the bar, and what comes after the publishing the last of it.
	switch begin := t.begin.Load(); {
	case begin == 0:
		p.Share = 0.1 * float64(t.tried.Load()) / float64(p.Wanted)
	default:
		p.Share = min(0.1+0.85*seconds(now()-begin)/t.cfg.Duration.Seconds(), 0.95)
	}
	return p
}
