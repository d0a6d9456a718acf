// Package sends says what became of what is sent: it gives each send an id, tells those
// who watch of each as it happens, and writes down explanations for who asked for one.
// It knows no dialect's wire and keeps nothing, but for a part of the last sends where an
// operator is to see which rooms and senders have the most: see [Feed.Remember].
//
// It starts no goroutine; a watcher is read by whoever made it.
//
// # Ids
//
// An id is a text that is random for each process, a dash, and a number that grows by
// one with each send the process takes: two processes, or two starts of one, have no id
// in common, and ids of one sort as texts in the order in which they were given. It
// is for people and their logs, no secret, and nothing can be done with it.
//
// Where one request brings a list of events, its id is the request's, and the events of
// the list are that with a dot and their place behind it, from 1 on.
//
// # Watching
//
// While nobody watches, a send costs one look at a pointer. A watcher has a queue that
// is bounded in number and in bytes, and what finds no room in it is counted and left
// out: nobody who sends waits for who watches. Watchers share what is queued, and what is
// written of it; in a flood, when the queues of all are full, a send costs the same
// however many watch.
package sends

import (
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Header is the header of an answer that names the send.
const Header = "X-Poosh-Id"

// DeliveredHeader is the header of an answer that says how many connections were handed the
// send, where a dialect tells that.
const DeliveredHeader = "X-Poosh-Delivered"

// NodesHeader is the header that stands in its place where several processes act as one: it says
// how many of them were handed the send.
const NodesHeader = "X-Poosh-Nodes"

// MaxWatchers is how many may watch at once.
const MaxWatchers = 16

// ErrTooMany is said to one watcher too many, and ErrClosed to one who comes, or is
// there, when the feed ends.
var (
	ErrTooMany = errors.New("as many as may watch at once do")
	ErrClosed  = errors.New("the server is going away")
)

// A Send is one event to one room, as watchers are told of it.
type Send struct {
	ID       string
	Dialect  string // a dialect's name, such as "pusher"
	App      string // of the dialect's; empty where it has no apps
	Room     string // unless it is for everyone
	Everyone bool
	Event    string
	Size     int // of the payload, in bytes
	Handed   int // connections that took it
	// Uncounted says that nobody knows that: other processes have handed it out too.
	Uncounted bool
	From      string    // the sender's address with its port; empty for a client of the dialect
	At        time.Time // when it had been handed out; now, if zero

	// Payload is JSON. It is told only to watchers who want payloads, and must not
	// change.
	Payload json.RawMessage
}

// A Feed numbers what one process takes, and tells who watches. Make one with [New]; its
// methods may be called from any goroutine.
type Feed struct {
	ids      ids
	memory   *memory                    // set once, by Remember; nil when nothing is remembered
	hides    func(*Send) bool           // set once, by Hide; nil for none
	judged   atomic.Pointer[verdict]    // what hides said last
	watchers atomic.Pointer[[]*Watcher] // nil while nobody watches; never changed in place
	reported atomic.Uint64              // sends that watchers were offered

	mu     sync.Mutex // held to replace watchers; guards closed
	closed bool
}

// New returns a feed with a name of its own for ids.
func New() *Feed { return &Feed{ids: ids{prefix: newPrefix()}} }

// Hide has [Feed.Stream] leave out what hides picks, which is called on the goroutine of one
// who watches, twice for each send at the most, and once for many that are sent to one room
// in a moment. It picks by room, and never what is for everyone. It is for once, before the
// feed is in use.
func (f *Feed) Hide(hides func(*Send) bool) { f.hides = hides }

// Next returns the id of the next send.
func (f *Feed) Next() string { return f.ids.next() }

// Watched reports whether anybody wants to know of the send that was just made, who is to
// be told with [Feed.Report] then. It is to be asked once for each.
func (f *Feed) Watched() bool {
	return f.watchers.Load() != nil || f.memory != nil && f.memory.wants()
}

// Followed reports whether somebody watches. Where it does not, after Watched, what the
// send's Payload would be is of no use to anybody.
func (f *Feed) Followed() bool { return f.watchers.Load() != nil }

// Report tells those who watch of a send, after Watched said that somebody does. It never
// waits for any of them.
func (f *Feed) Report(s Send) {
	list := f.watchers.Load()
	remembers := f.memory != nil && (list == nil || f.memory.wants())
	takes := list != nil && slices.ContainsFunc(*list, (*Watcher).takes)
	if remembers || takes {
		if s.At.IsZero() {
			s.At = time.Now()
		}
		if remembers {
			f.memory.add(s)
		}
	}
	if list == nil {
		return
	}
	if takes { // of a flood most end before
		offer(*list, s)
	} else {
		for _, w := range *list {
			w.missed(&s)
		}
	}
	f.reported.Add(1) // not before: see Watcher.take
}

// Watch begins to watch; [Watcher.Stop] ends it. It fails with [ErrTooMany] and
// [ErrClosed].
func (f *Feed) Watch(filter Filter) (*Watcher, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []*Watcher
	if old := f.watchers.Load(); old != nil {
		list = slices.Clone(*old)
	}
	switch {
	case f.closed:
		return nil, ErrClosed
	case len(list) >= MaxWatchers:
		return nil, ErrTooMany
	}
	w := &Watcher{feed: f, filter: filter, picks: filter.picks(), more: make(chan struct{}, 1), over: make(chan struct{}), known: f.reported.Load()}
	list = append(list, w)
	f.watchers.Store(&list)
	return w, nil
}

// Close ends the watching of all, and lets nobody watch any more. Sends have ids as
// before.
func (f *Feed) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return
	}
	f.closed = true
	if list := f.watchers.Swap(nil); list != nil {
		for _, w := range *list {
			close(w.over)
		}
	}
}

// forget takes a watcher off the list.
func (f *Feed) forget(w *Watcher) {
	f.mu.Lock()
	defer f.mu.Unlock()
	old := f.watchers.Load()
	if old == nil {
		return
	}
	i := slices.Index(*old, w)
	if i < 0 {
		return
	}
	close(w.over)
	list := slices.Delete(slices.Clone(*old), i, i+1)
	if len(list) == 0 {
		f.watchers.Store(nil)
		return
	}
	f.watchers.Store(&list)
}
