package server

import (
	"net/http"
	"time"

	"poosh/server/health"
	"poosh/server/overview"
	"poosh/server/respond"
)

// A readyNode is one process of the cluster, as /ready of the operators' port lists it: without its address,
// since nobody needs a token there.
type readyNode struct {
	Name     string         `json:"name"`
	Version  string         `json:"version"`
	Uptime   float64        `json:"uptime_seconds"` // as far as clocks agree
	Draining bool           `json:"draining"`
	Load     *overview.Load `json:"load"` // null where its version does not tell
}

// readyNodes are those that this one knows of; nil for a process that is alone.
func (s *Server) readyNodes(now time.Time) (list []readyNode) {
	c := s.nodes()
	if c == nil {
		return nil
	}
	for _, n := range c.Nodes {
		list = append(list, readyNode{n.Name, n.Version, max(0, now.Sub(n.Started).Seconds()), n.Draining, n.Load})
	}
	return list
}

// serveReady is [health.Health.ServeReady] for the operators' port: in a cluster the nodes stand beside whether
// this one is ready.
func (s *Server) serveReady(w http.ResponseWriter, r *http.Request) {
	report := s.health.Ready(r.Context())
	w.Header().Set("Cache-Control", "no-store")
	respond.Go.JSON(w, report.Code(), struct {
		health.Report
		Nodes []readyNode `json:"nodes,omitempty"`
	}{report, s.readyNodes(time.Now())})
}
