package hub

import (
	"sync"
	"sync/atomic"
)

// A Follower is a [Broker] that brings publications with the positions of a log that all
// processes share, and so a moment later than to others.
type Follower interface {
	// Follow calls then once, when this process has been handed all that was published of an app
	// before, in whatever process, or when that cannot be said within a time that the broker
	// bounds. It does not block, and is called by [Hub.Await] alone; then does not block either.
	Follow(app string, then func())
}

const (
	// maxAwaiting is how many may wait at a time, of all apps.
	maxAwaiting = 4096
	// maxPlace is what epochs and numbers are at the most; see [Position].
	maxPlace = 1<<50 - 1
)

// awaiting are those who wait until the log has come to where they were. The zero awaiting is
// nobody.
type awaiting struct {
	n atomic.Int32 // who waits, or is about to go on

	mu      sync.Mutex // guards what follows
	due     []func()   // who goes on, in order
	running bool       // run is at it
}

// Ahead reports whether a position may be good though the log of this process, of an app that is
// kept, has not come to it: another process had that publication a moment earlier. In one
// process alone none is.
func (h *Hub) Ahead(app string, at Position) (ahead bool) {
	_, follows := h.broker.(Follower)
	if !follows || at.Epoch == 0 || at.Epoch > maxPlace || at.Number > maxPlace {
		return false
	}
	h.log.Hold(app, func(head Position, _ Reader) {
		ahead = at.Epoch != head.Epoch || at.Number > head.Number
	})
	return ahead
}

// Await is for who comes from another process with a position that is [Hub.Ahead] here: it has
// then called once, when this process has come so far, or when it will not within a time that
// the [Broker] bounds. What is asked for then is answered as things are. It returns false, and
// then is not called, where there is nothing to wait for, or too many wait.
//
// It never blocks. then is called on a goroutine for all who wait, one after the other, so it must
// not wait for anybody; a panic in it ends the program.
func (h *Hub) Await(app string, at Position, then func()) bool {
	if !h.Ahead(app, at) {
		return false
	}
	if h.awaiting.n.Add(1) > maxAwaiting {
		h.awaiting.n.Add(-1)
		return false
	}
	h.broker.(Follower).Follow(app, func() { h.awaiting.goOn(then) })
	return true
}

// goOn has one go on who has waited. It is called where publications are delivered, which wait
// for nobody who reads what he missed.
func (a *awaiting) goOn(then func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.due = append(a.due, then)
	if !a.running {
		a.running = true
		go a.run()
	}
}

// run ends when nobody is left.
func (a *awaiting) run() {
	for {
		a.mu.Lock()
		list := a.due
		a.due = nil
		a.running = len(list) > 0
		a.mu.Unlock()
		if len(list) == 0 {
			return
		}
		for _, then := range list {
			a.n.Add(-1)
			then()
		}
	}
}
