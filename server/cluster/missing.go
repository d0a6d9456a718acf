package cluster

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// A missing node was there when the engine had given this node up, most likely with all others, since it
// has lost its table; and it has not been heard of since. One that lives enters again at its next beat.
type missing struct {
	nodes map[string]Node // by name
	until time.Time       // whoever has not entered by then is gone
}

// add notes who was there, for so long.
func (m *missing) add(nodes map[string]Node, long time.Duration) {
	if m.nodes == nil || time.Now().After(m.until) {
		m.nodes = make(map[string]Node, len(nodes))
	}
	maps.Copy(m.nodes, nodes)
	m.until = time.Now().Add(long)
}

// found forgets those that are there.
func (m *missing) found(nodes map[string]Node) {
	for name := range nodes {
		delete(m.nodes, name)
	}
}

// Known lists, by name, who is there as [Cluster.Nodes] does, and whom that may lack for the moment: those
// that were there when the engine lost its table, or gave this node up, and have not entered again. After
// half a lease they are gone.
func (c *Cluster) Known() (there, missing []Node) {
	c.table.mu.Lock()
	defer c.table.mu.Unlock()
	m := &c.table.missing
	if time.Now().After(m.until) {
		m.nodes = nil
	}
	return byName(c.table.nodes), byName(m.nodes)
}

func byName(nodes map[string]Node) []Node {
	list := slices.AppendSeq(make([]Node, 0, len(nodes)), maps.Values(nodes))
	slices.SortFunc(list, func(a, b Node) int { return strings.Compare(a.Name, b.Name) })
	return list
}
