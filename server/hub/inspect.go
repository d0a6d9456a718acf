package hub

import "iter"

// What follows is for who looks into a hub that is at work. Nothing of it holds a lock for
// longer than a moment, however many rooms and subscribers there are: what comes and goes
// meanwhile is seen or not.

// Receiver returns the connection that the subscriber was registered with.
func (s *Subscriber) Receiver() Receiver { return s.receiver }

// SomeRooms returns up to n names of the joined rooms, in no order, and how many there are.
func (s *Subscriber) SomeRooms(n int) (names []string, all int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	names = make([]string, 0, min(n, len(s.seats)))
	for _, st := range s.seats[:min(n, len(s.seats))] {
		names = append(names, st.room.name)
	}
	return names, len(s.seats)
}

// Seated returns up to n of those who are in a room, and the room's count of connections
// and users.
func (h *Hub) Seated(app, name string, n int) (some []*Subscriber, of RoomCount) {
	r := h.shard(app, name).find(app, name, false)
	if r == nil {
		return nil, RoomCount{Room: name}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	of = r.counts()
	some = make([]*Subscriber, 0, min(n, of.Connections))
	for g := r.first.Load(); g != nil; g = g.next.Load() {
		for _, t := range g.seats {
			if len(some) == n {
				return some, of
			}
			some = append(some, t.seat.sub)
		}
	}
	return some, of
}

// lookedThrough is how many of a room are looked through for one of them.
const lookedThrough = 1024

// Find returns the subscriber of an id who is in the room of that name; nil if there is
// none. Of a room with a thousand others it looks at the first thousand.
func (h *Hub) Find(app, id string) *Subscriber {
	r := h.shard(app, id).find(app, id, false)
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	left := lookedThrough
	for g := r.first.Load(); g != nil && left > 0; g = g.next.Load() {
		for _, t := range g.seats[:min(left, len(g.seats))] {
			if t.seat.sub.id == id {
				return t.seat.sub
			}
		}
		left -= len(g.seats)
	}
	return nil
}

// crowdStep is how many seats are copied at once, with the room locked.
const crowdStep = 256

// Subscribers yields the subscribers of an app, in no order. Who comes or goes meanwhile
// may be yielded or not, and who another one leaves before him may be missed. No lock is
// held while one is yielded, and never for more than [crowdStep] of them.
func (h *Hub) Subscribers(app string) iter.Seq[*Subscriber] {
	return func(yield func(*Subscriber) bool) {
		r := h.shardOfEveryone(app).find(app, "", true)
		if r == nil {
			return
		}
		some := make([]*Subscriber, 0, crowdStep)
		for g := r.first.Load(); g != nil; g = g.next.Load() {
			for at := 0; ; at += crowdStep {
				if some = r.some(g, at, some[:0]); len(some) == 0 {
					break
				}
				for _, s := range some {
					if !yield(s) {
						return
					}
				}
			}
		}
	}
}

// some appends the next of a group from a place on.
func (r *room) some(g *group, at int, to []*Subscriber) []*Subscriber {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := at; i < min(at+crowdStep, len(g.seats)); i++ {
		to = append(to, g.seats[i].seat.sub)
	}
	return to
}

// A SeenRoom is a room that is looked at.
type SeenRoom struct{ room *room }

// Name is the room's name.
func (s SeenRoom) Name() string { return s.room.name }

// Count is how many are in the room now.
func (s SeenRoom) Count() RoomCount { return s.room.counts() }

// IsOwn reports whether the room is a client's own: that client alone is in it, and the
// room is named by its id.
func (s SeenRoom) IsOwn() bool {
	r := s.room
	if r.count.Load() != 1 {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for g := r.first.Load(); g != nil; g = g.next.Load() {
		for _, t := range g.seats {
			return t.seat.sub.id == r.name
		}
	}
	return false
}

// Look calls yield for the rooms of an app that somebody is in, in no order, until that
// returns false. No lock is held meanwhile. Of each of the 64 parts of the hub it looks at
// most rooms: a part's lock is held for about a millisecond for ten thousand. It reports
// whether these were all there are.
func (h *Hub) Look(app string, most int, yield func(SeenRoom) bool) (whole bool) {
	whole = true
	var some []*room
	for i := range h.shards {
		var all bool
		some, all = h.shards[i].listUpTo(app, most, some[:0])
		whole = whole && all
		for _, r := range some {
			if r.count.Load() > 0 && !yield(SeenRoom{r}) {
				return whole
			}
		}
	}
	return whole
}

// listUpTo appends up to n rooms of an app that are here to some, and reports whether
// these are all.
func (s *shard) listUpTo(app string, n int, some []*room) ([]*room, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, r := range s.rooms[app] {
		if len(some) == n {
			return some, false
		}
		some = append(some, r)
	}
	return some, true
}
