package poosh

import (
	"container/list"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"net/netip"
	"sync"
	"time"

	"poosh/server/hub"
	"poosh/server/socketio"
)

// A pid is a name that states are found by, and a secret of 144 bits that is compared in
// constant time.
const (
	pidName   = 12 // characters
	pidSecret = 24
)

// What a state takes, about, beside the names of its rooms, and each room beside its name.
const (
	stateCost     = 700
	stateRoomCost = 90
)

// A state is what a client may come back to. What follows sid belongs to the states' lock.
type state struct {
	pid   string // set once
	sid   string
	start hub.Position // where its first connection began

	open    *listener // while it is connected, with its session
	session *socketio.Session
	rooms   []string          // while it is away, and what follows
	joined  map[string]uint64 // see [hub.Hub.Joined]
	log     uint64            // the epoch of their numbers
	until   time.Time
	cost    int64
	at      *list.Element
	network netip.Addr    // from where it was; the zero Addr if that is not known
	crowd   *crowd        // nil without a network
	beside  *list.Element // its place there
}

// A crowd is the states of one network that are away. It belongs to the states' lock.
type crowd struct {
	network netip.Addr
	away    list.List // of *state, who left first in front
	size    int64
}

// states are those of the clients that are here, and of those who left lately: bounded by
// time and bytes, and who left first is forgotten first. But a network that has more than a
// fourth of the bytes forgets its own: a stranger who comes and goes does not push out others.
type states struct {
	hub   *hub.Hub      // set once
	most  time.Duration // set once
	bytes int64         // set once

	mu     sync.Mutex        // guards what follows; nothing is called with it held but the hub's questions for rooms
	byName map[string]*state // by the name in the pid
	away   list.List         // of *state, who left first in front
	size   int64             // what away costs
	crowds map[netip.Addr]*crowd
	large  map[*crowd]bool // those with more than a fourth: three at the most, but for a moment
}

func (a *states) init(h *hub.Hub, most time.Duration, bytes int64) {
	a.hub, a.most, a.bytes, a.byName = h, most, bytes, make(map[string]*state)
	a.crowds, a.large = make(map[netip.Addr]*crowd), make(map[*crowd]bool)
}

// begin gives a client that is new a state.
func (a *states) begin(l *listener, s *socketio.Session, start hub.Position) *state {
	var b [(pidName + pidSecret) / 4 * 3]byte
	_, _ = rand.Read(b[:]) // never fails
	st := &state{pid: base64.RawURLEncoding.EncodeToString(b[:]), sid: s.ID(), start: start}
	a.resume(l, s, st)
	return st
}

// resume notes that a client is connected with its state.
func (a *states) resume(l *listener, s *socketio.Session, st *state) {
	a.mu.Lock()
	defer a.mu.Unlock()
	st.open, st.session, l.state = l, s, st
	a.byName[st.pid[:pidName]] = st
}

// take takes the state of a pid out of the list: it is good once. old is the session that
// has it, if that is still there, and does not any more.
func (a *states) take(pid string) (st *state, old *socketio.Session) {
	if len(pid) != pidName+pidSecret {
		return nil, nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.expire(time.Now())
	st = a.byName[pid[:pidName]]
	if st == nil || subtle.ConstantTimeCompare([]byte(st.pid), []byte(pid)) != 1 {
		return nil, nil
	}
	delete(a.byName, pid[:pidName])
	if st.open != nil {
		a.note(st, st.open)
		old, st.open.state = st.session, nil
		st.open, st.session = nil, nil
	} else {
		a.unlist(st)
	}
	return st, old
}

// note keeps the rooms of a client, and since when it has been in each, over all of its
// connections: what it has had since is said by its offset. mu is held.
func (a *states) note(st *state, l *listener) {
	before, log := st.joined, st.log
	st.rooms = l.sub.Rooms()
	st.joined, st.log = a.hub.Joined(l.sub, l.trail)
	for room, n := range before {
		if log != st.log { // another one has begun since
			n = 0
		}
		if since, in := st.joined[room]; in {
			st.joined[room] = min(since, n)
		}
	}
}

// left keeps the state of a client that has left, or forgets it. The client is still in its
// rooms.
func (a *states) left(l *listener, keep bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	st := l.state
	if st == nil {
		return
	}
	l.state, st.open, st.session = nil, nil, nil
	if !keep {
		delete(a.byName, st.pid[:pidName])
		return
	}
	now := time.Now()
	a.note(st, l)
	st.network = l.from
	a.keep(st, now.Add(a.most))
	a.expire(now)
}

// expire forgets who has been away for too long, or is too much. mu is held.
func (a *states) expire(now time.Time) {
	for e := a.away.Front(); e != nil; e = a.away.Front() {
		st := e.Value.(*state)
		if now.Before(st.until) {
			if a.size <= a.bytes {
				return
			}
			var oldest *state // of the large ones, of which there are three at the most
			for c := range a.large {
				if s := c.away.Front().Value.(*state); oldest == nil || s.until.Before(oldest.until) {
					oldest = s
				}
			}
			if oldest != nil {
				st = oldest
			}
		}
		a.unlist(st)
		delete(a.byName, st.pid[:pidName])
	}
}

// list has a state be one of those that are away. mu is held.
func (a *states) list(st *state) {
	st.at = a.away.PushBack(st)
	a.size += st.cost
	if !st.network.IsValid() {
		return
	}
	c := a.crowds[st.network]
	if c == nil {
		c = &crowd{network: st.network}
		a.crowds[st.network] = c
	}
	st.crowd, st.beside = c, c.away.PushBack(st)
	a.grow(c, st.cost)
}

// unlist has a state be none of those. mu is held.
func (a *states) unlist(st *state) {
	a.away.Remove(st.at)
	a.size -= st.cost
	if c := st.crowd; c != nil {
		c.away.Remove(st.beside)
		a.grow(c, -st.cost)
	}
	st.at, st.crowd, st.beside = nil, nil, nil
}

// grow notes that a crowd takes so much more. mu is held.
func (a *states) grow(c *crowd, cost int64) {
	c.size += cost
	if c.size > a.bytes/4 {
		a.large[c] = true
	} else {
		delete(a.large, c)
	}
	if c.size == 0 {
		delete(a.crowds, c.network)
	}
}
