package server

import (
	"io"
	"log/slog"
)

// NewLogger returns a logger that writes records of level and above to w, one
// line each, as key=value pairs or, when format is "json", as JSON objects. Each
// line is one Write.
func NewLogger(w io.Writer, level slog.Level, format string) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
