// Package returning keeps what clients may come back to: of those who are here, of those who left
// lately, and over a restart. Dialects whose clients come back as who they were say what is in it.
package returning

import (
	"container/list"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"net/netip"
	"sync"
	"time"

	"poosh/server/handover"
	"poosh/server/hub"
)

// A pid is a name that states are found by, and a secret of 144 bits that is compared in
// constant time.
const (
	pidName   = 12 // characters
	pidSecret = 24
)

// stateCost is about what a state takes, in bytes, beside its rooms.
const stateCost = 700

// A State is what a client may come back to. C is a connection of the client, and M who it is in a
// room, for dialects that know that.
//
// PID, SID and Start are set once. The other exported fields belong to whom [States.Take] gave the
// state, until [States.Resume].
type State[C comparable, M any] struct {
	PID, SID string
	Start    hub.Position // where its first connection began

	Rooms   []string
	Members map[string]M      // by room; of rooms that have none there is none
	Joined  map[string]uint64 // see [hub.Hub.Joined]
	Log     uint64            // the epoch of their numbers

	open   C // while it is connected; what follows while it is away. Guarded by States.mu
	until  time.Time
	cost   int64
	at     *list.Element // of States.away
	crowd  *crowd        // nil without a network
	beside *list.Element // of crowd.away
}

// A crowd is the states of one network that are away. It belongs to the states' lock.
type crowd struct {
	network netip.Addr
	away    list.List // who left first in front
	size    int64
}

// Seats are what a client is in at a time.
type Seats[M any] struct {
	Rooms   []string
	Members map[string]M
	// Sub and Trail are the client in the hub, see [hub.Hub.Joined].
	Sub   *hub.Subscriber
	Trail *hub.Trail
	// Left reports whether the client has left a room, and joined it anew, on this connection; nil
	// for none of them: what it has had since is said by its offset.
	Left func(room string) bool
}

// Config says what is kept, and how.
type Config[C comparable, M any] struct {
	Hub      *hub.Hub
	Most     time.Duration // for how long a client may be away
	Bytes    int64         // what all that are away may take
	RoomCost int64         // what a room takes beside its name, about

	// Seats says what a client is in. It is called with the states' lock held, so it must not call
	// [States], nor wait for who does.
	Seats func(c C) Seats[M]
	// Member is of dialects that have members; nil for others.
	Member *Member[M]
}

// A Member says how members are kept.
type Member[M any] struct {
	Has     func(room string) bool // whether clients are somebody in a room
	Cost    func(m M) int64        // bytes
	Save    func(w *handover.Writer, m M)
	Restore func(r *handover.Reader) M // fails r on what Save never wrote
}

// States are those of the clients that are here, and of those who left lately: bounded by
// time and bytes, and who left first is forgotten first. But a network that has more than a
// fourth of the bytes forgets its own: a stranger who comes and goes does not push out others.
//
// Its methods may be called from any goroutine. Make one with [New].
type States[C comparable, M any] struct {
	cfg Config[C, M] // set once

	mu     sync.Mutex              // guards what follows; nothing is called with it held but Config's functions and the hub
	byName map[string]*State[C, M] // by the name in the pid
	away   list.List               // of *State, who left first in front
	size   int64                   // what away costs
	crowds map[netip.Addr]*crowd
	large  map[*crowd]bool // those with more than a fourth: three at the most, but for a moment
}

// New returns states of nobody.
func New[C comparable, M any](cfg Config[C, M]) *States[C, M] {
	return &States[C, M]{cfg: cfg, byName: make(map[string]*State[C, M]), crowds: make(map[netip.Addr]*crowd), large: make(map[*crowd]bool)}
}

// Begin gives a client that is new a state. sid is what it is called, and start where it begins.
func (a *States[C, M]) Begin(c C, sid string, start hub.Position) *State[C, M] {
	var b [(pidName + pidSecret) / 4 * 3]byte
	_, _ = rand.Read(b[:]) // never fails
	st := &State[C, M]{PID: base64.RawURLEncoding.EncodeToString(b[:]), SID: sid, Start: start}
	a.Resume(c, st)
	return st
}

// Resume notes that a client is connected with its state.
func (a *States[C, M]) Resume(c C, st *State[C, M]) {
	a.mu.Lock()
	defer a.mu.Unlock()
	st.open = c
	a.byName[st.PID[:pidName]] = st
}

// Take takes the state of a pid out: it is good once. It returns nil if nobody has that pid. old is
// the connection that has it, if that is still there, and does not any more.
func (a *States[C, M]) Take(pid string) (st *State[C, M], old C) {
	var none C
	if len(pid) != pidName+pidSecret {
		return nil, none
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.expire(time.Now())
	st = a.byName[pid[:pidName]]
	if st == nil || subtle.ConstantTimeCompare([]byte(st.PID), []byte(pid)) != 1 {
		return nil, none
	}
	delete(a.byName, pid[:pidName])
	if old = st.open; old != none {
		a.note(st, old)
		st.open = none
	} else {
		a.unlist(st)
	}
	return st, old
}

// Left keeps the state of a client that has left, or forgets it; it does nothing where another
// connection has it by now. The client is still in its rooms. from is its network, if that is known.
func (a *States[C, M]) Left(c C, st *State[C, M], from netip.Addr, keep bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if st == nil || st.open != c {
		return
	}
	var none C
	st.open = none
	if !keep {
		delete(a.byName, st.PID[:pidName])
		return
	}
	now := time.Now()
	a.note(st, c)
	a.keep(st, from, now.Add(a.cfg.Most))
	a.expire(now)
}

// note keeps the rooms of a client, and since when it has been in each, over all of its connections
// in which it did not leave it. mu is held.
func (a *States[C, M]) note(st *State[C, M], c C) {
	before, log := st.Joined, st.Log
	seats := a.cfg.Seats(c)
	joined, epoch := a.cfg.Hub.Joined(seats.Sub, seats.Trail)
	st.Rooms, st.Members = seats.Rooms, seats.Members
	st.Joined, st.Log = make(map[string]uint64, len(st.Rooms)), epoch
	for _, room := range st.Rooms {
		n := joined[room]
		if since, was := before[room]; was && (seats.Left == nil || !seats.Left(room)) {
			if log != epoch { // another one has begun since
				since = 0
			}
			n = min(n, since)
		}
		st.Joined[room] = n
	}
}
