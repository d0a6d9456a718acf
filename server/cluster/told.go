package cluster

import "time"

// A Node is one process of a cluster, as it tells of itself.
type Node struct {
	Name     string    `json:"name"`
	Addr     string    `json:"addr,omitempty"` // where others reach it; empty for nowhere
	Version  string    `json:"version,omitempty"`
	Started  time.Time `json:"started"`
	Draining bool      `json:"draining,omitempty"`
	Load     *Load     `json:"load,omitempty"` // nil for a version that does not tell

	// Keeps is how much it keeps of the apps whose events are kept.
	Keeps map[string]Keeping `json:"keeps,omitempty"`
}

// A Load is what a node has to do, as it was when it last told of itself: four times within a lease.
type Load struct {
	Connections int     `json:"connections"` // of clients
	CPU         float64 `json:"cpu"`         // processors in use since the time before, 0 where that is not told
	Lag         float64 `json:"lag_seconds"` // how long what came last was on its way to it, as far as clocks agree
}

// sameNodes reports that nothing that others act on is another than before.
func sameNodes(a, b map[string]Node) bool {
	if len(a) != len(b) {
		return false
	}
	for name, n := range a {
		m, ok := b[name]
		if !ok || n.Addr != m.Addr || n.Draining != m.Draining || n.Version != m.Version {
			return false
		}
	}
	return true
}
