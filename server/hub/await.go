package hub

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"poosh/server/quota"
)

// A Follower is a [Broker] that brings publications with the positions of a log that all
// processes share, and so a moment later than to others.
type Follower interface {
	// Follow calls then once, with true when this process has been handed all that was published of
	// an app before, in whatever process, or with false when that cannot be said within a time that
	// the broker bounds. It does not block, and is called for [Hub.Await] alone, once at a time for
	// each app; then does not block either, and is not to call Follow.
	Follow(app string, then func(came bool))
}

const (
	// maxAwaiting is how many may wait at a time in one app, and awaitingApps how many apps may be
	// full at a time. One network may be a fourth of either, and some places are for networks of
	// which few wait: see package quota, in which one who waits counts for awaitCost.
	maxAwaiting  = 4096
	awaitingApps = 4
	awaitCost    = 1 << 10
	// maxPlace is what epochs and numbers are at the most; see [Position].
	maxPlace = 1<<50 - 1
	// maxAhead is how far ahead a place may be that is waited for. No broker brings so many
	// publications within the time that it may take.
	maxAhead = 1 << 24
	// awaitPause is how long nobody is asked where the log is, if all who waited were in places that
	// there are not: so strangers with such places cost the broker 10 questions a second.
	awaitPause = 100 * time.Millisecond
)

// awaiting are those who wait until the log has come to where they were. The zero awaiting is
// nobody. Nothing of the hub, the log or the broker is called with mu held.
type awaiting struct {
	mu      sync.Mutex // guards what follows, and what is in a queue
	all     *quota.Quota
	apps    map[string]*queue
	due     []arrival
	running bool // goOn is at it
	refused uint64
}

// A queue is who waits in one app. All of them wait for one answer of the broker, and those who came
// since it was asked for the next: what was published just before they came may be behind it.
type queue struct {
	app   string
	room  *quota.Quota
	under []waiter // for the answer that is under way
	next  []waiter
	asked bool // the broker is, or will be
}

// A waiter waits for a place.
type waiter struct {
	at   []Position
	from netip.Addr
	then func()
}

// An arrival is the broker's answer to those of a queue.
type arrival struct {
	queue *queue
	came  bool
}

// isAheadOf reports whether p may be a place in a log that is yet to come to it.
func (p Position) isAheadOf(head Position) bool {
	switch {
	case p.Epoch == 0, p.Epoch > maxPlace, p.Number > maxPlace:
		return false
	case p.Epoch != head.Epoch:
		return true
	}
	return p.Number > head.Number && p.Number-head.Number <= maxAhead
}

func anyAhead(at []Position, head Position) bool {
	return slices.ContainsFunc(at, func(p Position) bool { return p.isAheadOf(head) })
}

// Ahead reports whether one of some positions may be good though the log of this process, of an app that
// is kept, has not come to it: another process had that publication a moment earlier. In one
// process alone none is.
func (h *Hub) Ahead(app string, at ...Position) bool {
	if _, follows := h.broker.(Follower); !follows || !anyAhead(at, Position{}) {
		return false
	}
	return anyAhead(at, h.Head(app))
}

// Head is where the log of an app that is kept is.
func (h *Hub) Head(app string) (at Position) {
	h.log.Hold(app, func(head Position, _ Reader) { at = head })
	return at
}

// Await is for who comes from another process with positions of which one is [Hub.Ahead] here: it has
// then called once, when this process has come so far, or when it will not within a time that
// the [Broker] bounds. What is asked for then is answered as things are. It returns false, and
// then is not called, where too many wait, in all or of the network that it comes from, see
// package peers; the zero from stands for many.
//
// It never blocks. then is called on a goroutine for all who wait, one after the other, so it must
// not wait for anybody; a panic in it ends the program. Who asks has asked [Hub.Ahead]: otherwise
// it may wait for nothing.
func (h *Hub) Await(app string, at []Position, from netip.Addr, then func()) bool {
	if _, follows := h.broker.(Follower); !follows {
		return false
	}
	q, ask := h.awaiting.enter(app, waiter{at, from, then})
	if ask {
		h.follow(q)
	}
	return q != nil
}

