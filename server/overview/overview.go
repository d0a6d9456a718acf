// Package overview shows operators the process as it is now: sums and rates, as one JSON
// object, to who asks once ([Live.ServeOverview]) and once a second to who watches
// ([Live.ServeStream]).
//
// # Why
//
// There is no second source of a number: an overview is made of the same readings that
// the status line, /metrics and the series are made of. They are sums that cost the same
// however many are connected, and nothing here goes through rooms or connections.
//
// It is written down once a second for all who watch, who are handed the same bytes; while
// nobody does, nothing is. It starts no goroutine: whoever reads the numbers tells of them
// with [Live.Told], and a watcher is served on the goroutine of its request.
package overview

import (
	"slices"
	"strings"
	"time"

	"poosh/server/metric"
	"poosh/server/series"
)

// An Overview is the process at one moment.
type Overview struct {
	At          time.Time   `json:"at"`
	Version     string      `json:"version"`
	Go          string      `json:"go"`
	Started     time.Time   `json:"started"`
	Uptime      float64     `json:"uptime_seconds"`
	Draining    bool        `json:"draining"`
	Connections Connections `json:"connections"`
	Traffic     Traffic     `json:"traffic"`
	Latency     *Latency    `json:"latency"` // nil where it is not measured
	Process     Process     `json:"process"`
	Waiting     Waiting     `json:"waiting"`
	Closes      []Close     `json:"closes"`   // those that there were
	Refusals    []Refusal   `json:"refusals"` // those that there were
	Webhooks    *Webhooks   `json:"webhooks"` // nil without the dialect that has them
}

// A Count is how often something happened.
type Count struct {
	Total     uint64  `json:"total"`
	PerSecond float64 `json:"per_second"` // in the last second
}

// Connections are what is open, with its bounds.
type Connections struct {
	Clients      Sockets `json:"clients"`
	Senders      Sockets `json:"senders"`
	WebSockets   int     `json:"websockets"`
	HTTP         int     `json:"http"`
	OnGoroutines int     `json:"on_goroutines"`
	Apps         []App   `json:"apps"`
	By           []Kind  `json:"by"` // those that there are
}

// Sockets are accepted sockets that count together.
type Sockets struct {
	Open    int    `json:"open"`
	Limit   int    `json:"limit"`
	Refused uint64 `json:"refused"`
	Evicted uint64 `json:"evicted"`
}

// An App is how many clients one application has.
type App struct {
	Dialect   string `json:"dialect"`
	App       string `json:"app"`
	Connected int    `json:"connected"`
}

// A Kind is how many clients there are of one kind.
type Kind struct {
	Dialect   string `json:"dialect"`
	Transport string `json:"transport"`
	Version   string `json:"version"`
	Count     int    `json:"count"`
}

// Traffic is what comes and goes.
type Traffic struct {
	Sends             Count     `json:"sends"`
	Deliveries        Count     `json:"deliveries"`
	RefusedDeliveries Count     `json:"refused_deliveries"`
	SentBytes         Count     `json:"sent_bytes"`
	ReceivedBytes     Count     `json:"received_bytes"`
	Dialects          []Dialect `json:"dialects"`
}

// A Dialect is the traffic of one.
type Dialect struct {
	Dialect    string `json:"dialect"`
	Sends      Count  `json:"sends"`
	Deliveries Count  `json:"deliveries"`
	Messages   Count  `json:"messages"` // of clients
}

// Latency is how long events took lately from being accepted to the last write, in seconds.
type Latency struct {
	Count uint64  `json:"count"`
	P50   float64 `json:"p50"`
	P90   float64 `json:"p90"`
	P99   float64 `json:"p99"`
	Max   float64 `json:"max"`
}

// A Process is what the operating system and the Go runtime tell. nil is not told.
type Process struct {
	CPU         float64 `json:"cpu"` // processors in use
	Processors  int     `json:"processors"`
	Resident    *int64  `json:"resident_bytes"`
	Memory      int64   `json:"memory_bytes"`
	Heap        int64   `json:"heap_bytes"`
	MemoryLimit *int64  `json:"memory_limit_bytes"`
	Goroutines  int     `json:"goroutines"`
	GC          Count   `json:"gc"`
	OpenFiles   *int    `json:"open_files"`
	FilesLimit  *int64  `json:"open_files_limit"`
}

