// Package systemd tells a service manager how the process is, and takes over the sockets
// that it has opened: sd_notify(3), sd_watchdog_enabled(3) and sd_listen_fds(3). Where no
// manager has asked for that, nothing here does anything.
//
// It must not know what is served. Its one goroutine is the watchdog's; see [Manager.Watch].
package systemd

import (
	"context"
	"log/slog"
	"strconv"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// A Manager is the service manager that the process was started by. Its methods may be
// called from any goroutine.
type Manager struct{ log *slog.Logger }

// New returns the manager of the environment, which may be nobody.
func New(log *slog.Logger) *Manager { return &Manager{log} }

// tell sends a state. A manager that cannot be told is one that waits in vain and says
// so itself: the log has why.
func (m *Manager) tell(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		m.log.Warn("systemd could not be told", "err", err)
	}
}

// Ready tells that the process has started: what depends on it may start too.
func (m *Manager) Ready() { m.tell(daemon.SdNotifyReady) }

// Reloading tells that the process reads its settings again; Ready says that it has. With
// Type=notify-reload the manager waits for that, and knows by the time of the clock that
// it is told of its own signal.
func (m *Manager) Reloading() {
	state := daemon.SdNotifyReloading
	if now := daemon.SdNotifyMonotonicUsec(); now != "" {
		state += "\n" + now
	}
	m.tell(state)
}

// Stopping tells that the process has begun to end, and that it may take so long: the
// manager waits for that even where its own TimeoutStopSec is shorter.
func (m *Manager) Stopping(within time.Duration) {
	m.tell(daemon.SdNotifyStopping + "\nEXTEND_TIMEOUT_USEC=" + strconv.FormatInt(within.Microseconds(), 10))
}

// Watch tells the manager, twice in each WatchdogSec, that the process works, as long as
// works returns nil, and looks again soon when it does not. The manager kills and restarts
// one that it does not hear of for that long. works gets a fourth of the time. stop ends it, and waits for that.
func (m *Manager) Watch(works func(context.Context) error) (stop func()) {
	within, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		m.log.Warn("systemd has a watchdog that is not understood", "err", err)
	}
	if within <= 0 {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { // ends with stop
		defer close(ended)
		for {
			next := within / 2
			if !m.look(ctx, works, within/4) {
				next = within / 16 // it may have been slow just once
			}
			select {
			case <-time.After(next):
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() {
		cancel()
		<-ended
	}
}

// look tells the watchdog once, if the process works, and reports whether it did.
func (m *Manager) look(ctx context.Context, works func(context.Context) error, patience time.Duration) (told bool) {
	short, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := works(short)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		m.log.Error("systemd is not told that this works: it restarts what it does not hear of", "err", err)
	default:
		m.tell(daemon.SdNotifyWatchdog)
		return true
	}
	return false
}
