package hub

import (
	"iter"
	"sync"
	"sync/atomic"
)

// A Roster is a room in the hands of one caller. Between [Hub.Open] and
// [Roster.Close] it is that caller's turn, so that several steps are one for
// everybody else who opens the room. It also knows the room's members: the users to
// whom its connections belong. One with several connections in a room is one member.
//
// # Why
//
// What a newcomer is told of a room, what the others are told of the newcomer,
// and the events that say a room is in use must all be decided at one point, or
// a member is seen twice or never. Publications pass the room without waiting for
// that. A room that nobody opened has no roster and pays for none.
//
// Who enters and leaves a room with members does so by its roster alone: by
// [Hub.Leave] and [Hub.Unregister] a member stays behind.
type Roster struct {
	hub     *Hub         // set once
	app     string       // set once
	room    *room        // set once
	holders int32        // who has it open or waits for it; guarded by room.mu
	members atomic.Int32 // len(list), for who counts without opening

	turn sync.Mutex         // held while open; guards what follows
	byID map[string]*member // nil as long as there was no member
	list []*member          // in no order
}

// A Member is a user in a room.
type Member struct {
	ID   string
	Info []byte // what Join was given for the user's first connection; shared, read only
}

type member struct {
	Member
	connections int
	index       int // in Roster.list
}

// Open waits until nobody else has a room open and returns it. The caller must
// Close it, soon, and must not open it again before that. It may join and leave the
// room and publish to it meanwhile. A room that nobody is in can be opened too.
func (h *Hub) Open(app, name string) *Roster {
	for at := h.shard(app, name); ; {
		r := at.open(app, name)
		if roster := h.hold(app, r); roster != nil {
			roster.turn.Lock()
			return roster
		}
		at.forget(app, r) // its last subscriber left in between
	}
}

// hold keeps a room from being over until Close, and returns its roster; nil for one
// that is over.
func (h *Hub) hold(app string, r *room) *Roster {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return nil
	}
	roster := r.roster.Load()
	if roster == nil {
		roster = &Roster{hub: h, app: app, room: r}
		r.roster.Store(roster)
	}
	roster.holders++
	return roster
}

// Close ends the turn. A room that nobody is in is forgotten.
func (r *Roster) Close() {
	r.turn.Unlock()
	r.room.mu.Lock()
	r.holders--
	over := r.room.end()
	r.room.mu.Unlock()
	if over {
		r.hub.forget(r.app, r.room, false)
	}
}

// Join is [Hub.Join] for one connection of a user, or of nobody if who.ID is empty.
// It reports whether it is the user's first in the room; only then who.Info is kept.
// The subscriber must be one of the room's app.
func (r *Roster) Join(s *Subscriber, who Member, welcome ...[]byte) (first bool, err error) {
	joined, err := r.hub.join(s, r.room.name, r.room, nil, welcome)
	if !joined || who.ID == "" {
		return false, err
	}
	if m := r.byID[who.ID]; m != nil {
		m.connections++
		return false, nil
	}
	if r.byID == nil {
		r.byID = make(map[string]*member)
	}
	m := &member{who, 1, len(r.list)}
	r.byID[who.ID] = m
	r.list = append(r.list, m)
	r.members.Add(1)
	return true, nil
}

// Leave is [Hub.Leave] for a connection that joined as the user id, or as nobody. It
// also reports whether that was the user's last in the room.
func (r *Roster) Leave(s *Subscriber, id string) (was, last bool) {
	if !r.hub.Leave(s, r.room.name) {
		return false, false
	}
	m := r.byID[id]
	if m == nil {
		return true, false
	}
	if m.connections--; m.connections > 0 {
		return true, false
	}
	end := len(r.list) - 1
	r.list[m.index], r.list[end].index = r.list[end], m.index
	r.list[end] = nil
	r.list = r.list[:end]
	delete(r.byID, id)
	r.members.Add(-1)
	return true, true
}

// Has reports whether a user is in the room.
func (r *Roster) Has(id string) bool { return r.byID[id] != nil }

// Connections returns how many connections are in the room.
func (r *Roster) Connections() int { return int(r.room.count.Load()) }

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

// A RoomCount says how many connections and users were in a room.
type RoomCount struct {
	Room               string
	Connections, Users int
}

func (r *room) counts() RoomCount {
	c := RoomCount{Room: r.name, Connections: int(r.count.Load())}
	if roster := r.roster.Load(); roster != nil {
		c.Users = int(roster.members.Load())
	}
	return c
}

// Count returns how many connections and users are in a room now.
func (h *Hub) Count(app, name string) (connections, users int) {
	r := h.shard(app, name).find(app, name, false)
	if r == nil {
		return 0, 0
	}
	c := r.counts()
	return c.Connections, c.Users
}

// Rooms yields every room of an app that somebody is in, in no order and each once.
// No lock is held meanwhile, so who ranges over them may take its time and call the
// hub. A room that is entered or left meanwhile may be yielded or not.
func (h *Hub) Rooms(app string) iter.Seq[RoomCount] {
	return func(yield func(RoomCount) bool) {
		var some []*room
		for i := range h.shards {
			some = h.shards[i].list(app, some[:0])
			for _, r := range some {
				if c := r.counts(); c.Connections > 0 && !yield(c) {
					return
				}
			}
		}
	}
}
