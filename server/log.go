package server

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// NewLogger returns a logger that writes records of level and above to w, one
// line each, as key=value pairs or, when format is "json", as JSON objects. Each
// line is one Write. It waits for w; a [LogWriter] is one that nobody waits for.
//
// Of records with one and the same message it writes no more than a few a second,
// from the level of information up, so that strangers cannot fill a disk with them;
// the next line that is written says how many were not. What a stranger sent cannot
// move a terminal's cursor or turn the direction of its text: control and format
// characters are escaped.
func NewLogger(w io.Writer, level slog.Leveler, format string) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	// The text handler quotes whatever has a character that is not printable.
	var h slog.Handler = slog.NewTextHandler(w, options)
	if format == "json" {
		h = slog.NewJSONHandler(plainJSON{w}, options)
	}
	return slog.New(&sparing{h, newQuotas()})
}

// sparing is a handler that bounds how often one thing is said.
type sparing struct {
	slog.Handler
	quotas *quotas
}

const (
	// linesPerSecond is how many records of one message are written.
	linesPerSecond = 20
	// maxMessages is how many messages have a quota of their own. Most messages are
	// constants of the program; what is none of few shares one.
	maxMessages = 500
)

// quotas holds a quota for each message.
type quotas struct {
	mu        sync.Mutex // guards what follows
	byMessage map[string]*quota
	rest      quota // of messages that found no room
}

func newQuotas() *quotas { return &quotas{byMessage: make(map[string]*quota)} }

// A quota counts the lines of one second.
type quota struct {
	second         int64
	taken, dropped int
}

// take asks for one line. When there is one, it also returns how many were dropped
// since the last.
func (q *quotas) take(message string, now time.Time) (ok bool, dropped int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	m := q.of(message, now.Unix())
	if s := now.Unix(); s != m.second {
		m.second, m.taken = s, 0
	}
	if m.taken == linesPerSecond {
		m.dropped++
		return false, 0
	}
	m.taken++
	dropped, m.dropped = m.dropped, 0
	return true, dropped
}

// of returns the quota of a message. When all are in use, those of earlier seconds
// are given up; what they dropped is told by the shared one.
func (q *quotas) of(message string, second int64) *quota {
	if m := q.byMessage[message]; m != nil {
		return m
	}
	if len(q.byMessage) >= maxMessages {
		for old, m := range q.byMessage {
			if m.second != second {
				q.rest.dropped += m.dropped
				delete(q.byMessage, old)
			}
		}
	}
	if len(q.byMessage) >= maxMessages {
		return &q.rest
	}
	m := new(quota)
	q.byMessage[message] = m
	return m
}

// Handle writes a record, unless it is one too many.
func (s *sparing) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelInfo && r.Message != statusMessage { // which an operator has asked for
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

// plainJSON writes lines of JSON with the characters escaped that slog's handler
// leaves as they are and that a terminal or an editor would obey. Such a character
// can only stand in a string, so the line means the same as before. It does it here,
// and not by the handler's ReplaceAttr, because that sees no text inside of values
// that encoding/json writes, and could not tell an escape from a text like it.
type plainJSON struct{ w io.Writer }

func (p plainJSON) Write(line []byte) (int, error) {
	if _, err := p.w.Write(escapeControls(line)); err != nil {
		return 0, err
	}
	return len(line), nil
}

// escapeControls returns line itself when there is nothing to escape.
func escapeControls(line []byte) []byte {
	var out []byte // nil until something is escaped
	for i := 0; i < len(line); {
		r, size := rune(line[i]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRune(line[i:])
		}
		switch escape := isHidden(r); {
		case escape && out == nil:
			out = append(make([]byte, 0, len(line)+64), line[:i]...)
			fallthrough
		case escape:
			for _, unit := range utf16.AppendRune(nil, r) {
				out = fmt.Appendf(out, `\u%04x`, unit)
			}
		case out != nil:
			out = append(out, line[i:i+size]...)
		}
		i += size
	}
	if out == nil {
		return line
	}
	return out
}

// isHidden reports characters that act instead of being seen: controls beyond ASCII
// and DEL, format characters (those that turn the direction of text among them), and
// separators of lines and paragraphs.
func isHidden(r rune) bool {
	return r >= 0x7f && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
}
