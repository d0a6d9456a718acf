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
	Cluster     *Cluster    `json:"cluster"`  // nil for a process that is alone
}

// A Cluster is what a process knows of those that it acts as one with.
type Cluster struct {
	Node   string  `json:"node"`      // this one
	Engine bool    `json:"engine_up"` // what joins them is there
	Lag    float64 `json:"lag_seconds"`
	Nodes  []Node  `json:"nodes"`
}

// A Node is one of them, as it tells of itself.
type Node struct {
	Name     string    `json:"name"`
	Addr     string    `json:"addr"` // where others reach it; empty for nowhere yet
	Version  string    `json:"version"`
	Started  time.Time `json:"started"`
	Draining bool      `json:"draining"`
	Load     *Load     `json:"load"` // nil where its version does not tell
}

// A Load is what a node has to do, as of when it last told of itself: some seconds ago.
type Load struct {
	Connections int     `json:"connections"` // of clients
	CPU         float64 `json:"cpu"`         // processors in use
	Lag         float64 `json:"lag_seconds"` // how long the last event was on its way to it, as far as clocks agree
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
	// Previous is how often a secret that has been replaced was used since the start.
	Previous uint64 `json:"previous_secret"`
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
var refused = []struct {
	name       reading
	of, reason string
}{
	{readConnectionsRefused, "connections", ""},
	{readEchoRefused, "echo", "subscription_error"},
	{readInputRefused, "input", "no room"},
	{readPusherAnswers, "pusher api", ""},
	{readPusherConnectionsRefused, "pusher connects", ""},
	{readPushSocketRefused, "push socket", ""},
	{readRoomsRefused, "rooms", "no room"},
	{readPublicationsHeldBack, "sends", "held back"},
	{readSendsRefused, "sends", ""},
	{readSocktopusRefused, "socktopus", ""},
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
		Draining: n.value(readDraining) > 0,
		Connections: Connections{
			Clients: n.sockets("client"), Senders: n.sockets("sender"),
			WebSockets: int(n.value(readWebSockets)), HTTP: int(n.value(readHTTPConnections)), OnGoroutines: int(n.value(readGoroutineConnections)),
			Apps: []App{}, By: []Kind{},
		},
		Traffic: Traffic{
			Sends: n.sum(readPublished), Deliveries: n.sum(readDelivered), RefusedDeliveries: n.sum(readDeliveriesRefused),
			SentBytes: n.sum(readSentBytes), ReceivedBytes: n.sum(readReceivedBytes), Dialects: []Dialect{},
		},
		Process: Process{
			CPU:        n.rate(readCPUSeconds),
			Goroutines: int(n.value(readGoroutines)),
			Memory:     int64(n.value(readMemoryBytes)), Heap: int64(n.value(readHeapBytes)), Resident: n.told(readResidentBytes),
			GC: n.sum(readGCCycles), FilesLimit: n.told(readOpenFilesLimit),
		},
		Waiting: Waiting{
			Outbox: int64(n.value(readOutboxBytes)), Backlog: int64(n.value(readBacklogBytes)), Stuck: int64(n.value(readStuckBytes)),
			Unfetched: int64(n.value(readUnfetchedBytes)), Limit: int64(n.value(readBacklogLimitBytes)),
			Input: int64(n.value(readInputBytes)), InputLimit: int64(n.value(readInputLimitBytes)),
			Rooms: int64(n.value(readRoomBytes)), RoomLimit: int64(n.value(readRoomLimitBytes)),
		},
		Closes: []Close{}, Refusals: []Refusal{},
	}
	if files := n.told(readOpenFiles); files != nil {
		open := int(*files)
		o.Process.OpenFiles = &open
	}
	o.lists(n)
	return o
}

// lists fills what is told for each dialect, reason or kind.
func (o *Overview) lists(n numbers) {
	for _, s := range n.samples(readClients) {
		if s.Value > 0 {
			o.Connections.By = append(o.Connections.By, Kind{s.Labels[0], s.Labels[1], s.Labels[2], int(s.Value)})
		}
	}
	for _, s := range n.samples(readPublished) {
		of := s.Labels[0]
		o.Traffic.Dialects = append(o.Traffic.Dialects, Dialect{of, n.count(readPublished, of), n.count(readDelivered, of), n.count(readClientMessages, of)})
	}
	for _, s := range n.samples(readClosed) {
		if s.Value > 0 {
			o.Closes = append(o.Closes, Close{s.Labels[0], s.Labels[1], n.count(readClosed, s.Labels...)})
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
	if outcomes := n.samples(readWebhookEvents); outcomes != nil {
		o.Webhooks = &Webhooks{Queued: int64(n.value(readWebhookQueueEvents)), QueuedBytes: int64(n.value(readWebhookQueueBytes)), Outcomes: []Outcome{}}
		for _, s := range outcomes {
			if s.Value > 0 {
				o.Webhooks.Outcomes = append(o.Webhooks.Outcomes, Outcome{s.Labels[0], n.count(readWebhookEvents, s.Labels...)})
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

func (n numbers) samples(name reading) []metric.Sample { return n.now[name.name] }

// value is a number without labels, 0 where there is none.
func (n numbers) value(name reading) float64 { return find(n.now[name.name], nil) }

// told is a number that may not be told, or be told as less than nothing.
func (n numbers) told(name reading) *int64 {
	list := n.now[name.name]
	if len(list) == 0 || list[0].Value <= 0 {
		return nil
	}
	value := int64(list[0].Value)
	return &value
}

// rate is by how much a counter grows a second.
func (n numbers) rate(name reading) float64 {
	return series.Rate(find(n.now[name.name], nil)-find(n.before[name.name], nil), n.passed)
}

// count is a counter with some labels.
func (n numbers) count(name reading, labels ...string) Count {
	value := find(n.now[name.name], labels)
	return Count{uint64(value), series.Rate(value-find(n.before[name.name], labels), n.passed)}
}

// sum is a counter, whatever its labels.
func (n numbers) sum(name reading) (c Count) {
	now, before := 0.0, 0.0
	for _, s := range n.now[name.name] {
		now += s.Value
	}
	for _, s := range n.before[name.name] {
		before += s.Value
	}
	return Count{uint64(now), series.Rate(now-before, n.passed)}
}

func (n numbers) sockets(of string) Sockets {
	at := func(name reading) float64 { return find(n.now[name.name], []string{of}) }
	return Sockets{int(at(readConnections)), int(at(readConnectionsLimit)), uint64(at(readConnectionsRefused)), uint64(at(readConnectionsEvicted))}
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
