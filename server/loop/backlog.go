package loop

import (
	"sync"
	"sync/atomic"
)

// Backlog returns how many bytes wait for the loop itself to write them, not
// for a slow peer: a measure of whether publishers are ahead of the server.
func (l *Loop) Backlog() int64 {
	var n int64
	for _, s := range l.shards {
		n += s.queuedBytes.Load()
	}
	return n
}

// Behind reports whether the loop does not keep up: a connection whose socket
// takes bytes has more than half its outbox full, or somebody presses; see [Loop.Press].
// Whoever publishes then should
// wait a moment, or clients that do nothing wrong are closed as slow. Slow
// clients themselves do not count.
func (l *Loop) Behind() bool {
	if l.pressing.now.Load() > 0 {
		return true
	}
	for _, s := range l.shards {
		if s.congested.Load() > 0 {
			return true
		}
	}
	return false
}

// CaughtUp returns nil while whoever publishes may go on, or a channel that is
// closed when it is worth asking again. Publishers have to wait while [Loop.Behind]
// is true, or while more waits to be written than Config.MaxBlocked.
func (l *Loop) CaughtUp() <-chan struct{} {
	if !l.late() {
		return nil
	}
	again := l.catchUp.wait()
	if !l.late() {
		l.catchUp.tell()
	}
	return again
}

func (l *Loop) late() bool { return l.Behind() || l.Backlog() > l.cfg.MaxBlocked }

// caughtUp tells those who wait for the loop, if there are any and it is time.
func (l *Loop) caughtUp() {
	if l.catchUp.awaited.Load() && !l.late() {
		l.catchUp.tell()
	}
}

// catchUp is where publishers wait for the loop.
type catchUp struct {
	awaited atomic.Bool
	mu      sync.Mutex    // guards again
	again   chan struct{} // nil while nobody waits
}

func (u *catchUp) wait() <-chan struct{} {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.again == nil {
		u.again = make(chan struct{})
	}
	u.awaited.Store(true)
	return u.again
}

func (u *catchUp) tell() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.again != nil {
		close(u.again)
		u.again = nil
	}
	u.awaited.Store(false)
}
