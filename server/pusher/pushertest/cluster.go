package pushertest

import (
	"log/slog"
	"testing"

	"poosh/server/loop"
	"poosh/server/presence/presencetest"
	"poosh/server/pusher"
	"poosh/server/pusher/app"
)

// A Cluster is two dialects of one configuration, each in the place of a process, that an engine
// in memory joins.
type Cluster struct {
	Engine       *presencetest.Engine
	A, B         *Site
	NodeA, NodeB *presencetest.Node
}

// NewCluster serves two dialects as [New] does one.
func NewCluster(t testing.TB, cfg pusher.Config) *Cluster {
	t.Helper()
	c := &Cluster{Engine: presencetest.New()}
	t.Cleanup(c.Engine.Close)
	c.A, c.NodeA = c.Site(t, "a", cfg)
	c.B, c.NodeB = c.Site(t, "b", cfg)
	return c
}

// Site serves a further dialect, joined to the others.
func (c *Cluster) Site(t testing.TB, name string, cfg pusher.Config) (*Site, *presencetest.Node) {
	t.Helper()
	if cfg.Apps == nil {
		cfg.Apps = []pusher.App{App()}
	}
	n := c.Engine.Node(name, logOf(cfg.Apps))
	cfg.Across = app.Across{Desk: n, Census: n, Bus: n}
	return serve(t, cfg, n.Hub, slog.New(slog.DiscardHandler), loop.Config{}), n
}
