package server

import (
	"log/slog"
	"os"
	"runtime"

	"poosh/server/loop"
	"poosh/server/metric"
)

// statusMessage is what the line that an operator asks for begins with.
const statusMessage = "status"

// logStatus writes one line about the process, for an operator.
func (s *Server) logStatus() { s.log.Info(statusMessage, metric.Attrs(s.metrics())...) }

// metrics are the numbers of this moment, of the process and of all dialects.
func (s *Server) metrics() []metric.Reading {
	return append([]metric.Reading{metric.Gauge("fds", openFiles())}, s.numbers()...)
}

// numbers are those of metrics that cost the same however many are connected.
func (s *Server) numbers() []metric.Reading {
	// What the process sends itself is nobody's event or connection.
	ownDelivered, ownConns := s.health.Own()
	conns, websockets, h := s.loop.Stats(), s.websockets.Open(), s.hub.Stats()
	conns.Conns -= ownConns
	h.Delivered -= ownDelivered
	// Of all dialects: what has a connection of its own, and who polls.
	waiting, slow := conns.Queued+conns.Blocked, conns.Closed[loop.ErrSlow]+conns.Closed[loop.ErrWriteTimeout]
	for _, d := range s.dialects {
		if d.Polling != nil {
			st := d.Polling()
			waiting += st.Queued
			slow += st.Slow
		}
	}
	clients, senders := s.limit.clients.stats(), s.limit.senders.stats()
	list := []metric.Reading{
		metric.Gauge("goroutines", runtime.NumGoroutine()),
		metric.Gauge("connections", clients.open),
		metric.Gauge("sender_connections", senders.open),
		metric.Gauge("goroutine_connections", conns.Goroutines),
		metric.Counter("connections_refused", clients.refused+senders.refused),
		metric.Counter("connections_evicted", clients.evicted+senders.evicted),
		metric.Gauge("input_bytes", s.clientInput.Used()+s.senderInput.Used()+s.senderRest.Used()),
		metric.Counter("input_refused", s.clientInput.Refused()+s.senderInput.Refused()+s.senderRest.Refused()),
		metric.Gauge("websockets", websockets),
		metric.Gauge("polling", max(0, conns.Conns-websockets)),
		metric.Gauge("queued_bytes", waiting),
		metric.Gauge("stuck_bytes", conns.Blocked),
		metric.Counter("published", h.Published),
		metric.Counter("delivered", h.Delivered),
		metric.Counter("refused", h.Refused),
		metric.Counter("held_back", s.gate.Refused()),
		metric.Gauge("room_bytes", s.rooms.Used()),
		metric.Counter("rooms_refused", s.rooms.Refused()),
	}
	for _, d := range s.dialects {
		if d.Metrics != nil {
			list = append(list, d.Metrics()...)
		}
	}
	return append(list, metric.Counter("closed_slow", slow))
}

// openFiles returns how many files the process has open, -1 where that is not told.
func openFiles() int {
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return -1
	}
	return len(list) - 1 // without the one that reads the list
}

// A checker finds what is wrong with itself: a fault of ours, never of who uses it. It
// may be asked at any time.
type checker interface{ Check() error }

// checkSelf logs an error for each part that finds something wrong with itself.
func checkSelf(log *slog.Logger, parts map[string]checker) {
	for name, part := range parts {
		if err := part.Check(); err != nil {
			log.Error("self-check failed: a fault of poosh, please report it", "part", name, "err", err)
		}
	}
}
