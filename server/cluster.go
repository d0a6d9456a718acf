package server

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"poosh/server/admission"
	"poosh/server/cluster"
	"poosh/server/dialect"
	"poosh/server/health"
	"poosh/server/hub"
	"poosh/server/metric"
	"poosh/server/overview"
	"poosh/server/poosh"
	"poosh/server/setting"
)

// checkCluster finds what cannot be in a cluster.
func (c *Config) checkCluster(m *setting.Mistakes) {
	if !c.Cluster.On() || m.Has("CLUSTER_REDIS") {
		return
	}
	for _, d := range c.on() {
		if d.Alone == nil {
			continue
		}
		if err := d.Alone(); err != nil {
			name, why, _ := strings.Cut(err.Error(), ": ")
			if !m.Has(name) {
				m.Add(name, "%s", why)
			}
		}
	}
	if c.History.File != "" && !m.Has("HISTORY_FILE") {
		m.Add("HISTORY_FILE", "is set with CLUSTER_REDIS: Redis has the history of a node that ends, and the others go on meanwhile; want one of them unset")
	}
}

// across gives a dialect what there is of the cluster. What nodes tell and ask each other over the Bus is of
// these kinds; another one has to be none of them:
//
//	0 to 15  the cluster's own
//	'e'      Laravel Echo: how many are in its channels
//	'p'      Pusher: its apps, BusKind of package app
//	'S'      Socktopus: what is kept for users
func (s *Server) across(h *dialect.Host) {
	if s.cluster == nil {
		return
	}
	h.Begun = nil
	h.Bus, h.Desk, h.Holder, h.Census, h.Once = s.cluster, s.cluster, s.cluster, s.cluster, s.cluster
	h.Subscribe = s.cluster.Subscribe
	h.Delivered = s.delivered.count
	h.Node = dialect.Node{Name: s.cluster.Name(), Passer: s.passer}
}

// join makes the process one of its cluster, and returns why it could not.
func (s *Server) join(ctx context.Context) error {
	if s.cluster == nil {
		return nil
	}
	// Only then is it known where rooms are: a reload, which may be asked for already, has to do with them.
	s.reloading.Lock()
	defer s.reloading.Unlock()
	apps := []string{poosh.App}
	if s.kept != nil {
		apps = s.kept.Apps()
		if !slices.Contains(apps, poosh.App) {
			apps = append(apps, poosh.App)
		}
	}
	if err := s.cluster.Join(ctx, cluster.Options{
		Log: s.log, Version: s.cfg.version(), Load: s.loads(), Apps: apps, Loop: s.loop,
		// Positions of one app are those of one log.
		Together: func(app string) bool { return s.kept != nil && s.kept.Keeps(app) },
		Keeping:  s.keeping,
		Fill:     func(app string, behind hub.Position) cluster.Filling { return s.kept.Fill(app, behind) },
		Home:     home,
		Deliver:  s.deliver,
		Explain:  s.explain,
		Absent:   s.hub.Absent,
		Reached:  s.hub.Reach,
		Begin:    s.beginAnew,
		Missed:   s.missed,
		Mirror:   s.hub,
	}); err != nil {
		return err
	}
	s.joined = true
	s.health.Need("cluster", s.engineThere)
	s.log.Info("joined the cluster", "node", s.cluster.Name(), "engine", s.cfg.Cluster.Redis.String(), "nodes", len(s.cluster.Nodes()))
	return nil
}

// keptApps are the apps of the hub whose events are kept with these settings.
func (c *Config) keptApps() (list []string) {
	if c.History.On() {
		list = append(list, poosh.App)
	}
	for _, d := range c.on() {
		if d.Kept != nil {
			for _, k := range d.Kept() {
				list = append(list, k.App)
			}
		}
	}
	return list
}

// A delivered table is who counts what is handed to clients of this process, by the app in the hub. The
// zero table is empty.
type delivered struct {
	mu sync.Mutex                                             // held to replace of
	of atomic.Pointer[map[string]func(*hub.Publication, int)] // nil for an empty one; never changed in place
}

// count is for [dialect.Host].
func (d *delivered) count(app string, f func(*hub.Publication, int)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	next := make(map[string]func(*hub.Publication, int))
	if now := d.of.Load(); now != nil {
		maps.Copy(next, *now)
	}
	if next[app] = f; f == nil {
		delete(next, app)
	}
	d.of.Store(&next)
}

// add has a publication counted that so many took.
func (d *delivered) add(p *hub.Publication, took int) {
	if of := d.of.Load(); took > 0 && of != nil {
		if count := (*of)[p.App]; count != nil {
			count(p, took)
		}
	}
}

// deliver hands out what the cluster brings, and has it counted where it is handed to clients: who has
// published it may be another node.
func (s *Server) deliver(p *hub.Publication, at hub.Position) int {
	took := s.hub.DeliverAt(p, at)
	s.delivered.add(p, took)
	return took
}

