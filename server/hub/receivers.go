package hub

// Receivers returns the connections that are in a room at this moment: each once, in no
// order.
func (h *Hub) Receivers(app, name string) []Receiver {
	r := h.shard(app, name).find(app, name, false)
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]Receiver, 0, r.count.Load())
	for g := r.first.Load(); g != nil; g = g.next.Load() {
		for _, t := range g.seats {
			list = append(list, t.receiver)
		}
	}
	return list
}
