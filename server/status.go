package server

import (
	"log/slog"

	"poosh/server/metric"
)

// statusMessage is what the line that an operator asks for begins with.
const statusMessage = "status"

// logStatus writes one line about the process, for an operator.
func (s *Server) logStatus() { s.log.Info(statusMessage, metric.Attrs(s.metrics())...) }

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
