package hub

// A Misser is a [Receiver] whose connection is closed when publications may be missing, so that
// its client knows, and asks for what it needs as it connects anew.
type Misser interface {
	// Missed closes the connection in order, in the way after which its client comes back. It
	// is called with no lock held, and must not wait.
	Missed()
}

// Missed says that those in a room, or with everyone all of an app, may have missed a
// publication, and returns how many were told. Nobody who is there now is left out. It is to be called
// from the goroutine that calls [Hub.DeliverAt] for the room, or while nobody does.
func (h *Hub) Missed(app, room string, everyone bool) (told int) {
	for _, recv := range h.receivers(app, room, everyone) {
		if m, ok := recv.(Misser); ok {
			m.Missed()
			told++
		}
	}
	return told
}

// receivers are those of a room. They are copied, for who is told leaves.
func (h *Hub) receivers(app, room string, everyone bool) (list []Receiver) {
	s := h.shard(app, room)
	if everyone {
		s = h.shardOfEveryone(app)
	}
	r := s.find(app, room, everyone)
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for g := r.first.Load(); g != nil; g = g.next.Load() {
		for _, st := range g.seats {
			list = append(list, st.receiver)
		}
	}
	return list
}
