package hub

import (
	"iter"
	"sync/atomic"

	"poosh/server/command"
)

// A Roster is a room in the hands of one caller. Between [Hub.TryOpen], or [Hub.Queue],
// and [Roster.Close] it is that caller's turn, so that several steps are one for
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
// Nobody waits for a turn: who does not get it leaves behind what is to be done, so
// that the goroutines that read for everybody go on, and so that a turn may be kept
// until somebody far away has answered.
//
// Who enters and leaves a room with members does so by its roster alone: by
// [Hub.Leave] and [Hub.Unregister] a member stays behind.
//
// # In several processes
//
// Join and Leave say first and last of this process: what is asked elsewhere, and what of, is
// the caller's. The members in all processes are what somebody who knows tells the hub, see
// [Hub.MembersAre]: a mirror, which Has, Len and Members look into from then on.
type Roster struct {
	hub     *Hub         // set once
	app     string       // set once
	room    *room        // set once
	holders int32        // who has it open or waits for it; guarded by room.mu
	members atomic.Int32 // how many, for who counts without opening

	turn   command.Turn // taken while open; guards what follows
	people *people      // nil as long as there was no member; changed with room.mu held too

	mirror *people // the members in all processes; nil where nobody tells of them; guarded by room.mu
}

// A Member is a user in a room.
type Member struct {
	ID   string
	Info []byte // what Join was given for the user's first connection; shared, read only
}

// people are the members of a room.
type people struct {
	list []member       // in no order, but that who comes is the last
	byID map[string]int // where in list
}

type member struct {
	Member
	connections int
}

// find returns a member, or nil. It is good until somebody comes or goes.
func (p *people) find(id string) *member {
	if p == nil {
		return nil
	}
	i, ok := p.byID[id]
	if !ok {
		return nil
	}
	return &p.list[i]
}

func (p *people) len() int {
	if p == nil {
		return 0
	}
	return len(p.list)
}

// all returns a copy; nil for nobody.
func (p *people) all() []Member {
	if p.len() == 0 {
		return nil
	}
	all := make([]Member, 0, len(p.list))
	for i := range p.list {
		all = append(all, p.list[i].Member)
	}
	return all
}

// add puts a member on the list, who is not on it, with so many connections.
func (p *people) add(who Member, connections int) {
	p.byID[who.ID] = len(p.list)
	p.list = append(p.list, member{who, connections})
}

// drop takes a member off the list, who is on it.
func (p *people) drop(id string) {
	i, end := p.byID[id], len(p.list)-1
	p.list[i] = p.list[end]
	p.byID[p.list[i].ID] = i
	p.list[end] = member{}
	p.list = p.list[:end]
	delete(p.byID, id)
}

// TryOpen returns a room if nobody else has it open or waits for it, and nil otherwise.
// The caller must Close it, and must not open it again before that. It may join and
// leave the room and publish to it meanwhile. A room that nobody is in can be opened
// too.
func (h *Hub) TryOpen(app, name string) *Roster {
	r := h.find(app, name)
	if !r.turn.Try() {
		r.release()
		return nil
	}
	return r
}

// Queue has step called with a room open, behind those who wait for it already, on a
// goroutine that ends with them. step, or what it sets going, must Close the room, on
// whatever goroutine; a panic in it ends the program. The room has no bound of its own
// on who waits: leave one step behind and wait for it before the next.
func (h *Hub) Queue(app, name string, step func(*Roster)) {
	r := h.find(app, name)
	r.turn.Queue(func() { step(r) })
}

// Open is [Hub.TryOpen] for a goroutine that may block: it waits until nobody else has
// the room.
func (h *Hub) Open(app, name string) *Roster {
	r := h.find(app, name)
	r.turn.Wait()
	return r
}

// find returns a room's roster, which is kept from being over until release.
func (h *Hub) find(app, name string) *Roster {
	for at := h.shard(app, name); ; {
		r := at.open(app, name)
		if roster := h.hold(app, r); roster != nil {
			return roster
		}
		at.forget(app, r) // its last subscriber left in between
	}
}

// hold keeps a room from being over until release, and returns its roster; nil for one
// that is over.
func (h *Hub) hold(app string, r *room) *Roster {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return nil
	}
	roster := h.rosterOf(app, r)
	roster.holders++
	return roster
}

