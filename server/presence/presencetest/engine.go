// Package presencetest joins processes in memory, for tests of what asks package presence: an
// [Engine] is in the place of what joins them, and each [Node] in that of one process. Beside
// that it has the cases that any such engine has to pass, see [RunDesk].
package presencetest

import (
	"sync"
	"time"

	"poosh/server/hub"
	"poosh/server/presence"
)

// An Engine joins nodes. Everything that it decides has one order, in which all nodes hear of it,
// each on a goroutine of its own. Make one with [New]; it ends with [Engine.Close].
type Engine struct {
	mu      sync.Mutex // guards what follows, and is held while anything is decided and told
	nodes   []*Node
	away    bool
	number  uint64
	rooms   map[key]*room
	told    map[presenceKey]bool // what the applications were told
	due     []*time.Timer
	held    map[key]*holder
	bars    map[key]*bar
	sources []*source
	ended   sync.WaitGroup // the nodes' goroutines
}

type key struct{ app, name string }

type presenceKey struct {
	key
	user string
}

// A room is what the engine has of one.
type room struct {
	connections map[*Node]int
	members     map[string]*member
	cached      *hub.Publication
	until       time.Time
}

type member struct {
	hub.Member
	nodes map[*Node]bool
}

func (r *room) total() (n int) {
	for _, m := range r.connections {
		n += m
	}
	return n
}

// New returns an engine without nodes.
func New() *Engine {
	return &Engine{rooms: make(map[key]*room), told: make(map[presenceKey]bool), held: make(map[key]*holder), bars: make(map[key]*bar)}
}

// Node returns a further process, with a hub of its own. log may be nil.
func (e *Engine) Node(name string, log hub.Log) *Node {
	n := &Node{Name: name, engine: e, rooms: make(map[key]*local), listeners: make(map[string]presence.Listener),
		handlers: make(map[byte]func(string, []byte) []byte)}
	n.wake.L = &n.mu
	n.Hub = hub.NewWith(n, log)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.nodes = append(e.nodes, n)
	e.ended.Go(n.work)
	return n
}

// Away has the engine not be there, until it is called with false: nothing is lost, since nothing
// was taken over.
func (e *Engine) Away(yes bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.away = yes
}

// Close ends the goroutines, once they have done what there is.
func (e *Engine) Close() {
	e.mu.Lock()
	for _, t := range e.due {
		t.Stop()
	}
	for _, n := range e.nodes {
		n.end()
	}
	e.mu.Unlock()
	e.ended.Wait()
}

// Kill has a node be gone from one moment to the next: what it had is given up, as it is when a
// lease is over. Its hub hears nothing any more.
func (e *Engine) Kill(n *Node) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n.end()
	for i, other := range e.nodes {
		if other == n {
			e.nodes = append(e.nodes[:i:i], e.nodes[i+1:]...)
			break
		}
	}
	for at, r := range e.rooms {
		for id, m := range r.members {
			if m.nodes[n] {
				e.unseat(at, r, n, id, true, 0)
			}
		}
		if r.connections[n] > 0 {
			e.count(at, r, n, 0, true, 0)
		}
	}
	for at, h := range e.held {
		if h.node == n {
			delete(e.held, at)
		}
	}
	for _, other := range e.nodes {
		for _, f := range other.moved {
			other.put(f)
		}
	}
}

// Quiet waits until all nodes have done what has been decided up to now.
func (e *Engine) Quiet() {
	e.mu.Lock()
	var wait sync.WaitGroup
	for _, n := range e.nodes {
		wait.Add(1)
		n.put(wait.Done)
	}
	e.mu.Unlock()
	wait.Wait()
}

// each has every node do something, in the order of what is decided. mu is held.
func (e *Engine) each(f func(n *Node)) {
	for _, n := range e.nodes {
		n.put(func() { f(n) })
	}
}

// epoch is that of an engine's order.
const epoch = 0x2bad5eed

// at is the place in the order. mu is held.
func (e *Engine) at() hub.Position { return hub.Position{Epoch: epoch, Number: e.number} }

// open finds a room or makes it. mu is held.
func (e *Engine) open(at key) *room {
	r := e.rooms[at]
	if r == nil {
		r = &room{connections: make(map[*Node]int), members: make(map[string]*member)}
		e.rooms[at] = r
	}
	return r
}

// publish takes a publication over, and returns whether it did. mu is held.
func (e *Engine) publish(p *hub.Publication, deliver func(*Node, hub.Position)) bool {
	if e.away {
		return false
	}
	e.number++
	at := e.at()
	if p.Cached > 0 {
		r := e.open(key{p.App, p.Room})
		r.cached, r.until = p, time.Now().Add(time.Duration(p.Cached)*time.Second)
	}
	e.each(func(n *Node) { deliver(n, at) })
	return true
}

// seat makes a user of a node a member. mu is held.
func (e *Engine) seat(at key, r *room, n *Node, entry *presence.Entry) {
	m := r.members[entry.User]
	if m == nil {
		m = &member{hub.Member{ID: entry.User, Info: entry.Info}, make(map[*Node]bool)}
		r.members[entry.User] = m
		socket := entry.Socket
		e.each(func(n *Node) { n.came(at, m.Member, socket) })
		if entry.Told {
			e.look(presenceKey{at, entry.User}, 0)
		}
	}
	m.nodes[n] = true
}

// unseat takes a node's last connection of a user away. mu is held.
func (e *Engine) unseat(at key, r *room, n *Node, user string, told bool, hold time.Duration) {
	m := r.members[user]
	if m == nil {
		return
	}
	if delete(m.nodes, n); len(m.nodes) > 0 {
		return
	}
	delete(r.members, user)
	e.each(func(n *Node) { n.went(at, user) })
	if told {
		e.look(presenceKey{at, user}, hold)
	}
}

// count notes how many connections of a node are in a room. mu is held.
func (e *Engine) count(at key, r *room, n *Node, connections int, told bool, hold time.Duration) (total int) {
	before := r.total()
	if r.connections[n] = connections; connections == 0 {
		delete(r.connections, n)
	}
	total = r.total()
	switch {
	case before == 0 && total > 0:
		e.each(func(n *Node) { n.changed(at, true) })
		if told {
			e.look(presenceKey{at, ""}, 0)
		}
	case before > 0 && total == 0:
		e.each(func(n *Node) { n.changed(at, false) })
		if told {
			e.look(presenceKey{at, ""}, hold)
		}
	}
	return total
}

// look has one node told what has become of something, if that is news after a time. mu is held.
func (e *Engine) look(what presenceKey, hold time.Duration) {
	if hold == 0 {
		e.tell(what)
		return
	}
	e.due = append(e.due, time.AfterFunc(hold, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.tell(what)
	}))
}

// tell tells one node of what is so, unless that was told. mu is held.
func (e *Engine) tell(what presenceKey) {
	there := false
	if r := e.rooms[what.key]; r != nil {
		there = r.total() > 0
		if what.user != "" {
			there = r.members[what.user] != nil
		}
	}
	if e.told[what] == there || len(e.nodes) == 0 {
		return
	}
	e.told[what] = there
	h := presence.Happening{Room: what.name, User: what.user, There: there}
	n := e.nodes[0]
	n.put(func() { n.happened(what.app, h) })
}
