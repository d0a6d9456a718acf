package hub

import "slices"

// A bridge joins two apps. It is never changed.
type bridge struct {
	a, b  string
	carry func(*Publication) bool
}

// Bridge joins two apps: what is published to a room of one also reaches the room
// of that name in the other, in the same call to Publish, if carry says so. A
// publication to everyone stays in its app, and what came over a bridge goes no
// further, so it cannot return. A publication's Except holds in both apps.
//
// carry runs on the publisher's goroutine for every publication to a room of the
// two, several at once; it must not block, call the hub, or change what it sees.
func (h *Hub) Bridge(a, b string, carry func(*Publication) bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []bridge
	if old := h.bridges.Load(); old != nil {
		all = slices.Clone(*old)
	}
	all = append(all, bridge{a, b, carry})
	h.bridges.Store(&all)
}

// cross hands p to the rooms at the other ends of the bridges from its app.
func (h *Hub) cross(bridges []bridge, p *Publication) (took, refused int) {
	if p.Everyone {
		return 0, 0
	}
	for i := range bridges {
		other := bridges[i].a
		switch p.App {
		case bridges[i].a:
			other = bridges[i].b
		case bridges[i].b:
		default:
			continue
		}
		if bridges[i].carry(p) {
			t, r := h.deliver(other, p)
			took, refused = took+t, refused+r
		}
	}
	return took, refused
}
