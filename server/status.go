package server

import (
	"log/slog"
	"os"
	"runtime"

	"poosh/server/wire"
)

// logStatus writes one line about the process, for an operator.
func (s *Server) logStatus() {
	ws, h := s.loop.Stats(), s.hub.Stats()
	fds := -1
	if list, err := os.ReadDir("/proc/self/fd"); err == nil {
		fds = len(list) - 1 // without the one that reads the list
	}
	waiting := ws.Queued + ws.Stuck
	if s.sockets != nil {
		waiting += s.sockets.Stats().Queued
	}
	attrs := []any{
		"goroutines", runtime.NumGoroutine(),
		"fds", fds,
		"connections", s.limit.connections(),
		"websockets", ws.Conns,
		"polling", ws.Streams,
		"queued_bytes", waiting,
		"stuck_bytes", ws.Stuck,
		"published", h.Published,
		"delivered", h.Delivered,
		"refused", h.Refused,
	}
	slow := ws.Closed[wire.ErrSlow] + ws.Closed[wire.ErrWriteTimeout]
	if s.sockets != nil {
		st := s.sockets.Stats()
		slow = st.Ended[string(wire.ErrSlow)] + st.Ended[string(wire.ErrWriteTimeout)]
		attrs = append(attrs, "sessions", st.Sessions, "ended", st.Ended)
	}
	for _, counts := range s.counts {
		attrs = append(attrs, counts()...)
	}
	s.log.Info("status", append(attrs, "closed_slow", slow)...)
}

// logFileLimit says how many files the process may open. Go raises the soft
// limit to the hard one by itself.
func logFileLimit(log *slog.Logger) {
	if n, ok := fileLimit(); ok {
		log.Info("open files", "limit", n)
	}
}
