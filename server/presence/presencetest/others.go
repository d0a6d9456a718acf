package presencetest

import (
	"context"
	"iter"
	"slices"
	"strings"
	"time"

	"poosh/server/hub"
	"poosh/server/presence"
)

type holder struct {
	node *Node
	*presence.Claim
}

type bar struct {
	before int64
	until  time.Time
}

func (b *bar) holds(made int64) bool {
	return time.Now().Before(b.until) && (b.before == 0 || made <= b.before)
}

// Claim implements [presence.Holder].
func (n *Node) Claim(c *presence.Claim, answer func(error)) {
	e, at := n.engine, key{c.App, c.ID}
	e.mu.Lock()
	if e.away {
		e.mu.Unlock()
		answer(presence.ErrAway)
		return
	}
	defer e.mu.Unlock()
	if b := e.bars[at]; b != nil && b.holds(c.Made) {
		n.put(func() { answer(presence.ErrBarred) })
		return
	}
	if old := e.held[at]; old != nil {
		old.node.put(func() { old.Lost(presence.Taken) })
	}
	e.held[at] = &holder{n, c}
	n.put(func() { answer(nil) })
}

// Release implements [presence.Holder].
func (n *Node) Release(c *presence.Claim) {
	n.engine.mu.Lock()
	defer n.engine.mu.Unlock()
	if h := n.engine.held[key{c.App, c.ID}]; h != nil && h.Claim == c {
		delete(n.engine.held, key{c.App, c.ID})
	}
}

// Changed implements [presence.Holder].
func (n *Node) Changed(f func()) {
	n.engine.mu.Lock()
	defer n.engine.mu.Unlock()
	n.moved = append(n.moved, f)
}

// Held implements [presence.Holder].
func (n *Node) Held(ctx context.Context, app string, ids []string) ([]bool, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	n.engine.mu.Lock()
	defer n.engine.mu.Unlock()
	if n.engine.away {
		return nil, presence.ErrAway
	}
	there := make([]bool, len(ids))
	for i, id := range ids {
		there[i] = n.engine.held[key{app, id}] != nil
	}
	return there, nil
}

// Bar implements [presence.Holder].
func (n *Node) Bar(app string, ids []string, before int64, wait time.Duration, done func(map[string]int64, error)) {
	e := n.engine
	e.mu.Lock()
	if e.away {
		e.mu.Unlock()
		done(nil, presence.ErrAway)
		return
	}
	defer e.mu.Unlock()
	had := make(map[string]int64)
	for _, id := range ids {
		at := key{app, id}
		e.bars[at] = &bar{before, time.Now().Add(wait)}
		if h := e.held[at]; h != nil && e.bars[at].holds(h.Made) {
			delete(e.held, at)
			had[id] = h.Made
			h.node.put(func() { h.Lost(presence.Barred) })
		}
	}
	n.put(func() { done(had, nil) })
}

// look asks the engine.
func (n *Node) look(ctx context.Context, app, name string, f func(*room)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	n.engine.mu.Lock()
	defer n.engine.mu.Unlock()
	if n.engine.away {
		return presence.ErrAway
	}
	if r := n.engine.rooms[key{app, name}]; r != nil {
		f(r)
	}
	return nil
}

// Count implements [presence.Census].
func (n *Node) Count(ctx context.Context, app, name string) (connections, users int, err error) {
	err = n.look(ctx, app, name, func(r *room) { connections, users = r.total(), len(r.members) })
	return connections, users, err
}

// Members implements [presence.Census].
func (n *Node) Members(ctx context.Context, app, name string) (all []hub.Member, err error) {
	err = n.look(ctx, app, name, func(r *room) { all = r.list() })
	return all, err
}

// Rooms implements [presence.Census].
func (n *Node) Rooms(ctx context.Context, app, prefix string) iter.Seq2[hub.RoomCount, error] {
	return func(yield func(hub.RoomCount, error) bool) {
		n.engine.mu.Lock()
		away := n.engine.away
		var all []hub.RoomCount
		for at, r := range n.engine.rooms {
			if total := r.total(); at.app == app && strings.HasPrefix(at.name, prefix) && total > 0 {
				all = append(all, hub.RoomCount{Room: at.name, Connections: total, Users: len(r.members)})
			}
		}
		n.engine.mu.Unlock()
		if away {
			yield(hub.RoomCount{}, presence.ErrAway)
			return
		}
		slices.SortFunc(all, func(a, b hub.RoomCount) int { return strings.Compare(a.Room, b.Room) })
		for _, c := range all {
			if !yield(c, nil) {
				return
			}
		}
	}
}

// Cached implements [presence.Census].
func (n *Node) Cached(ctx context.Context, app, name string) (data []byte, left time.Duration, ok bool, err error) {
	err = n.look(ctx, app, name, func(r *room) {
		if left = time.Until(r.until); r.cached != nil && left > 0 {
			data, ok = r.cached.Data, true
		}
	})
	if !ok {
		left = 0
	}
	return data, left, ok, err
}

// Tell implements [presence.Bus].
func (n *Node) Tell(kind byte, body []byte) {
	e, from := n.engine, n.Name
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.away {
		e.each(func(n *Node) { n.handle(kind, from, body) })
	}
}

// handle has the node told, and returns what it answers; not ok where it knows no such kind.
func (n *Node) handle(kind byte, from string, body []byte) (answer []byte, ok bool) {
	n.engine.mu.Lock()
	f := n.handlers[kind]
	n.engine.mu.Unlock()
	if f == nil {
		return nil, false
	}
	return f(from, body), true
}

// Ask implements [presence.Bus].
func (n *Node) Ask(ctx context.Context, kind byte, body []byte) (answers map[string][]byte, silent []string) {
	type answer struct {
		from string
		body []byte
	}
	e, from := n.engine, n.Name
	e.mu.Lock()
	got := make(chan answer, len(e.nodes))
	for _, other := range e.nodes {
		silent = append(silent, other.Name)
	}
	if e.away {
		e.mu.Unlock()
		return nil, silent
	}
	e.each(func(n *Node) {
		if b, ok := n.handle(kind, from, body); ok {
			got <- answer{n.Name, b}
		}
	})
	e.mu.Unlock()
	answers = make(map[string][]byte)
	for len(silent) > 0 {
		select {
		case a := <-got:
			answers[a.from] = a.body
			silent = slices.DeleteFunc(silent, func(name string) bool { return name == a.from })
		case <-ctx.Done():
			return answers, silent
		}
	}
	return answers, silent
}

// Handle implements [presence.Bus].
func (n *Node) Handle(kind byte, answer func(from string, body []byte) []byte) {
	n.engine.mu.Lock()
	defer n.engine.mu.Unlock()
	n.handlers[kind] = answer
}
