package poosh

import (
	"container/list"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
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
	stateCost     = 600
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
	until   time.Time
	cost    int64
	at      *list.Element
}

// states are those of the clients that are here, and of those who left lately: bounded by
// time and bytes, and who left first is forgotten first.
type states struct {
	hub   *hub.Hub      // set once
	most  time.Duration // set once
	bytes int64         // set once

	mu     sync.Mutex        // guards what follows; nothing is called with it held but the hub's questions for rooms
	byName map[string]*state // by the name in the pid
	away   list.List         // of *state, who left first in front
	size   int64             // what away costs
}

func (a *states) init(h *hub.Hub, most time.Duration, bytes int64) {
	a.hub, a.most, a.bytes, a.byName = h, most, bytes, make(map[string]*state)
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
		a.size -= st.cost
		a.away.Remove(st.at)
		st.at = nil
	}
	return st, old
}

// note keeps the rooms of a client, and since when it has been in each, over all of its
// connections: what it has had since is said by its offset. mu is held.
func (a *states) note(st *state, l *listener) {
	before := st.joined
	st.rooms, st.joined = l.sub.Rooms(), a.hub.Joined(l.sub, l.trail)
	for room, n := range before {
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
	a.keep(st, now.Add(a.most))
	a.expire(now)
}

// expire forgets who has been away for too long, or is too much. mu is held.
func (a *states) expire(now time.Time) {
	for e := a.away.Front(); e != nil; e = a.away.Front() {
		st := e.Value.(*state)
		if now.Before(st.until) && a.size <= a.bytes {
			return
		}
		a.away.Remove(e)
		a.size -= st.cost
		delete(a.byName, st.pid[:pidName])
	}
}
