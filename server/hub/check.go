package hub

import (
	"errors"
	"fmt"
)

// Check looks for a room that disagrees with itself and returns what it finds of the
// first. It may be called while the hub is at work: it locks one room at a time.
func (h *Hub) Check() error {
	for i := range h.shards {
		for _, in := range h.shards[i].all() {
			if err := in.room.check(); err != nil {
				return fmt.Errorf("app %q: %w", in.app, err)
			}
		}
	}
	return nil
}

// A placed room is one with where it was found.
type placed struct {
	app, name string
	everyone  bool
	room      *room
}

// all lists the rooms that are here.
func (s *shard) all() []placed {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var list []placed
	for app, rooms := range s.rooms {
		for name, r := range rooms {
			list = append(list, placed{app, name, false, r})
		}
	}
	for app, r := range s.everyone {
		list = append(list, placed{app, app, true, r})
	}
	return list
}

// check looks at all that one room's lock guards.
func (r *room) check() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	total := 0
	kinds := make(map[Encoder]bool)
	for g := r.first.Load(); g != nil; g = g.next.Load() {
		if kinds[g.encoder] {
			return fmt.Errorf("room %q: two groups of one encoder", r.name)
		}
		kinds[g.encoder] = true
		if len(g.seats) == 0 {
			return fmt.Errorf("room %q: a group has no seats", r.name)
		}
		for i, t := range g.seats {
			st := t.seat
			if st.room != r || st.group != g || st.index != i || st.sub.receiver != t.receiver {
				return fmt.Errorf("room %q: a seat of %q is out of place", r.name, st.sub.id)
			}
		}
		total += len(g.seats)
	}
	if n := int(r.count.Load()); total != n {
		return fmt.Errorf("room %q: counts %d, seats %d", r.name, n, total)
	}
	roster := r.roster.Load()
	if r.over && (total > 0 || roster != nil && roster.holders > 0) {
		return fmt.Errorf("room %q: is over with %d seats", r.name, total)
	}
	if roster != nil && (roster.room != r || roster.holders < 0) {
		return fmt.Errorf("room %q: its roster has %d holders", r.name, roster.holders)
	}
	return nil
}

// check looks for any index that disagrees with another and returns the first
// it finds. Tests call it when no other call is under way.
func (h *Hub) check() error {
	if err := h.Check(); err != nil {
		return err
	}
	for i := range h.shards {
		s := &h.shards[i]
		for app, rooms := range s.rooms {
			if len(rooms) == 0 {
				return fmt.Errorf("app %q: is kept without a room", app)
			}
		}
		for _, in := range s.all() {
			if err := h.checkPlace(s, in); err != nil {
				return fmt.Errorf("app %q: room %q: %w", in.app, in.name, err)
			}
		}
	}
	return nil
}

// checkPlace looks whether a room is where it is found, and those in it know it.
func (h *Hub) checkPlace(s *shard, in placed) error {
	r := in.room
	switch {
	case r.name != in.name:
		return fmt.Errorf("has the name %q", r.name)
	case in.everyone && h.shardOfEveryone(in.app) != s, !in.everyone && h.shard(in.app, in.name) != s:
		return errors.New("is in the wrong shard")
	case r.over || r.count.Load() == 0:
		return errors.New("is kept with nobody in it")
	}
	for g := r.first.Load(); g != nil; g = g.next.Load() {
		for _, t := range g.seats {
			if t.seat.sub.encoder != g.encoder {
				return fmt.Errorf("subscriber %q: is among those of another encoder", t.seat.sub.id)
			}
			if err := t.seat.check(in); err != nil {
				return fmt.Errorf("subscriber %q: %w", t.seat.sub.id, err)
			}
		}
	}
	if roster := r.roster.Load(); roster != nil {
		return roster.check(in.app)
	}
	return nil
}

// check looks whether the subscriber of a taken seat knows of it.
func (st *seat) check(in placed) error {
	s := st.sub
	switch {
	case s.gone:
		return errors.New("has left the hub")
	case in.everyone != st.isEveryone():
		return errors.New("has a seat of the wrong sort")
	case s.appName() != in.app || s.all.group == nil:
		return fmt.Errorf("is in app %q", s.appName())
	case len(s.seats) > int(s.maxRooms):
		return fmt.Errorf("is in %d rooms of %d", len(s.seats), s.maxRooms)
	case s.byRoom != nil && len(s.byRoom) != len(s.seats):
		return fmt.Errorf("knows %d rooms by name, %d in all", len(s.byRoom), len(s.seats))
	case !in.everyone && s.seatIn(in.name) != st:
		return errors.New("does not know its seat")
	}
	for _, other := range s.seats {
		if other.group == nil || s.seatIn(other.room.name) != other {
			return fmt.Errorf("keeps an empty seat in %q", other.room.name)
		}
	}
	return nil
}

// check looks whether the members agree with the seats.
func (r *Roster) check(app string) error {
	if r.app != app || r.holders != 0 {
		return fmt.Errorf("is open %d times in app %q", r.holders, r.app)
	}
	connections, err := r.people.check(1)
	if err != nil {
		return err
	}
	if n := int(r.members.Load()); n != r.people.len() {
		return fmt.Errorf("%d members, %d counted", r.people.len(), n)
	}
	if n := r.Connections(); connections > n {
		return fmt.Errorf("members have %d connections of %d", connections, n)
	}
	if _, err := r.mirror.check(0); err != nil {
		return fmt.Errorf("in all processes: %w", err)
	}
	return nil
}

// check looks whether the list and the index agree, and returns how many connections there are,
// of each member at least so many.
func (p *people) check(least int) (connections int, err error) {
	if p == nil {
		return 0, nil
	}
	if len(p.list) != len(p.byID) {
		return 0, fmt.Errorf("%d members by id, %d in the list", len(p.byID), len(p.list))
	}
	for i, m := range p.list {
		if at, ok := p.byID[m.ID]; !ok || at != i || m.connections < least {
			return 0, fmt.Errorf("member %q is out of place", m.ID)
		}
		connections += m.connections
	}
	return connections, nil
}
