package pushertest

import (
	"flag"
	"log/slog"
	"testing"

	"poosh/server/hub"
	"poosh/server/leaktest"
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
	if joined {
		t.Skip("it has two processes as it is, and has been run")
	}
	c := &Cluster{Engine: presencetest.New()}
	t.Cleanup(c.Engine.Close)
	c.A, c.NodeA = c.Site(t, "a", cfg)
	c.B, c.NodeB = c.Site(t, "b", cfg)
	return c
}

// Site serves a further dialect, joined to the others.
func (c *Cluster) Site(t testing.TB, name string, cfg pusher.Config) (*Site, *presencetest.Node) {
	t.Helper()
	return c.site(t, name, cfg, slog.New(slog.DiscardHandler), loop.Config{})
}

func (c *Cluster) site(t testing.TB, name string, cfg pusher.Config, log *slog.Logger, on loop.Config) (*Site, *presencetest.Node) {
	t.Helper()
	if cfg.Apps == nil {
		cfg.Apps = []pusher.App{App()}
	}
	n := c.Engine.Node(name, logOf(cfg.Apps))
	cfg.Across = app.Across{Desk: n, Census: n, Bus: n}
	return serve(t, cfg, n.Hub, log, on), n
}

// joined has [New] serve one of two processes: clients come to the one, and senders to the other.
var joined bool

// Joined reports whether the tests of a package run for the second time; see [Main].
func Joined() bool { return joined }

// Main runs the tests of a package twice: in one process alone, and then with what [New] serves
// being two processes of a cluster, whose senders go to the one and whose clients to the other.
// Benchmarks are of one alone. Call it from TestMain; it does not return.
func Main(m *testing.M) { leaktest.Main(twice{m}) }

// Alone skips a test that is about one process alone, and says why.
func Alone(t testing.TB, why string) {
	t.Helper()
	if joined {
		t.Skip("in one process alone: " + why)
	}
}

type twice struct{ m *testing.M }

// Run runs them.
func (r twice) Run() int {
	code := r.m.Run()
	if f := flag.Lookup("test.bench"); code != 0 || f != nil && f.Value.String() != "" {
		return code
	}
	joined = true
	return r.m.Run()
}

// Hubs are those of all processes.
func (s *Site) Hubs() []*hub.Hub {
	if s.Senders != nil {
		return []*hub.Hub{s.Hub, s.Senders.Hub}
	}
	return []*hub.Hub{s.Hub}
}
