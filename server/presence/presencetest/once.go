package presencetest

import (
	"context"

	"poosh/server/hub"
	"poosh/server/presence"
)

// A source is what a node has of one. The first of the nodes that read it publishes; what was read
// while another one did is not kept for when that goes.
type source struct {
	node *Node
	name string

	// Guarded by the engine's mu:
	reads, over bool
	taken       uint64
}

var _ presence.Once = (*Node)(nil)

// Source implements [presence.Once].
func (n *Node) Source(name string) presence.Source {
	s := &source{node: n, name: name}
	n.engine.mu.Lock()
	defer n.engine.mu.Unlock()
	n.engine.sources = append(n.engine.sources, s)
	return s
}

// leads reports that this one publishes. The engine's mu is held.
func (s *source) leads() bool {
	for _, other := range s.node.engine.sources {
		if other.name == s.name && other.reads && !other.over && !other.node.ended() {
			return other == s
		}
	}
	return false
}

// Read implements [presence.Source].
func (s *source) Read(_ uint64, list []*hub.Publication, handed func(*hub.Publication, hub.Handed)) {
	e := s.node.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	if !s.leads() {
		return
	}
	for _, p := range list {
		if !e.publish(p, func(n *Node, at hub.Position) { n.Hub.DeliverAt(p, at) }) {
			continue
		}
		s.taken++
		if nodes := len(e.nodes); handed != nil {
			s.node.put(func() { handed(p, hub.Handed{Took: -1, Nodes: nodes}) })
		}
	}
}

// Reads implements [presence.Source].
func (s *source) Reads(yes bool) {
	s.node.engine.mu.Lock()
	defer s.node.engine.mu.Unlock()
	s.reads = yes
}

// Resign implements [presence.Source].
func (s *source) Resign() {
	s.node.engine.mu.Lock()
	defer s.node.engine.mu.Unlock()
	s.over = true
}

// Leads implements [presence.Source].
func (s *source) Leads() bool {
	s.node.engine.mu.Lock()
	defer s.node.engine.mu.Unlock()
	return s.leads()
}

// Stop implements [presence.Source].
func (s *source) Stop(context.Context) { s.Resign() }

// Stats implements [presence.Source].
func (s *source) Stats() presence.SourceStats {
	s.node.engine.mu.Lock()
	defer s.node.engine.mu.Unlock()
	return presence.SourceStats{Leads: s.leads(), Taken: s.taken}
}

// ended reports that the node is gone.
func (n *Node) ended() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.over
}
