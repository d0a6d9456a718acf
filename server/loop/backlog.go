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
// takes bytes has more than half its outbox full. Whoever publishes then should
// wait a moment, or clients that do nothing wrong are closed as slow. Slow
// clients themselves do not count.
func (l *Loop) Behind() bool {
	for _, s := range l.shards {
		if s.congested.Load() > 0 {
			return true
		}
	}
	return false
}

// CaughtUp returns nil while whoever publishes may go on, or a channel that is
// closed when it is worth asking again. Publishers have to wait while [Loop.Late]
// is true, and a moment for who presses; see [Loop.Press].
func (l *Loop) CaughtUp() <-chan struct{} {
	if !l.isAwaited() {
		return nil
	}
	again := l.catchUp.wait()
	if !l.isAwaited() {
		l.catchUp.tell()
	}
	return again
}

// Late reports whether [Loop.Behind] is true, or more waits to be written than
// Config.MaxBlocked: the server does not keep up, and who publishes and cannot wait has to be
// refused. That is not so while somebody presses, which is a client's own time.
func (l *Loop) Late() bool { return l.Behind() || l.Backlog() > l.cfg.MaxBlocked }

// isAwaited reports whether publishers wait.
func (l *Loop) isAwaited() bool { return l.pressing.now.Load() > 0 || l.Late() }

// caughtUp tells those who wait for the loop, if there are any and it is time.
func (l *Loop) caughtUp() {
	if l.catchUp.awaited.Load() && !l.isAwaited() {
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
