package hub

import "fmt"

// Check looks for a room that disagrees with itself and returns what it finds of the
// first. It may be called while the hub is at work, from any goroutine: it locks one
// room at a time.
func (h *Hub) Check() error {
	for _, r := range h.all() {
		if err := r.check(); err != nil {
			return err
		}
	}
	return nil
}

// all lists the rooms that are here.
func (h *Hub) all() []*room {
	h.mu.RLock()
	defer h.mu.RUnlock()
	var list []*room
	for _, a := range h.apps {
		list = append(list, a.everyone)
		for _, r := range a.rooms {
			list = append(list, r)
		}
	}
	return list
}

// check looks for an index that disagrees with another and returns the first
// it finds. Tests call it when no other call is under way.
func (h *Hub) check() error {
	h.mu.RLock()
	defer h.mu.RUnlock()
	for appName, a := range h.apps {
		if len(a.ids) == 0 {
			return fmt.Errorf("app %q is kept with nobody in it", appName)
		}
		if n := a.everyone.len(); n < len(a.ids) {
			return fmt.Errorf("app %q: %d subscribers by id, %d in everyone", appName, len(a.ids), n)
		}
		for name, r := range a.rooms {
			if r.name != name || r.len() == 0 {
				return fmt.Errorf("app %q: room %q is kept under %q with %d seats", appName, r.name, name, r.len())
			}
			if err := r.check(); err != nil {
				return fmt.Errorf("app %q: %w", appName, err)
			}
		}
		if err := a.everyone.check(); err != nil {
			return fmt.Errorf("app %q: everyone: %w", appName, err)
		}
	}
	return nil
}

func (r *room) check() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	total := 0
	if len(*r.encoders.Load()) != len(r.groups) {
		return fmt.Errorf("room %q: %d encoders for %d groups", r.name, len(*r.encoders.Load()), len(r.groups))
	}
	for i, g := range r.groups {
		if (*r.encoders.Load())[i] != g.encoder || len(g.seats) == 0 {
			return fmt.Errorf("room %q: group %d is stale", r.name, i)
		}
		for j, t := range g.seats {
			st := t.seat
			if st.room != r || st.group != g || st.index != j {
				return fmt.Errorf("room %q: seat %d of group %d is out of place", r.name, j, i)
			}
		}
		total += len(g.seats)
	}
	if total != r.count {
		return fmt.Errorf("room %q: counts %d, seats %d", r.name, r.count, total)
	}
	return nil
}
