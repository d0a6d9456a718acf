package hub

import (
	"sync"
	"sync/atomic"
)

// A Presence knows who is in rooms: how many connections, and which users they
// belong to. It counts users: one with several connections in a room is one
// member. It stands beside the [Hub] and does not look into it: a dialect enters
// its connections in both, with the room's roster open around the two.
//
// # Why
//
// What a newcomer is told of a room, what the others are told of the newcomer,
// and the events that say a room is in use must all be decided at one point, or
// a member is seen twice or never. That point is the roster, not the hub's room:
// publications pass the room without waiting for it.
//
// In a cluster this is the seam: Add and Remove are where "first" and "last"
// would be decided for all nodes at once.
//
// Lock order: an open roster comes before everything else in this package.
// Presence.mu is taken for a moment only and nothing is called with it held.
type Presence struct {
	mu   sync.Mutex // guards apps, and the rosters' holders
	apps map[string]map[string]*Roster
}

// NewPresence returns a Presence that knows of nobody.
func NewPresence() *Presence {
	return &Presence{apps: make(map[string]map[string]*Roster)}
}

// A Roster is the list of who is in one room. Between [Presence.Open] and
// [Roster.Close] it belongs to one caller, so that several steps are one for
// everybody else.
type Roster struct {
	presence  *Presence // set once
	app, room string    // set once
	holders   int       // who has it open or waits for it; guarded by Presence.mu

	turn        sync.Mutex // held while open; guards what follows
	connections atomic.Int64
	members     atomic.Int64 // atomic only for who counts without opening
	byID        map[string]*member
	list        []*member // in no order
}

// A Member is a user in a room.
type Member struct {
	ID   string
	Info []byte // what Add was given for the user's first connection; shared, read only
}

type member struct {
	Member
	connections int
	index       int // in Roster.list
}

// Open waits until nobody else has the roster of a room open and returns it. The
// caller must Close it, soon, and must not open it again before that.
func (p *Presence) Open(app, room string) *Roster {
	p.mu.Lock()
	rooms := p.apps[app]
	if rooms == nil {
		rooms = make(map[string]*Roster)
		p.apps[app] = rooms
	}
	r := rooms[room]
	if r == nil {
		r = &Roster{presence: p, app: app, room: room}
		rooms[room] = r
	}
	r.holders++
	p.mu.Unlock()
	r.turn.Lock()
	return r
}

// Close gives the roster back. One that nobody is on is forgotten.
func (r *Roster) Close() {
	r.turn.Unlock()
	p := r.presence
	p.mu.Lock()
	defer p.mu.Unlock()
	r.holders--
	if r.holders > 0 || r.connections.Load() > 0 {
		return
	}
	rooms := p.apps[r.app]
	delete(rooms, r.room)
	if len(rooms) == 0 {
		delete(p.apps, r.app)
	}
}

// Add enters one connection, of a user if id is not empty. It reports whether it
// is the user's first in the room; only then info is kept.
func (r *Roster) Add(id string, info []byte) (first bool) {
	r.connections.Add(1)
	if id == "" {
		return false
	}
	if m := r.byID[id]; m != nil {
		m.connections++
		return false
	}
	if r.byID == nil {
		r.byID = make(map[string]*member)
	}
	m := &member{Member{id, info}, 1, len(r.list)}
	r.byID[id] = m
	r.list = append(r.list, m)
	r.members.Add(1)
	return true
}

// Remove takes off one connection that was added with the same id. It reports
// whether it was the user's last.
func (r *Roster) Remove(id string) (last bool) {
	r.connections.Add(-1)
	m := r.byID[id]
	if m == nil {
		return false
	}
	if m.connections--; m.connections > 0 {
		return false
	}
	end := len(r.list) - 1
	r.list[m.index], r.list[end].index = r.list[end], m.index
	r.list[end] = nil
	r.list = r.list[:end]
	delete(r.byID, id)
	r.members.Add(-1)
	return true
}

// Has reports whether a user is in the room.
func (r *Roster) Has(id string) bool { return r.byID[id] != nil }

// Connections returns how many connections are in the room.
func (r *Roster) Connections() int { return int(r.connections.Load()) }

// Len returns how many users are in the room.
func (r *Roster) Len() int { return len(r.list) }

// Members calls yield for each user in the room, in no order.
func (r *Roster) Members(yield func(Member) bool) {
	for _, m := range r.list {
		if !yield(m.Member) {
			return
		}
	}
}

// Count returns how many connections and users are in a room now.
func (p *Presence) Count(app, room string) (connections, users int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r := p.apps[app][room]; r != nil {
		return int(r.connections.Load()), int(r.members.Load())
	}
	return 0, 0
}

// Each calls fn for every room of an app that somebody is in, in no order. fn must
// not call the Presence.
func (p *Presence) Each(app string, fn func(room string, connections, users int)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, r := range p.apps[app] {
		if n := int(r.connections.Load()); n > 0 {
			fn(name, n, int(r.members.Load()))
		}
	}
}
