package hub

import (
	"sync"
	"sync/atomic"
)

// A room holds its subscribers' seats in groups, one for each encoder. There are as
// many rooms as clients or more: its fields stand so that it takes 96 bytes.
type room struct {
	name string // set once

	// first begins the list of groups. Publishers follow it without the lock: they
	// encode before they lock. It is changed under mu.
	first atomic.Pointer[group]
	one   group // the first there was: most rooms have no other

	roster atomic.Pointer[Roster] // nil until somebody opens the room; set under mu

	mu    sync.Mutex   // guards over, and what is said above; held while a publication is handed out
	count atomic.Int32 // seats; changed under mu
	over  bool         // nobody is in it or has it open: nobody may be seated here any more
}

// A group is the seats of a room that share an encoder.
type group struct {
	encoder Encoder // set once; nil for receivers that want no frame
	next    atomic.Pointer[group]
	seats   []taken // guarded by room.mu
}

// A seat is a subscriber's place in one room.
type seat struct {
	sub   *Subscriber // set once
	room  *room       // set before the seat is anybody's to find
	group *group      // nil when it is empty; guarded by room.mu
	index int         // in group.seats; guarded by room.mu
}

// taken is a seat with its subscriber's receiver beside it: a publication that goes
// to thousands finds them in a row.
type taken struct {
	receiver Receiver
	seat     *seat
}

func newRoom(name string) *room { return &room{name: name} }

// add seats a subscriber in the place of old, if that is taken, and delivers
// welcome to it. It reports false for a room that is over.
func (h *Hub) add(r *room, st, old *seat, welcome [][]byte) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return false
	}
	st.room = r
	r.groupFor(st.sub.encoder).take(st)
	n := r.count.Add(1)
	if old != nil && old.group != nil {
		r.empty(old)
	} else if n == 1 && h.broker != nil {
		h.broker.Occupied(st.sub.appName(), r.name, st.isEveryone())
	}
	for _, frame := range welcome {
		if !st.sub.receiver.Deliver(frame) {
			break // its connection is ending
		}
	}
	return true
}

// remove empties a seat, and forgets the room if nobody is left in it.
func (h *Hub) remove(st *seat) {
	r, app := st.room, st.sub.appName()
	r.mu.Lock()
	if st.group == nil {
		r.mu.Unlock()
		return
	}
	r.empty(st)
	if r.count.Load() == 0 && h.broker != nil {
		h.broker.Vacated(app, r.name, st.isEveryone())
	}
	over := r.end()
	r.mu.Unlock()
	if over {
		h.forget(app, r, st.isEveryone())
	}
}

// forget drops a room that is over.
func (h *Hub) forget(app string, r *room, everyone bool) {
	if everyone {
		h.shardOfEveryone(app).forget(app, r)
	} else {
		h.shard(app, r.name).forget(app, r)
	}
}

// end makes the room over, if nobody is in it or has it open, and reports whether
// it is. room.mu is held.
func (r *room) end() bool {
	roster := r.roster.Load()
	r.over = r.count.Load() == 0 && (roster == nil || roster.holders == 0)
	return r.over
}

// take gives a seat to a group. room.mu is held.
func (g *group) take(st *seat) {
	st.group, st.index = g, len(g.seats)
	g.seats = append(g.seats, taken{st.sub.receiver, st})
}

// empty takes a seat out of its group, and a group that has none left out of the
// room. room.mu is held.
func (r *room) empty(st *seat) {
	g := st.group
	last := len(g.seats) - 1
	moved := g.seats[last]
	g.seats[st.index], moved.seat.index = moved, st.index
	g.seats[last] = taken{}
	g.seats = g.seats[:last]
	st.group = nil
	r.count.Add(-1)
	switch {
	case last == 0:
		r.unlink(g)
	case cap(g.seats) > 64 && last < cap(g.seats)/4:
		// A crowd has gone: give its seats back.
		g.seats = append(make([]taken, 0, 2*last), g.seats...)
	}
}

// groupFor finds the group of an encoder or makes it. room.mu is held.
func (r *room) groupFor(e Encoder) *group {
	first := r.first.Load()
	for g := first; g != nil; g = g.next.Load() {
		if g.encoder == e {
			return g
		}
	}
	g := &r.one
	// Publishers may still read the encoder of a group that is out of the list, so
	// the one in the room is used once.
	if r.one.seats != nil {
		g = new(group)
	}
	g.encoder = e
	g.next.Store(first)
	r.first.Store(g)
	return g
}

// unlink takes a group out of the list. Who is just there finds the way from it.
// room.mu is held.
func (r *room) unlink(g *group) {
	at := &r.first
	for at.Load() != g {
		at = &at.Load().next
	}
	at.Store(g.next.Load())
	g.seats = []taken{} // not nil, which says that it was never used
}

// maxKinds is how many kinds of encoder one publication keeps on the stack.
const maxKinds = 4

// frames are a publication as the first few kinds of subscribers of a room write
// it.
type frames struct {
	of    [maxKinds]*group
	frame [maxKinds][]byte
	n     int
	at    Position // of the publication, once it has one; see [Numbered]
}

// encode makes the frames, before the room is locked.
func (f *frames) encode(r *room, p *Publication) {
	for g := r.first.Load(); g != nil && f.n < maxKinds; g = g.next.Load() {
		f.of[f.n] = g
		if g.encoder != nil {
			f.frame[f.n] = g.encoder.Encode(p)
		}
		f.n++
	}
}

// get returns the frame of a group. Only a kind that arrived since encode was called
// is encoded now.
func (f *frames) get(g *group, p *Publication) []byte {
	for i := range f.n {
		if f.of[i] == g {
			return f.frame[i]
		}
	}
	if g.encoder == nil {
		return nil
	}
	return f.numbered(g.encoder, g.encoder.Encode(p))
}

// push hands p to all subscribers as the frames that were made of it.
func (r *room) push(f *frames, p *Publication) (took, refused int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for g := r.first.Load(); g != nil; g = g.next.Load() {
		frame := f.get(g, p)
		if frame == nil && g.encoder != nil {
			continue
		}
		for _, t := range g.seats {
			if p.Except != "" && t.seat.sub.id == p.Except {
				continue
			}
			if t.receiver.Deliver(frame) {
				took++
			} else {
				refused++
			}
		}
	}
	return took, refused
}