// rosterOf returns a room's roster. room.mu is held.
func (h *Hub) rosterOf(app string, r *room) *Roster {
	roster := r.roster.Load()
	if roster == nil {
		roster = &Roster{hub: h, app: app, room: r}
		r.roster.Store(roster)
	}
	return roster
}

// Close ends the turn. A room that nobody is in is forgotten. It may be called from any
// goroutine.
func (r *Roster) Close() {
	r.turn.Pass()
	r.release()
}

// release ends what hold began.
func (r *Roster) release() {
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
	return r.count(who), nil
}

// Adopt has a subscriber be one connection of a user that is in the room as nobody, since it
// came there by [Hub.Return]. It reports whether that is the user's first in the room, and
// with an error that the subscriber is not there. Who is there as a user must not be adopted.
func (r *Roster) Adopt(s *Subscriber, who Member) (first bool, err error) {
	if !s.In(r.room.name) {
		return false, ErrNotIn
	}
	return r.count(who), nil
}

// count counts one connection more of a user, and reports whether it is the first.
func (r *Roster) count(who Member) (first bool) {
	if m := r.people.find(who.ID); m != nil {
		m.connections++
		return false
	}
	r.room.mu.Lock()
	defer r.room.mu.Unlock()
	if r.people == nil {
		r.people = &people{byID: make(map[string]int)}
	}
	r.people.add(who, 1)
	r.members.Add(1)
	return true
}

// Leave is [Hub.Leave] for a connection that joined as the user id, or as nobody. It
// also reports whether that was the user's last in the room.
func (r *Roster) Leave(s *Subscriber, id string) (was, last bool) {
	if !r.hub.Leave(s, r.room.name) {
		return false, false
	}
	m := r.people.find(id)
	if m == nil {
		return true, false
	}
	if m.connections--; m.connections > 0 {
		return true, false
	}
	r.room.mu.Lock()
	defer r.room.mu.Unlock()
	r.people.drop(id)
	r.members.Add(-1)
	return true, true
}

// Here reports whether a connection of a user is in the room, in this process.
func (r *Roster) Here(id string) bool { return r.people.find(id) != nil }

// Has reports whether a user is in the room, in whatever process.
func (r *Roster) Has(id string) bool {
	if r.hub.broker == nil {
		return r.Here(id)
	}
	r.room.mu.Lock()
	defer r.room.mu.Unlock()
	return r.known().find(id) != nil
}

// known are the members as far as this process knows. room.mu is held, or the turn is the
// caller's and there is no broker.
func (r *Roster) known() *people {
	if r.mirror != nil {
		return r.mirror
	}
	return r.people
}

// Connections returns how many connections are in the room, in this process.
func (r *Roster) Connections() int { return int(r.room.count.Load()) }

// Len returns how many users are in the room, in whatever process.
func (r *Roster) Len() int {
	if r.hub.broker == nil {
		return int(r.members.Load())
	}
	r.room.mu.Lock()
	defer r.room.mu.Unlock()
	return r.known().len()
}

// Members calls yield for each user in the room, in whatever process and in no order.
func (r *Roster) Members(yield func(Member) bool) {
	if r.hub.broker != nil { // they may come and go whoever has the turn
		for _, m := range r.hub.Members(r.app, r.room.name) {
			if !yield(m) {
				return
			}
		}
		return
	}
	if r.people == nil {
		return
	}
	for i := range r.people.list {
		if !yield(r.people.list[i].Member) {
			return
		}
	}
}

// Members returns who is in a room now, in whatever process and in no order: a copy, for which
// nobody's turn is waited for. Of a room that is in use in other processes alone it knows
// nothing.
func (h *Hub) Members(app, name string) []Member {
	r := h.shard(app, name).find(app, name, false)
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	roster := r.roster.Load()
	if roster == nil {
		return nil
	}
	return roster.known().all()
}

// A RoomCount says how many connections and users were in a room, in this process.
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

// Count returns how many connections and users are in a room now, in this process.
func (h *Hub) Count(app, name string) (connections, users int) {
	r := h.shard(app, name).find(app, name, false)
	if r == nil {
		return 0, 0
	}
	c := r.counts()
	return c.Connections, c.Users
}

// CountRooms returns how many rooms of an app there are: those that somebody is in, and
// those that somebody has open or leaves at the moment. It goes through no room.
func (h *Hub) CountRooms(app string) (n int) {
	for i := range h.shards {
		n += h.shards[i].len(app)
	}
	return n
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
