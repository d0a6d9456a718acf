package presencetest

import (
	"slices"
	"strings"
	"time"

	"poosh/server/hub"
	"poosh/server/presence"
)

// Enter implements [presence.Desk].
func (n *Node) Enter(entry presence.Entry, answer func(presence.Seated, error)) {
	e, at := n.engine, key{entry.App, entry.Room}
	e.mu.Lock()
	if e.away {
		e.mu.Unlock()
		answer(presence.Seated{}, presence.ErrAway)
		return
	}
	defer e.mu.Unlock()
	r := e.open(at)
	if err := r.admits(n, &entry); err != nil {
		n.put(func() { answer(presence.Seated{}, err) })
		return
	}
	l := n.rooms[at]
	newHere := l == nil
	if newHere {
		l = new(local)
		n.rooms[at] = l
	}
	l.entered++
	if entry.User != "" && entry.Only {
		e.seat(at, r, n, &entry)
	}
	s := presence.Seated{At: e.at()}
	if entry.Counted {
		s.Connections = e.count(at, r, n, l.entered, entry.Told, 0)
	}
	s.Users = len(r.members)
	if entry.Cache && r.cached != nil && time.Now().Before(r.until) {
		s.Cached = r.cached
	}
	var all []hub.Member
	if newHere && entry.User != "" {
		all = r.list()
	}
	n.put(func() {
		if all != nil {
			n.Hub.MembersAre(at.app, at.name, all)
		}
		answer(s, nil)
	})
}

// admits says whether one more may be in the room.
func (r *room) admits(n *Node, entry *presence.Entry) error {
	if most := entry.MaxConnections; most > 0 && r.total() >= most {
		return presence.ErrConnections
	}
	if most := entry.MaxMembers; most > 0 && entry.User != "" && r.members[entry.User] == nil && len(r.members) >= most {
		return presence.ErrMembers
	}
	return nil
}

func (r *room) list() []hub.Member {
	all := make([]hub.Member, 0, len(r.members))
	for _, m := range r.members {
		all = append(all, m.Member)
	}
	slices.SortFunc(all, func(a, b hub.Member) int { return strings.Compare(a.ID, b.ID) }) // so that tests know
	return all
}

// Leave implements [presence.Desk]. It works while the engine is away, as if that were told of it
// when it is back.
func (n *Node) Leave(entry presence.Entry) {
	e, at := n.engine, key{entry.App, entry.Room}
	e.mu.Lock()
	defer e.mu.Unlock()
	l, r := n.rooms[at], e.rooms[at]
	if l == nil || r == nil {
		return
	}
	if l.entered--; l.entered == 0 {
		delete(n.rooms, at)
	}
	if entry.User != "" && entry.Only {
		e.unseat(at, r, n, entry.User, entry.Told, entry.Hold)
	}
	if !entry.Counted {
		return
	}
	total := e.count(at, r, n, l.entered, entry.Told, entry.Hold)
	if hears := n.listeners[at.app]; hears != nil {
		n.put(func() { hears.Counted(at.name, total) })
	}
}

// Hear implements [presence.Desk].
func (n *Node) Hear(app string, l presence.Listener) {
	n.engine.mu.Lock()
	defer n.engine.mu.Unlock()
	if l == nil {
		delete(n.listeners, app)
		return
	}
	n.listeners[app] = l
}
