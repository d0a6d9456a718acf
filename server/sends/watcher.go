package sends

import (
	"sync"
	"sync/atomic"
)

// Bounds of what waits for one watcher: sends, and their bytes.
const (
	maxQueue      = 512
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

// picks reports whether there is anything that is not wanted.
func (f *Filter) picks() bool { return f.Dialect != "" || f.App != "" || f.InRoom }

// A Watcher is told of sends. Take is for one goroutine at a time, the other methods for
// any.
type Watcher struct {
	feed   *Feed         // set once
	filter Filter        // set once
	picks  bool          // set once, what filter says
	more   chan struct{} // has a value when there is something to take
	over   chan struct{} // closed by feed, with feed.mu held

	full    atomic.Bool   // as many wait as may
	dropped atomic.Uint64 // of one who picks, since the last Take

	// Who wants all has dropped what it was not told of: one number of the feed says so for
	// all of them. These are for Take.
	known uint64 // of feed.reported, that it was told of or told that it dropped

	mu    sync.Mutex // guards what follows
	queue []*told
	bytes int
}

// offer queues a send for who wants it and has room.
func offer(list []*Watcher, s Send) {
	var with, without *told // shared by those who want the same of it
	for _, w := range list {
		if !w.filter.wants(&s) {
			continue
		}
		of := &without
		if w.filter.Payload {
			of = &with
		}
		if *of == nil {
			*of = &told{Send: s}
			if !w.filter.Payload {
				(*of).Payload = nil // it is not kept for who does not ask for it
			}
		}
		if !w.add(*of) {
			w.drop()
		}
	}
}

// takes reports whether there is room for anything.
func (w *Watcher) takes() bool { return !w.full.Load() }

// add queues a send if there is room.
func (w *Watcher) add(t *told) bool {
	if w.full.Load() {
		return false
	}
	cost := sendCost + len(t.Room) + len(t.Event) + len(t.App) + len(t.Payload)
	w.mu.Lock()
	room := len(w.queue) < maxQueue && w.bytes+cost <= maxQueueBytes
	if room {
		w.queue = append(w.queue, t)
		w.bytes += cost
	}
	w.full.Store(len(w.queue) >= maxQueue)
	w.mu.Unlock()
	if room {
		w.wake()
	}
	return room
}

// missed notes that there was no room for a send, if it was wanted.
func (w *Watcher) missed(s *Send) {
	if w.picks && w.filter.wants(s) {
		w.drop()
	}
}

// drop notes that there was no room for a send that was wanted.
func (w *Watcher) drop() {
	if w.picks {
		w.dropped.Add(1)
	}
	if !w.full.Load() { // else it has been woken
		w.wake()
	}
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
	queue, dropped := w.take()
	for _, t := range queue {
		list = append(list, t.Send)
	}
	return list, dropped
}

// take is Take of what is shared with others.
func (w *Watcher) take() (list []*told, dropped uint64) {
	// What is in this number was offered before, so it is in the queue or found no room;
	// of what is in the queue some may not be in it yet.
	reported := w.feed.reported.Load()
	w.mu.Lock()
	defer w.mu.Unlock()
	list = w.queue
	w.queue, w.bytes = nil, 0
	w.full.Store(false)
	if w.picks {
		return list, w.dropped.Swap(0)
	}
	w.known += uint64(len(list))
	if more := int64(reported - w.known); more > 0 {
		w.known += uint64(more)
		return list, uint64(more)
	}
	return list, 0
}

// Stop ends the watching. It may be called again.
func (w *Watcher) Stop() { w.feed.forget(w) }
