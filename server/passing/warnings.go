package passing

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"time"
)

// warnings are those of the last minute: what each request of a stranger may cause is said once.
type warnings struct {
	mu   sync.Mutex // guards what follows
	said map[string]time.Time
}

const (
	warnEvery   = time.Minute
	maxWarnings = 1024 // of other things than these nobody is warned then
)

// add reports whether something was not said within the last minute.
func (w *warnings) add(what string, now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if at, said := w.said[what]; said && now.Sub(at) < warnEvery {
		return false
	}
	maps.DeleteFunc(w.said, func(_ string, at time.Time) bool { return now.Sub(at) >= warnEvery })
	if len(w.said) >= maxWarnings {
		return false
	}
	if w.said == nil {
		w.said = make(map[string]time.Time)
	}
	w.said[what] = now
	return true
}

// warn logs a warning, or where the same was said within the last minute, no more than for who looks for
// it.
func (n *Node) warn(what, text string, args ...any) {
	level := slog.LevelDebug
	if n.warned.add(what, time.Now()) {
		level = slog.LevelWarn
	}
	n.opt.Log.Log(context.Background(), level, text, args...)
}
