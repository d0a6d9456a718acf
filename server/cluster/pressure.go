package cluster

import "sync"

// A hold is whether senders are to wait, for the door that lets publications in.
type hold struct {
	mu sync.Mutex
	// until is closed when they need no longer; nil while they need not. Guarded by mu.
	until chan struct{}
}

func (h *hold) set(on bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case on && h.until == nil:
		h.until = make(chan struct{})
	case !on && h.until != nil:
		close(h.until)
		h.until = nil
	}
}

// CaughtUp returns nil while senders need not wait, and else what is closed when they need no
// longer: the engine is away, and nobody is served without it, or half of what may wait for it
// does. A short absence holds nobody up. It may be called from any goroutine, and never waits.
func (c *Cluster) CaughtUp() <-chan struct{} {
	c.hold.mu.Lock()
	defer c.hold.mu.Unlock()
	return c.hold.until
}

// Late reports whether senders are to wait, for who may not.
func (c *Cluster) Late() bool { return c.CaughtUp() != nil }

// weigh looks whether senders are to wait.
func (c *Cluster) weigh() {
	away := !c.Up() && c.cfg.WhenDown == Refuse
	c.hold.set(away || c.waiting.Load() > int64(c.cfg.QueueBytes)/2)
}