// Awaiting returns how many wait by [Hub.Await] now, and how often one did not since too many did.
func (h *Hub) Awaiting() (waiting int, refused uint64) {
	a := &h.awaiting
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, q := range a.apps {
		waiting += len(q.under) + len(q.next)
	}
	return waiting, a.refused
}

// enter has one wait, and reports whether the broker is to be asked; nil where too many wait.
func (a *awaiting) enter(app string, w waiter) (q *queue, ask bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.apps == nil {
		a.all, a.apps = quota.New(awaitingApps*maxAwaiting*awaitCost), make(map[string]*queue)
	}
	if q = a.apps[app]; q == nil {
		q = &queue{app: app, room: quota.New(maxAwaiting * awaitCost)}
	}
	if !q.room.Take(w.from, 0, awaitCost) {
		a.refused++
		return nil, false
	}
	if !a.all.Take(w.from, 0, awaitCost) {
		a.refused++
		q.room.Give(w.from, awaitCost)
		return nil, false
	}
	a.apps[app] = q
	q.next = append(q.next, w)
	if q.asked {
		return q, false
	}
	q.begin()
	return q, true
}

// begin has those who wait for the next answer wait for the one that is about to be asked for.
// awaiting.mu is held.
func (q *queue) begin() { q.under, q.next, q.asked = q.next, nil, true }

// follow asks the broker for a queue.
func (h *Hub) follow(q *queue) {
	h.broker.(Follower).Follow(q.app, func(came bool) {
		a := &h.awaiting
		a.mu.Lock()
		defer a.mu.Unlock()
		a.due = append(a.due, arrival{q, came})
		if !a.running {
			a.running = true
			go h.goOn() // where publications are delivered nobody waits for who reads what he missed
		}
	})
}

// goOn has those go on for whom the broker has answered. It ends when there are none.
func (h *Hub) goOn() {
	a := &h.awaiting
	for {
		a.mu.Lock()
		list := a.due
		a.due = nil
		a.running = len(list) > 0
		a.mu.Unlock()
		if len(list) == 0 {
			return
		}
		for _, now := range list {
			h.arrived(now.queue, now.came)
		}
	}
}

// arrived has those of a queue go on who waited for an answer, and those who need no other one, and asks
// for the rest.
func (h *Hub) arrived(q *queue, came bool) {
	a, head := &h.awaiting, h.Head(q.app)
	there := func(w waiter) bool { return !anyAhead(w.at, head) }
	a.mu.Lock()
	vain := came && !slices.ContainsFunc(q.under, there)
	list := q.under
	var rest []waiter
	for _, w := range q.next {
		if !came || there(w) { // a second time in vain would be twice the time
			list = append(list, w)
		} else {
			rest = append(rest, w)
		}
	}
	q.under, q.next = nil, rest
	ask := !vain && a.goesOn(q)
	for _, w := range list {
		q.room.Give(w.from, awaitCost)
		a.all.Give(w.from, awaitCost)
	}
	a.mu.Unlock()
	switch {
	case ask:
		h.follow(q)
	case vain:
		time.AfterFunc(awaitPause, func() { h.askAgain(q) })
	}
	for _, w := range list {
		w.then()
	}
}

// goesOn has a queue go on if somebody is in it, and reports whether the broker is to be asked. mu is held.
func (a *awaiting) goesOn(q *queue) bool {
	if len(q.next) == 0 {
		q.asked = false
		delete(a.apps, q.app)
		return false
	}
	q.begin()
	return true
}

// askAgain asks for those who came while a queue had a pause.
func (h *Hub) askAgain(q *queue) {
	h.awaiting.mu.Lock()
	ask := h.awaiting.goesOn(q)
	h.awaiting.mu.Unlock()
	if ask {
		h.follow(q)
	}
}
