package hub

// MembersAre says who the members of a room are, in all processes together, and returns who was
// not known to be one and who is none any more. From then on the room keeps them beside the
// connections of this process, for as long as it is in use here. It does nothing for one that
// is not.
//
// It, [Hub.MemberIn] and [Hub.MemberOut] are for who knows what happens in all processes, and
// calls them for one room in the order in which it happens. They wait for no turn: who has one
// may wait for that very answer. Infos are shared, read only.
func (h *Hub) MembersAre(app, room string, all []Member) (came, went []Member) {
	h.withRoster(app, room, func(r *Roster) {
		before := r.known()
		now := &people{list: make([]member, 0, len(all)), byID: make(map[string]int, len(all))}
		for _, m := range all {
			if now.find(m.ID) != nil {
				continue
			}
			now.add(m, 0)
			if before.find(m.ID) == nil {
				came = append(came, m)
			}
		}
		for _, m := range before.all() {
			if now.find(m.ID) == nil {
				went = append(went, m)
			}
		}
		r.mirror = now
	})
	return came, went
}

// MemberIn says that a user is a member of a room now, in whatever process, and reports whether
// that is news. See [Hub.MembersAre].
func (h *Hub) MemberIn(app, room string, m Member) (news bool) {
	h.withRoster(app, room, func(r *Roster) {
		if r.mirror == nil {
			r.mirror = &people{byID: make(map[string]int)}
		}
		if news = r.mirror.find(m.ID) == nil; news {
			r.mirror.add(m, 0)
		}
	})
	return news
}

// MemberOut says that a user is no member of a room any more, in no process, and reports
// whether it was known to be one. See [Hub.MembersAre].
func (h *Hub) MemberOut(app, room, id string) (news bool) {
	h.withRoster(app, room, func(r *Roster) {
		if news = r.mirror.find(id) != nil; news {
			r.mirror.drop(id)
		}
	})
	return news
}

// withRoster calls f with the roster of a room that is in use, and the room locked.
func (h *Hub) withRoster(app, name string, f func(*Roster)) {
	r := h.shard(app, name).find(app, name, false)
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.over {
		f(h.rosterOf(app, r))
	}
}
