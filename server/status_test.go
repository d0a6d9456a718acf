package server

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
)

type checked struct{ err error }

func (c checked) Check() error { return c.err }

// What is wrong is an error in the log; what is right says nothing.
func TestCheckSelf(t *testing.T) {
	var log bytes.Buffer
	checkSelf(slog.New(slog.NewTextHandler(&log, nil)), map[string]checker{"hub": checked{}, "loop": checked{errors.New("counts 5, and 0 are there")}})
	for _, want := range []string{"level=ERROR", "self-check failed", "part=loop", "counts 5, and 0 are there"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("%q, want %q", log.String(), want)
		}
	}
	if strings.Count(log.String(), "\n") != 1 {
		t.Errorf("%q, want one line", log.String())
	}
}
