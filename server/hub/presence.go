package hub

import (
	"hash/maphash"
	"iter"
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
// The rosters are spread over shelves with a lock each, so that who looks at all
// rooms of an app holds up nobody for long: at a hundred thousand rooms, those who
// enter one of two thousand, while these are copied.
//
// Lock order: an open roster comes before everything else in this package. A
// shelf.mu is taken for a moment only and nothing is called with it held.
type Presence struct {
	seed    maphash.Seed // set once
	shelves [shelves]shelf
}

// shelves is how many there are.
const shelves = 64

// A shelf holds the rosters of some of the rooms.
type shelf struct {
	mu   sync.Mutex // guards apps, and the rosters' holders
	apps map[string]map[string]*Roster
}

// NewPresence returns a Presence that knows of nobody.
func NewPresence() *Presence {
	p := &Presence{seed: maphash.MakeSeed()}
	for i := range p.shelves {
		p.shelves[i].apps = make(map[string]map[string]*Roster)
	}
	return p
}

// shelf is where the roster of a room is.
func (p *Presence) shelf(room string) *shelf {
	return &p.shelves[maphash.String(p.seed, room)%shelves]
}

// A Roster is the list of who is in one room. Between [Presence.Open] and
// [Roster.Close] it belongs to one caller, so that several steps are one for
// everybody else.
type Roster struct {
	shelf     *shelf // set once
	app, room string // set once
	holders   int    // who has it open or waits for it; guarded by shelf.mu

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
	s := p.shelf(room)
	s.mu.Lock()
	rooms := s.apps[app]
	if rooms == nil {
		rooms = make(map[string]*Roster)
		s.apps[app] = rooms
	}
	r := rooms[room]
	if r == nil {
		r = &Roster{shelf: s, app: app, room: room}
		rooms[room] = r
	}
	r.holders++
	s.mu.Unlock()
	r.turn.Lock()
	return r
}

// Close gives the roster back. One that nobody is on is forgotten.
func (r *Roster) Close() {
	r.turn.Unlock()
	s := r.shelf
	s.mu.Lock()
	defer s.mu.Unlock()
	r.holders--
	if r.holders > 0 || r.connections.Load() > 0 {
		return
	}
	rooms := s.apps[r.app]
	delete(rooms, r.room)
	if len(rooms) == 0 {
		delete(s.apps, r.app)
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
	s := p.shelf(room)
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.apps[app][room]; r != nil {
		return int(r.connections.Load()), int(r.members.Load())
	}
	return 0, 0
}

// A RoomCount says how many connections and users were in a room.
type RoomCount struct {
	Room               string
	Connections, Users int
}

// Rooms yields every room of an app that somebody is in, in no order and each once.
// No lock is held meanwhile, so who ranges over them may take its time and call the
// Presence. A room that is entered or left meanwhile may be yielded or not.
func (p *Presence) Rooms(app string) iter.Seq[RoomCount] {
	return func(yield func(RoomCount) bool) {
		var some []RoomCount
		for i := range p.shelves {
			some = p.shelves[i].rooms(app, some[:0])
			for _, c := range some {
				if !yield(c) {
					return
				}
			}
		}
	}
}

// rooms appends the rooms on the shelf to some.
func (s *shelf) rooms(app string, some []RoomCount) []RoomCount {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, r := range s.apps[app] {
		if n := int(r.connections.Load()); n > 0 {
			some = append(some, RoomCount{name, n, int(r.members.Load())})
		}
	}
	return some
}
