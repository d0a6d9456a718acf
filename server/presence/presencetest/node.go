package presencetest

import (
	"sync"

	"poosh/server/hub"
	"poosh/server/presence"
)

// A Node is one of the processes that an [Engine] joins. It is the broker of its hub, and all that
// package presence asks for.
type Node struct {
	Name   string   // set once
	Hub    *hub.Hub // set once
	engine *Engine  // set once

	mu    sync.Mutex // guards what follows; nothing is called with it held
	wake  sync.Cond
	queue []func() // oldest first; bounded by what a test does
	over  bool

	// Guarded by the engine's mu:
	rooms     map[key]*local
	listeners map[string]presence.Listener
	handlers  map[byte]func(from string, body []byte) []byte
	moved     []func()
}

var (
	_ hub.Broker      = (*Node)(nil)
	_ hub.Explainer   = (*Node)(nil)
	_ presence.Desk   = (*Node)(nil)
	_ presence.Holder = (*Node)(nil)
	_ presence.Census = (*Node)(nil)
	_ presence.Bus    = (*Node)(nil)
)

// local is what a node has of a room.
type local struct {
	entered int // entries that were let in, but for those that have left
}

// work does what there is, in its order, until the node ends.
func (n *Node) work() {
	for {
		n.mu.Lock()
		for len(n.queue) == 0 && !n.over {
			n.wake.Wait()
		}
		if len(n.queue) == 0 {
			n.mu.Unlock()
			return
		}
		f := n.queue[0]
		n.queue = n.queue[1:]
		n.mu.Unlock()
		f()
	}
}

// put has the node do something behind all that it has to do already.
func (n *Node) put(f func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.queue = append(n.queue, f)
	n.wake.Signal()
}

func (n *Node) end() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.over = true
	n.wake.Signal()
}

// Publish implements [hub.Broker].
func (n *Node) Publish(p *hub.Publication, done func(hub.Handed)) {
	e := n.engine
	e.mu.Lock()
	ok := e.publish(p, func(n *Node, at hub.Position) { n.Hub.DeliverAt(p, at) })
	nodes := len(e.nodes)
	if ok && done != nil {
		n.put(func() { done(hub.Handed{Took: -1, Nodes: nodes}) })
	}
	e.mu.Unlock()
	if !ok && done != nil {
		done(hub.Handed{Took: -1, Err: hub.ErrAway})
	}
}

// Explain implements [hub.Explainer].
func (n *Node) Explain(p *hub.Publication) *hub.Explanation {
	e := n.engine
	e.mu.Lock()
	answers := make(chan *hub.Explanation, len(e.nodes))
	ok := e.publish(p, func(n *Node, at hub.Position) { answers <- n.Hub.ExplainHere(p, at) })
	nodes := len(e.nodes)
	e.mu.Unlock()
	all := new(hub.Explanation)
	if !ok {
		all.Err = hub.ErrAway
		return all
	}
	for range nodes {
		all.Add(<-answers)
	}
	return all
}

// WhyNobody implements [hub.Explainer]. All nodes have said that by Explain.
func (n *Node) WhyNobody(*hub.Publication, *hub.Explanation) {}

// Occupied implements [hub.Broker].
func (n *Node) Occupied(string, string, bool) {}

// Vacated implements [hub.Broker].
func (n *Node) Vacated(string, string, bool) {}

// listener is who is told of a room in which this node has connections, or whose events it
// delivers; nil for nobody.
func (n *Node) listener(at key) presence.Listener {
	n.engine.mu.Lock()
	defer n.engine.mu.Unlock()
	if n.rooms[at] == nil {
		return nil
	}
	return n.listeners[at.app]
}

func (n *Node) came(at key, m hub.Member, socket string) {
	if n.Hub.MemberIn(at.app, at.name, m) {
		if l := n.listener(at); l != nil {
			l.Came(at.name, m, socket)
		}
	}
}

func (n *Node) went(at key, user string) {
	if n.Hub.MemberOut(at.app, at.name, user) {
		if l := n.listener(at); l != nil {
			l.Went(at.name, user)
		}
	}
}

func (n *Node) changed(at key, there bool) {
	l := n.listener(at)
	switch {
	case l == nil:
	case there:
		l.Occupied(at.name)
	default:
		l.Vacated(at.name)
	}
}

func (n *Node) happened(app string, h presence.Happening) {
	n.engine.mu.Lock()
	l := n.listeners[app]
	n.engine.mu.Unlock()
	if l != nil {
		l.Due(h, func() {})
	}
}
