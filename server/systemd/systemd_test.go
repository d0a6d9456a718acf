//go:build unix

package systemd_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"poosh/server/leaktest"
	"poosh/server/stalltest"
	"poosh/server/systemd"
	"poosh/server/systemd/systemdtest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

func TestStates(t *testing.T) {
	told := systemdtest.Listen(t, 0)
	m := systemd.New(slog.New(slog.DiscardHandler))
	m.Ready()
	told.Want("READY=1")
	m.Stopping(90 * time.Second)
	told.Want("STOPPING=1\nEXTEND_TIMEOUT_USEC=90000000")
}

// The watchdog hears of the process twice in its time while that works, and only then.
func TestWatchdog(t *testing.T) {
	told := systemdtest.Listen(t, time.Second)
	var log bytes.Buffer
	m := systemd.New(slog.New(slog.NewTextHandler(&log, nil)))
	var broken atomic.Bool
	stop := m.Watch(func(ctx context.Context) error {
		if _, ok := ctx.Deadline(); !ok {
			t.Error("it may take for ever")
		}
		if broken.Load() {
			return errors.New("the hub does not answer")
		}
		return nil
	})
	began, stalled := time.Now(), stalltest.Watch(t)
	for range 4 {
		told.Want("WATCHDOG=1")
	}
	if took := time.Since(began) - stalled(); took > 2500*time.Millisecond {
		t.Errorf("four times took %v", took)
	}
	broken.Store(true)
	told.Silence(time.Second, 2500*time.Millisecond)
	broken.Store(false)
	told.Want("WATCHDOG=1")
	stop()
	told.Silence(50*time.Millisecond, 800*time.Millisecond)
	if !strings.Contains(log.String(), "the hub does not answer") {
		t.Errorf("the log says %s", &log)
	}
}

// One look that fails, as a slow one does, is soon followed by another: the manager would
// otherwise hear nothing for all of its time.
func TestWatchdogAfterAMiss(t *testing.T) {
	told := systemdtest.Listen(t, 2*time.Second)
	var looks atomic.Int32
	began, stalled := time.Now(), stalltest.Watch(t)
	stop := systemd.New(slog.New(slog.DiscardHandler)).Watch(func(context.Context) error {
		if looks.Add(1) == 2 {
			return errors.New("slow")
		}
		return nil
	})
	defer stop()
	told.Want("WATCHDOG=1")
	told.Want("WATCHDOG=1")
	if took := time.Since(began); took-stalled() > 1700*time.Millisecond || took < 900*time.Millisecond {
		t.Errorf("the second one comes after %v", took)
	}
}

// Without a manager nothing is told, and without a watchdog nobody is asked.
func TestNoManager(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	t.Setenv("WATCHDOG_USEC", "")
	var log bytes.Buffer
	m := systemd.New(slog.New(slog.NewTextHandler(&log, nil)))
	m.Ready()
	m.Stopping(time.Second)
	m.Watch(func(context.Context) error { t.Error("asked"); return nil })()
	if sockets, err := systemd.Inherit(); err != nil || len(sockets) != 0 || sockets.Take("CLIENT_PORT") != nil {
		t.Errorf("%v, %v", sockets, err)
	}
	if log.Len() > 0 {
		t.Errorf("the log says %s", &log)
	}
}

// A manager that is not there, or a watchdog that makes no sense, is no reason to end.
func TestOddManager(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "/nowhere/at/all")
	t.Setenv("WATCHDOG_USEC", "soon")
	var log bytes.Buffer
	m := systemd.New(slog.New(slog.NewTextHandler(&log, nil)))
	m.Ready()
	m.Watch(func(context.Context) error { t.Error("asked"); return nil })()
	if n := strings.Count(log.String(), "level=WARN"); n != 2 {
		t.Errorf("%d warnings\n%s", n, &log)
	}
}