// Waiting is what waits, in bytes, with its bounds.
type Waiting struct {
	Outbox     int64 `json:"outbox_bytes"`
	Backlog    int64 `json:"backlog_bytes"`
	Stuck      int64 `json:"stuck_bytes"`
	Unfetched  int64 `json:"unfetched_bytes"`
	Limit      int64 `json:"limit_bytes"` // of each of the last three
	Input      int64 `json:"input_bytes"`
	InputLimit int64 `json:"input_limit_bytes"`
	Rooms      int64 `json:"room_bytes"`
	RoomLimit  int64 `json:"room_limit_bytes"`
}

// A Close is how many clients left for one reason.
type Close struct {
	Dialect string `json:"dialect"`
	Reason  string `json:"reason"`
	Count
}

// A Refusal is how often somebody was refused something.
type Refusal struct {
	Of     string `json:"of"`
	Reason string `json:"reason"`
	Count
}

// Webhooks are events for them.
type Webhooks struct {
	Queued      int64     `json:"queued"`
	QueuedBytes int64     `json:"queued_bytes"`
	Outcomes    []Outcome `json:"outcomes"` // those that there were
}

// An Outcome is what became of events for webhooks.
type Outcome struct {
	Outcome string `json:"outcome"`
	Count
}

// A Moment is the readings of one.
type Moment struct {
	At       time.Time
	Readings []metric.Reading
}

// refused are the readings that count refusals, with what they are of and what the reason
// is where they have no label for it.
var refused = []struct{ name, of, reason string }{
	{"connections_refused_total", "connections", ""},
	{"input_refused_total", "input", "no room"},
	{"pusher_answers_total", "pusher api", ""},
	{"pusher_connections_refused_total", "pusher connects", ""},
	{"push_socket_refused_total", "push socket", ""},
	{"rooms_refused_total", "rooms", "no room"},
	{"publications_held_back_total", "sends", "held back"},
	{"sends_refused_total", "sends", ""},
	{"socktopus_refused_total", "socktopus", ""},
}

// goodAnswer is the one reason among them that is none.
const goodAnswer = "200"

// Of makes an overview of the readings of a moment and of one before it.
func Of(now, before Moment) *Overview {
	n := numbers{index(now.Readings), index(before.Readings), now.At.Sub(before.At)}
	if before.At.IsZero() {
		n.before, n.passed = n.now, 0
	}
	o := &Overview{
		At:       now.At.UTC(),
		Draining: n.value("draining") > 0,
		Connections: Connections{
			Clients: n.sockets("client"), Senders: n.sockets("sender"),
			WebSockets: int(n.value("websockets")), HTTP: int(n.value("http_connections")), OnGoroutines: int(n.value("goroutine_connections")),
			Apps: []App{}, By: []Kind{},
		},
		Traffic: Traffic{
			Sends: n.sum("published_total"), Deliveries: n.sum("delivered_total"), RefusedDeliveries: n.sum("deliveries_refused_total"),
			SentBytes: n.sum("sent_bytes_total"), ReceivedBytes: n.sum("received_bytes_total"), Dialects: []Dialect{},
		},
		Process: Process{
			CPU:        n.rate("cpu_seconds"),
			Goroutines: int(n.value("goroutines")),
			Memory:     int64(n.value("memory_bytes")), Heap: int64(n.value("heap_bytes")), Resident: n.told("resident_bytes"),
			GC: n.sum("gc_cycles"), FilesLimit: n.told("open_files_limit"),
		},
		Waiting: Waiting{
			Outbox: int64(n.value("outbox_bytes")), Backlog: int64(n.value("backlog_bytes")), Stuck: int64(n.value("stuck_bytes")),
			Unfetched: int64(n.value("unfetched_bytes")), Limit: int64(n.value("backlog_limit_bytes")),
			Input: int64(n.value("input_bytes")), InputLimit: int64(n.value("input_limit_bytes")),
			Rooms: int64(n.value("room_bytes")), RoomLimit: int64(n.value("room_limit_bytes")),
		},
		Closes: []Close{}, Refusals: []Refusal{},
	}
	if files := n.told("open_files"); files != nil {
		open := int(*files)
		o.Process.OpenFiles = &open
	}
	o.lists(n)
	return o
}

