package server

import (
	"net/http"
	"runtime"

	"poosh/server/closed"
	"poosh/server/dialect"
	"poosh/server/loop"
	"poosh/server/metric"
	"poosh/server/overview"
	"poosh/server/prometheus"
)

// metrics are the numbers of this moment, of the process and of all dialects: what is
// ours alone, and then what other servers have under the same names.
func (s *Server) metrics() []metric.Reading {
	apps := s.apps()
	list := []metric.Reading{filesReading(openFiles())}
	list = append(list, s.numbers(apps)...)
	if s.cluster != nil {
		list = append(list, sharedClusterReadings(s.cluster.Asked())...)
	}
	return append(list, sharedReadings(apps, s.answers(apps))...)
}

func filesReading(open int) metric.Reading {
	return metric.Gauge("fds", "open_files", "File descriptors that the process has open, -1 where that is not told.", open)
}

// seconds are the numbers that are read once a second: what costs the same however many
// are connected.
func (s *Server) seconds() []metric.Reading {
	list := append(s.numbers(s.apps()), hostReadings()...)
	if n, ok := openFilesQuick(); ok {
		list = append(list, filesReading(n))
	}
	if lately := s.latency.Lately(); lately.Count > 0 { // else there is none
		list = append(list,
			metric.Gauge("latency_p50", "", "Seconds that half of the events measured lately took at most.", lately.P50.Seconds()),
			metric.Gauge("latency_p99", "", "Seconds that 99 of 100 events measured lately took at most.", lately.P99.Seconds()))
	}
	return list
}

// lately is how long events took in the last seconds; nil while none was measured.
func (s *Server) lately() *overview.Latency {
	l := s.latency.Lately()
	if l.Count == 0 {
		return nil
	}
	return &overview.Latency{Count: l.Count, P50: l.P50.Seconds(), P90: l.P90.Seconds(), P99: l.P99.Seconds(), Max: l.Max.Seconds()}
}

// numbers are those of metrics that cost the same however many are connected, without those
// that are told once more under the names of others.
func (s *Server) numbers(apps []app) []metric.Reading {
	list := s.processReadings()
	list = append(list, s.loopReadings()...)
	list = append(list, s.eventReadings()...)
	list = append(list, s.historyReadings()...)
	list = append(list, s.keys.Readings()...)
	if s.cluster != nil {
		list = append(list, s.cluster.Readings()...)
		list = append(list, s.passingReadings()...)
	}
	list = append(list, s.tlsReadings()...)
	for _, d := range s.dialects {
		if d.Metrics != nil {
			list = append(list, d.Metrics()...)
		}
	}
	return append(list, dialectReadings(apps)...)
}

// processReadings are about the process and its connections.
func (s *Server) processReadings() []metric.Reading {
	clients, senders := s.limit.clients.stats(), s.limit.senders.stats()
	limit, _ := fileLimit()
	turned := func(of func(poolStats) uint64) []metric.Sample {
		return []metric.Sample{metric.Of(of(clients), "client"), metric.Of(of(senders), "sender")}
	}
	return []metric.Reading{
		metric.Gauge("goroutines", "", "Goroutines of the process.", runtime.NumGoroutine()),
		metric.Gauge("", "open_files_limit", "File descriptors that the process may have open, 0 where that is not told.", limit),
		metric.Gauge("connections", "", "Connections of clients.", clients.open),
		metric.Gauge("sender_connections", "", "Connections of senders.", senders.open),
		{Name: "connections", Help: "Connections that are open, by whose they count as.", Kind: metric.IsGauge, Labels: []string{"of"},
			Samples: []metric.Sample{metric.Of(clients.open, "client"), metric.Of(senders.open, "sender")}},
		{Name: "connections_limit", Help: "Connections that may be open, by whose they count as.", Kind: metric.IsGauge, Labels: []string{"of"},
			Samples: []metric.Sample{metric.Of(clients.max, "client"), metric.Of(senders.max, "sender")}},
		metric.Counter("connections_refused", "", "Connections that were turned away.", clients.refused+senders.refused),
		metric.Counter("connections_evicted", "", "Connections that were closed for a newcomer.", clients.evicted+senders.evicted),
		metric.Counters("", "connections_refused_total", "Connections that were turned away at the bounds on their number, by whose they were.", "of",
			turned(func(st poolStats) uint64 { return st.refused })),
		metric.Counters("", "connections_evicted_total", "Connections that were closed for a newcomer, by whose they were.", "of",
			turned(func(st poolStats) uint64 { return st.evicted })),
		metric.Gauge("", "draining", "1 once the server has begun to end, 0 before.", isTrue(s.health.Draining())),
		{Name: "build_info", Help: "1, with the version of Poosh and the Go that built it.", Kind: metric.IsGauge, Labels: []string{"version", "goversion"},
			Samples: []metric.Sample{metric.Of(1, s.cfg.version(), runtime.Version())}},
	}
}

