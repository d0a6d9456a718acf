package pusher

import (
	"maps"
	"sync"
)

// counters are counts by name.
type counters struct {
	mu     sync.Mutex
	byName map[string]uint64
}

// add counts n things more. Names are ours alone, never a client's.
func (c *counters) add(name string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byName == nil {
		c.byName = make(map[string]uint64)
	}
	c.byName[name] += uint64(n)
}

func (c *counters) all() map[string]uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.byName)
}
