package cluster

import (
	"context"

	"poosh/server/loop"
)

// openLoop finds the loop that connections to the engine are on.
func (c *Cluster) openLoop() (err error) {
	if c.loop = c.opt.Loop; c.loop == nil {
		c.loop, err = loop.New(loop.Config{Log: c.log})
	}
	return err
}

// closeLoop closes it if it is the cluster's own. No connection is on it any more.
func (c *Cluster) closeLoop() {
	if c.opt.Loop == nil && c.loop != nil {
		c.loop.Close()
	}
}

// Wires is how many connections of [Options].Loop are to the engine now.
func (c *Cluster) Wires() int64 { return c.wires.Load() }

// agreeFirst is agree by a connection for this alone.
func (c *Cluster) agreeFirst(ctx context.Context) error {
	w := c.dialWire(c.nodes, silence{})
	defer w.close(errStopped)
	return c.agree(ctx, w, newSecret())
}

// A silence is an [incoming] where nothing comes.
type silence struct{}

func (silence) message(string, string)      {}
func (silence) subscription(string, string) {}
func (silence) brought() bool               { return false }
