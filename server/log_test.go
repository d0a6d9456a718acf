package server

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestWarningsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := NewLogger(&out, slog.LevelInfo, "text")
		// Two loggers of one program share the bound.
		other := log.With("a", 1)
		for range 50 {
			log.Warn("refused", "remote", "192.0.2.1")
			other.Warn("refused", "remote", "192.0.2.2")
			log.Info("told")
			log.Error("broken")
		}
		log.Warn("something else")
		count := func(what string) int { return strings.Count(out.String(), what) }
		if n := count("msg=refused"); n != warningsPerSecond {
			t.Errorf("%d warnings in a second", n)
		}
		if count("msg=told") != 50 || count("msg=broken") != 50 || count("something else") != 1 {
			t.Error("other lines were dropped")
		}
		time.Sleep(time.Second)
		log.Warn("refused")
		if !strings.Contains(out.String(), "not_logged=80") {
			t.Error("it does not say how many were dropped")
		}
	})
}
