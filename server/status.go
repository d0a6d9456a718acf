package server

import (
	"log/slog"
	"os"
	"runtime"

	"poosh/server/loop"
)

// statusMessage is what the line that an operator asks for begins with.
const statusMessage = "status"

// logStatus writes one line about the process, for an operator.
func (s *Server) logStatus() {
	conns, websockets, h := s.loop.Stats(), s.websockets.Open(), s.hub.Stats()
	fds := -1
	if list, err := os.ReadDir("/proc/self/fd"); err == nil {
		fds = len(list) - 1 // without the one that reads the list
	}
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
	attrs := []any{
		"goroutines", runtime.NumGoroutine(),
		"fds", fds,
		"connections", clients.open,
		"sender_connections", senders.open,
		"goroutine_connections", conns.Goroutines,
		"connections_refused", clients.refused + senders.refused,
		"connections_evicted", clients.evicted + senders.evicted,
		"input_bytes", s.clientInput.Used() + s.senderInput.Used() + s.senderRest.Used(),
		"input_refused", s.clientInput.Refused() + s.senderInput.Refused() + s.senderRest.Refused(),
		"websockets", websockets,
		"polling", max(0, conns.Conns-websockets),
		"queued_bytes", waiting,
		"stuck_bytes", conns.Blocked,
		"published", h.Published,
		"delivered", h.Delivered,
		"refused", h.Refused,
		"held_back", s.gate.Refused(),
		"room_bytes", s.rooms.Used(),
		"rooms_refused", s.rooms.Refused(),
	}
	for _, d := range s.dialects {
		if d.Counts != nil {
			attrs = append(attrs, d.Counts()...)
		}
	}
	s.log.Info(statusMessage, append(attrs, "closed_slow", slow)...)
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
