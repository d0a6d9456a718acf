package sends

import (
	"sync"
	"sync/atomic"
)

// Bounds of what waits for one watcher: sends, and their bytes.
const (
	maxQueue      = 256
	maxQueueBytes = 1 << 20
	sendCost      = 200 // of a send beside its texts
)

// A Filter says what a watcher wants to be told of. An empty field wants all.
type Filter struct {
	Dialect string
	App     string
	Room    string // a send for everyone is in no room
	InRoom  bool   // of Room, also if that is the empty name
	Payload bool   // with payloads
}

func (f *Filter) wants(s *Send) bool {
	return (f.Dialect == "" || f.Dialect == s.Dialect) && (f.App == "" || f.App == s.App) &&
		(!f.InRoom || !s.Everyone && f.Room == s.Room)
}

// A Watcher is told of sends. Take is for one goroutine at a time, the other methods for
// any.
type Watcher struct {
	feed   *Feed         // set once
	filter Filter        // set once
	more   chan struct{} // has a value when there is something to take
	over   chan struct{} // closed by feed, with feed.mu held

	full    atomic.Bool   // as many wait as may
	dropped atomic.Uint64 // since the last Take

	mu    sync.Mutex // guards what follows
	queue []Send
	bytes int
}

// offer queues a send if it is wanted and there is room.
func (w *Watcher) offer(s Send) {
	if !w.filter.wants(&s) {
		return
	}
	if w.full.Load() { // most of a flood ends here
		w.drop()
		return
	}
	if !w.filter.Payload {
		s.Payload = nil
	}
	cost := sendCost + len(s.Room) + len(s.Event) + len(s.App) + len(s.Payload)
	w.mu.Lock()
	room := len(w.queue) < maxQueue && w.bytes+cost <= maxQueueBytes
	if room {
		w.queue = append(w.queue, s)
		w.bytes += cost
	}
	w.full.Store(len(w.queue) >= maxQueue)
	w.mu.Unlock()
	if !room {
		w.drop()
		return
	}
	w.wake()
}

func (w *Watcher) drop() {
	w.dropped.Add(1)
	w.wake()
}

func (w *Watcher) wake() {
	select {
	case w.more <- struct{}{}:
	default:
	}
}

// More has a value when something is there to take.
func (w *Watcher) More() <-chan struct{} { return w.more }

// Over is closed when the watching has ended.
func (w *Watcher) Over() <-chan struct{} { return w.over }

// Take returns what has been queued, oldest first, and how many sends found no room
// since it was last called. These came in between and after those.
func (w *Watcher) Take() (list []Send, dropped uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	list = w.queue
	w.queue, w.bytes = nil, 0
	w.full.Store(false)
	return list, w.dropped.Swap(0)
}

// Stop ends the watching. It may be called again.
func (w *Watcher) Stop() { w.feed.forget(w) }
