package server

import (
	"context"
	"errors"
	"slices"

	"poosh/server/admission"
	"poosh/server/cluster"
	"poosh/server/dialect"
	"poosh/server/health"
	"poosh/server/hub"
	"poosh/server/poosh"
	"poosh/server/setting"
)

// notAcross are the dialects that are not whole in a cluster yet: a part of the truth is served
// by nobody.
var notAcross = []string{
	"pusher",
	"socktopus",
	"push socket",
}

// checkCluster finds what cannot be in a cluster.
func (c *Config) checkCluster(m *setting.Mistakes) {
	if !c.Cluster.On() || m.Has("CLUSTER_REDIS") {
		return
	}
	for _, d := range c.on() {
		if slices.Contains(notAcross, d.Name) && len(d.Ports) > 0 {
			m.Add("CLUSTER_REDIS", "is set, and so is what has %s opened, for %s, which cannot be on several nodes yet: want one of them unset", d.Ports[0].Setting, d.Name)
		}
	}
	if c.History.File != "" && !m.Has("HISTORY_FILE") {
		m.Add("HISTORY_FILE", "is set with CLUSTER_REDIS: the other nodes have the history of a node that ends, and go on meanwhile; want one of them unset")
	}
}

// across gives a dialect what there is of the cluster.
func (s *Server) across(h *dialect.Host) {
	if s.cluster == nil {
		return
	}
	h.Bus = s.cluster
	h.Subscribe = s.cluster.Subscribe
	h.Node = dialect.Node{Name: s.cluster.Name()}
	// h.Desk, h.Holder and h.Census come here, and h.Node.Passer.
}

// join makes the process one of its cluster, and returns why it could not.
func (s *Server) join(ctx context.Context) error {
	if s.cluster == nil {
		return nil
	}
	apps := []string{poosh.App}
	if s.kept != nil {
		apps = s.kept.Apps()
		if !slices.Contains(apps, poosh.App) {
			apps = append(apps, poosh.App)
		}
	}
	if err := s.cluster.Join(ctx, cluster.Options{
		Log: s.log, Version: s.cfg.version(), Apps: apps,
		// Positions of one app are those of one log.
		Together: func(app string) bool { return s.kept != nil && s.kept.Keeps(app) },
		Deliver:  s.hub.DeliverAt,
		Reached:  s.reached,
		Missed:   s.missed,
	}); err != nil {
		return err
	}
	s.joined = true
	s.health.Need("cluster", s.engineThere)
	s.log.Info("joined the cluster", "node", s.cluster.Name(), "engine", s.cfg.Cluster.Redis.String(), "nodes", len(s.cluster.Nodes()))
	return nil
}

// leaveCluster gives back what the other nodes have to know of this one.
func (s *Server) leaveCluster(ctx context.Context) {
	if s.joined {
		s.note("cluster", s.cluster.Close(ctx))
	}
}

// engineThere is why the process is not ready for want of the engine, or not wholly.
func (s *Server) engineThere(context.Context) error {
	switch {
	case s.cluster.Up():
		return nil
	case s.cfg.Cluster.WhenDown == cluster.Local:
		return health.Soft("cannot reach the other nodes: what is sent reaches the clients of this node alone")
	}
	return errors.New("CLUSTER_REDIS: the engine is away")
}

// reached says how far the log of an app was handed out.
func (s *Server) reached(app string, at hub.Position) {
	if s.kept != nil && s.kept.Keeps(app) {
		s.kept.Reached(app, at)
	}
}

// missed closes who may have missed something up to a place in the log, and has the log begin
// there.
func (s *Server) missed(app, room string, everyone bool, at hub.Position) {
	if s.kept != nil && s.kept.Keeps(app) {
		s.kept.Begin(app, at)
	}
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
