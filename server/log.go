package server

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"
)

// NewLogger returns a logger that writes records of level and above to w, one
// line each, as key=value pairs or, when format is "json", as JSON objects. Each
// line is one Write.
//
// Of warnings with one and the same message it writes no more than a few a
// second, so that strangers cannot fill a disk with them; the next line that is
// written says how many were not.
func NewLogger(w io.Writer, level slog.Level, format string) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	var h slog.Handler = slog.NewTextHandler(w, options)
	if format == "json" {
		h = slog.NewJSONHandler(w, options)
	}
	return slog.New(&sparing{h, &quotas{byMessage: make(map[string]*quota)}})
}

// sparing is a handler that bounds warnings.
type sparing struct {
	slog.Handler
	quotas *quotas
}

// warningsPerSecond is how many warnings of one message are written.
const warningsPerSecond = 20

// quotas holds a quota for each message. Messages are constants of the program,
// so there are few.
type quotas struct {
	mu        sync.Mutex // guards what follows
	byMessage map[string]*quota
}

type quota struct {
	second         int64
	taken, dropped int
}

// take asks for one line. When there is one, it also returns how many were dropped
// since the last.
func (q *quotas) take(message string, now time.Time) (ok bool, dropped int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	m := q.byMessage[message]
	if m == nil {
		m = new(quota)
		q.byMessage[message] = m
	}
	if s := now.Unix(); s != m.second {
		m.second, m.taken = s, 0
	}
	if m.taken == warningsPerSecond {
		m.dropped++
		return false, 0
	}
	m.taken++
	dropped, m.dropped = m.dropped, 0
	return true, dropped
}

// Handle writes a record, unless it is one warning too many.
func (s *sparing) Handle(ctx context.Context, r slog.Record) error {
	if r.Level == slog.LevelWarn {
		ok, dropped := s.quotas.take(r.Message, r.Time)
		if !ok {
			return nil
		}
		if dropped > 0 {
			r = r.Clone()
			r.AddAttrs(slog.Int("not_logged", dropped))
		}
	}
	return s.Handler.Handle(ctx, r)
}

// WithAttrs and WithGroup keep the bound.
func (s *sparing) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &sparing{s.Handler.WithAttrs(attrs), s.quotas}
}

func (s *sparing) WithGroup(name string) slog.Handler {
	return &sparing{s.Handler.WithGroup(name), s.quotas}
}