// lists fills what is told for each dialect, reason or kind.
func (o *Overview) lists(n numbers) {
	for _, s := range n.samples("clients") {
		if s.Value > 0 {
			o.Connections.By = append(o.Connections.By, Kind{s.Labels[0], s.Labels[1], s.Labels[2], int(s.Value)})
		}
	}
	for _, s := range n.samples("published_total") {
		of := s.Labels[0]
		o.Traffic.Dialects = append(o.Traffic.Dialects, Dialect{of, n.count("published_total", of), n.count("delivered_total", of), n.count("client_messages_total", of)})
	}
	for _, s := range n.samples("closed_total") {
		if s.Value > 0 {
			o.Closes = append(o.Closes, Close{s.Labels[0], s.Labels[1], n.count("closed_total", s.Labels...)})
		}
	}
	slices.SortFunc(o.Closes, func(a, b Close) int { return strings.Compare(a.Dialect+"\x00"+a.Reason, b.Dialect+"\x00"+b.Reason) })
	for _, r := range refused {
		for _, s := range n.samples(r.name) {
			why := strings.Join(append([]string{r.reason}, s.Labels...), "")
			if s.Value > 0 && why != goodAnswer {
				o.Refusals = append(o.Refusals, Refusal{r.of, why, n.count(r.name, s.Labels...)})
			}
		}
	}
	slices.SortStableFunc(o.Refusals, func(a, b Refusal) int { return strings.Compare(a.Of+"\x00"+a.Reason, b.Of+"\x00"+b.Reason) })
	if outcomes := n.samples("webhook_events_total"); outcomes != nil {
		o.Webhooks = &Webhooks{Queued: int64(n.value("webhook_queue_events")), QueuedBytes: int64(n.value("webhook_queue_bytes")), Outcomes: []Outcome{}}
		for _, s := range outcomes {
			if s.Value > 0 {
				o.Webhooks.Outcomes = append(o.Webhooks.Outcomes, Outcome{s.Labels[0], n.count("webhook_events_total", s.Labels...)})
			}
		}
	}
}

// numbers are readings by name, of a moment and of one before it.
type numbers struct {
	now, before map[string][]metric.Sample
	passed      time.Duration
}

// index finds readings by the name that a collector has for them, or else by their key.
func index(list []metric.Reading) map[string][]metric.Sample {
	by := make(map[string][]metric.Sample, len(list))
	for _, r := range list {
		if r.Name != "" {
			by[r.Name] = r.Samples
		}
	}
	for _, r := range list {
		if _, there := by[r.Key]; r.Name == "" && !there {
			by[r.Key] = r.Samples
		}
	}
	return by
}

func (n numbers) samples(name string) []metric.Sample { return n.now[name] }

// value is a number without labels, 0 where there is none.
func (n numbers) value(name string) float64 { return find(n.now[name], nil) }

// told is a number that may not be told, or be told as less than nothing.
func (n numbers) told(name string) *int64 {
	list := n.now[name]
	if len(list) == 0 || list[0].Value <= 0 {
		return nil
	}
	value := int64(list[0].Value)
	return &value
}

// rate is by how much a counter grows a second.
func (n numbers) rate(name string) float64 {
	return series.Rate(find(n.now[name], nil)-find(n.before[name], nil), n.passed)
}

// count is a counter with some labels.
func (n numbers) count(name string, labels ...string) Count {
	value := find(n.now[name], labels)
	return Count{uint64(value), series.Rate(value-find(n.before[name], labels), n.passed)}
}

// sum is a counter, whatever its labels.
func (n numbers) sum(name string) (c Count) {
	now, before := 0.0, 0.0
	for _, s := range n.now[name] {
		now += s.Value
	}
	for _, s := range n.before[name] {
		before += s.Value
	}
	return Count{uint64(now), series.Rate(now-before, n.passed)}
}

func (n numbers) sockets(of string) Sockets {
	at := func(name string) float64 { return find(n.now[name], []string{of}) }
	return Sockets{int(at("connections")), int(at("connections_limit")), uint64(at("connections_refused_total")), uint64(at("connections_evicted_total"))}
}

// find is the value of the sample with these labels.
func find(list []metric.Sample, labels []string) float64 {
	for _, s := range list {
		if slices.Equal(s.Labels, labels) {
			return s.Value
		}
	}
	return 0
}
