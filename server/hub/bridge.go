package hub

import (
	"slices"

	"poosh/server/latency"
)

// A bridge leads from one app to another. It is never changed.
type bridge struct {
	from, to string
	carry    func(*Publication) bool
}

// Bridge leads from one app to another: what is published to a room of the one also
// reaches the room of that name in the other, in the same call to Publish, if carry
// says so. A publication to everyone stays in its app, and what came over a bridge
// goes no further. A publication's Except holds in both apps.
//
// carry is handed a copy with the name of the other app in it, and makes of its Data
// and Meta what the encoders there read; App, Room and Except it must leave as they
// are, and the bytes of Data too, which are shared. It runs on the publisher's
// goroutine, several at once, and in one process alone not for rooms that nobody over there
// is in; it must neither block nor call the hub. A publication that a [Broker] brings crosses
// no bridge: whoever sent it had it cross.
func (h *Hub) Bridge(from, to string, carry func(*Publication) bool) {
	h.bridging.Lock()
	defer h.bridging.Unlock()
	var all []bridge
	if old := h.bridges.Load(); old != nil {
		all = slices.Clone(*old)
	}
	all = append(all, bridge{from, to, carry})
	h.bridges.Store(&all)
}

// cross hands p to the rooms of this process at the other ends of the bridges from its app.
func (h *Hub) cross(bridges []bridge, p *Publication, mark *latency.Mark) (took int) {
	for i := range bridges {
		b := &bridges[i]
		if b.from != p.App {
			continue
		}
		s := h.shard(b.to, p.Room)
		if !h.Keeps(b.to) && s.find(b.to, p.Room, false) == nil {
			continue
		}
		there := *p
		there.App = b.to
		if b.carry(&there) {
			took += h.deliver(s, &there, mark)
		}
	}
	return took
}

// beyond makes of p what reaches the other ends of the bridges from its app, for a [Broker]:
// whether somebody is there, other processes know.
func (h *Hub) beyond(p *Publication) (others []*Publication) {
	bridges := h.bridges.Load()
	if bridges == nil || p.Everyone {
		return nil
	}
	for i := range *bridges {
		b := &(*bridges)[i]
		if b.from != p.App {
			continue
		}
		there := *p
		there.App, there.Cached = b.to, 0
		if b.carry(&there) {
			others = append(others, &there)
		}
	}
	return others
}
