package poosh

import "poosh/server/hub"

// Bridgeable reports whether an event of another dialect may reach Poosh's clients
// over a [hub.Hub.Bridge]: not under a name that POST /send refuses.
func Bridgeable(p *hub.Publication) bool {
	p.Meta = "" // which says something else here
	return Deliverable(p.Event)
}