// explain is deliver for a sender who wants to know what becomes of it.
func (s *Server) explain(p *hub.Publication, at hub.Position) *hub.Explanation {
	became := s.hub.ExplainHere(p, at)
	s.delivered.add(p, became.Took)
	return became
}

// keeping is how much is kept of an app that is kept, for the engine to keep it too.
func (s *Server) keeping(app string) cluster.Keeping {
	bytes, age := s.kept.Bounds(app)
	return cluster.Keeping{Bytes: bytes, Age: age}
}

// home names the node of the client of the original dialect that has a room's name as its id. That
// others have such names too costs little.
func home(app, room string) string {
	if app != poosh.App {
		return ""
	}
	return poosh.NodeOf(room)
}

// loads returns what tells of this node's load since it was asked before.
func (s *Server) loads() func() cluster.Load {
	used, _ := cpuSeconds()
	at := time.Now()
	return func() cluster.Load {
		load := cluster.Load{Connections: s.limit.clients.stats().open, Lag: s.cluster.Lag().Seconds()}
		now := time.Now()
		if total, ok := cpuSeconds(); ok && now.After(at) {
			load.CPU = max(0, total-used) / now.Sub(at).Seconds()
			used, at = total, now
		}
		return load
	}
}

// leaveCluster gives back what the other nodes have to know of this one.
func (s *Server) leaveCluster(ctx context.Context) {
	if s.joined {
		s.note("cluster", s.cluster.Close(ctx))
	}
}

// wires is how many connections of the event loop are to the engine of the cluster.
func (s *Server) wires() int64 {
	if s.cluster == nil {
		return 0
	}
	return s.cluster.Wires()
}

// engineThere is why the process is not ready for want of the engine, or not wholly.
func (s *Server) engineThere(context.Context) error {
	refuses := s.cluster.Refuses()
	switch {
	case refuses != nil:
		return health.Because("Redis is there, and takes nothing", refuses)
	case s.cluster.Up():
		return nil
	case s.cfg.Cluster.WhenDown == cluster.Local:
		return health.Soft("cannot reach the other nodes: what is sent reaches the clients of this node alone")
	}
	return health.Because("Redis cannot be reached", errors.New("CLUSTER_REDIS: the engine is away"))
}

// nodes are those of the cluster, for operators; nil for a process that is alone.
func (s *Server) nodes() *overview.Cluster {
	if s.cluster == nil {
		return nil
	}
	c := &overview.Cluster{Node: s.cluster.Name(), Engine: s.cluster.Up(), Lag: s.cluster.Lag().Seconds(), Nodes: []overview.Node{}}
	for _, n := range s.cluster.Nodes() {
		node := overview.Node{Name: n.Name, Addr: n.Addr, Version: n.Version, Started: n.Started.UTC(), Draining: n.Draining}
		if n.Load != nil {
			load := overview.Load(*n.Load)
			node.Load = &load
		}
		c.Nodes = append(c.Nodes, node)
	}
	return c
}

// beginAnew has what is kept of an app begin behind a place: before it something may be missing.
func (s *Server) beginAnew(app string, at hub.Position) { s.kept.Begin(app, at) }

// missed closes who may have missed something. What is kept of that the cluster has told before.
func (s *Server) missed(app, room string, everyone bool, _ hub.Position) {
	s.hub.Missed(app, room, everyone)
}

// backlog is what holds senders up.
func (s *Server) backlog() admission.Backlog {
	if s.cluster == nil {
		return s.loop
	}
	return admission.Both(s.loop, engine{s.cluster})
}

// An engine is the way to the other nodes as the gate sees it.
type engine struct{ *cluster.Cluster }

// Why implements [admission.Reason].
func (e engine) Why() error {
	if e.Late() && !e.Up() {
		return admission.ErrAway
	}
	return nil
}

// sharedClusterReadings are what other servers have of nodes that ask each other. Ours do not tell
// by app what they ask.
func sharedClusterReadings(n cluster.Asked) []metric.Reading {
	list := []metric.Reading{{Name: "horizontal_adapter_resolve_time", Help: "Seconds that questions to the other nodes took, as cluster_ask_duration_seconds.", Kind: metric.IsHistogram, Histogram: n.Took}}
	for _, c := range []struct {
		name, help string
		n          uint64
	}{
		{"resolved_promises", "Questions to the other nodes that all of them answered in time.", n.Whole},
		{"uncomplete_promises", "Questions to the other nodes that not all of them answered in time.", n.Partly},
		{"sent_requests", "Questions to the other nodes that are over.", n.Whole + n.Partly},
		{"received_requests", "Questions of other nodes.", n.Heard},
		{"received_responses", "Answers of other nodes.", n.Answers},
	} {
		r := metric.Reading{Samples: []metric.Sample{metric.Of(c.n, "", "")}}
		list = append(list, common(r, metric.IsCounter, "horizontal_adapter_"+c.name, c.help),
			common(r, metric.IsCounter, "horizontal_adapter_"+c.name+"_total", c.help))
	}
	return list
}