// loopReadings are about bytes: what waits, on its way in and out, and its bounds.
func (s *Server) loopReadings() []metric.Reading {
	conns, websockets := s.loop.Stats(), s.websockets.Open()
	conns.Conns = max(0, conns.Conns-s.health.Own()-s.wires()) // those to itself, and to the engine, are nobody's
	polling := s.polling()
	slow := conns.Closed[loop.ErrSlow] + conns.Closed[loop.ErrWriteTimeout] + polling.Slow
	input := s.clientInput.Used() + s.senderInput.Used() + s.senderRest.Used()
	refused := s.clientInput.Refused() + s.senderInput.Refused() + s.senderRest.Refused()
	n := s.network()
	var sockets []metric.Sample
	for r := range closed.Reasons {
		sockets = append(sockets, metric.Of(conns.Closed[r], r.String()))
	}
	return []metric.Reading{
		metric.Gauge("goroutine_connections", "goroutine_connections", "Connections that cost goroutines, since they are not on the event loop.", conns.Goroutines),
		metric.Gauge("input_bytes", "input_bytes", "Bytes of requests and messages that have not arrived whole or are being served.", input),
		metric.Gauge("", "input_limit_bytes", "Bound on those bytes, for clients and senders together.", 2*n.InputBytes),
		metric.Counter("input_refused", "input_refused_total", "How often there was no room for what arrived.", refused),
		metric.Gauge("websockets", "websockets", "WebSockets that are open.", websockets),
		metric.Gauge("polling", "http_connections", "HTTP connections on the event loop, of polling clients, of streams of events and of senders.", max(0, conns.Conns-websockets)),
		metric.Gauge("queued_bytes", "outbox_bytes", "Bytes that wait to be written to clients, or to be fetched by them.", outboxBytes(conns, polling)),
		metric.Gauge("", "backlog_bytes", "Bytes that wait for the server itself to write them: their sockets take some.", conns.Queued),
		metric.Gauge("", "backlog_limit_bytes", "BACKLOG_BYTES: the bound on each of backlog_bytes, stuck_bytes and unfetched_bytes.", n.BacklogBytes),
		metric.Gauge("stuck_bytes", "stuck_bytes", "Bytes that wait for clients whose sockets take nothing.", conns.Blocked),
		metric.Gauge("", "unfetched_bytes", "Bytes that polling clients have not fetched.", polling.Queued),
		metric.Counters("", "sockets_closed_total", "TCP connections of clients and senders that were closed, by the reason that the event loop knows.", "reason", sockets),
		metric.Counters("", "outboxes_written_total", "Outboxes that were written, by who wrote them: readers of the event loop beside their reading, or flushers, who have to be woken for it.", "of",
			[]metric.Sample{metric.Of(conns.ByReaders, "reader"), metric.Of(conns.ByFlushers, "flusher")}),
		metric.Counter("", "timer_panics_total", "Timers that came to a panic, a bug of ours: the log has each.", conns.Panics),
		metric.Counter("", "sent_bytes_total", "Bytes written to the sockets of clients and senders.", conns.Sent),
		metric.Counter("", "received_bytes_total", "Bytes read from the sockets of clients and senders.", conns.Received),
		metric.Counter("poll_waits", "poll_waits_total", "Times of 20 ms at the most in which senders had to wait for clients that poll and are behind.", conns.Presses),
		metric.Counter("closed_slow", "slow_clients_closed_total", "Clients that were closed because they took too little.", slow),
	}
}

// polling is what is known of clients that poll, of all dialects.
func (s *Server) polling() (all dialect.Polling) {
	for _, d := range s.dialects {
		if d.Polling != nil {
			of := d.Polling()
			all.Queued += of.Queued
			all.Slow += of.Slow
		}
	}
	return all
}

// outboxBytes is what waits for all clients: those that have a connection of their own,
// and those that poll.
func outboxBytes(conns loop.Stats, polling dialect.Polling) int64 {
	return conns.Queued + conns.Blocked + polling.Queued
}

// eventReadings are about events and rooms, whoever's they are.
func (s *Server) eventReadings() []metric.Reading {
	h := s.hub.Stats()
	lately := s.latency.Lately()
	return []metric.Reading{
		metric.Counter("published", "publications_total", "Events that were given to the hub, of senders, clients and the protocols themselves.", h.Published),
		metric.Counter("delivered", "deliveries_total", "Copies of events that an outbox took.", h.Delivered),
		metric.Counter("refused", "deliveries_refused_total", "Copies of events that no outbox took, since the client was too slow or on its way out.", h.Refused),
		metric.Counter("held_back", "publications_held_back_total", "Publications that were answered 503 because clients were behind, or because the server ends.", s.gate.Refused()),
		{Name: "delivery_latency_seconds", Help: "Time from when an event was accepted until its last copy was written to a socket, of a sample of the events of Poosh, Pusher and Socktopus. Who polls has it written with the answer to a poll; who is cut off is not waited for.",
			Kind: metric.IsHistogram, Histogram: s.latency.Histogram()},
		metric.Gauge("latency_p50_us", "", "Microseconds that half of the events measured lately took at most.", lately.P50.Microseconds()),
		metric.Gauge("latency_p99_us", "", "Microseconds that 99 of 100 events measured lately took at most.", lately.P99.Microseconds()),
		metric.Gauge("room_bytes", "room_bytes", "Bytes that the rooms and public channels of all clients count for.", s.rooms.Used()),
		metric.Gauge("", "room_limit_bytes", "ROOM_BYTES: the bound on room_bytes.", s.network().RoomBytes),
		metric.Counter("rooms_refused", "rooms_refused_total", "How often there was no room for a room.", s.rooms.Refused()),
	}
}

func isTrue(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// MetricsHandler answers what Prometheus asks for. It may be asked as soon as the server
// was made, and needs nothing that events wait for.
func (s *Server) MetricsHandler() http.Handler { return prometheus.Handler(s.metrics, host, s.log) }
