package server

import (
	"context"
	"fmt"
	"net"
	"net/http"

	"poosh/server/dialect"
	"poosh/server/metric"
	"poosh/server/passing"
	"poosh/server/route"
)

// pass makes what passes on requests for sessions of other nodes.
func (s *Server) pass() {
	if s.cluster == nil {
		return
	}
	s.passing = passing.New(passing.Options{
		Name: s.cluster.Name(), Nodes: s.cluster, Secret: s.cluster.Secret,
		Sockets: s.websockets, Context: route.Context,
		// Before it is given up: who is silent for that long has no session any more.
		Timeout: s.cfg.Cluster.Lease / 2,
		Log:     s.log,
	})
}

// passer is for [dialect.Node].
func (s *Server) passer(port string) dialect.Passer { return s.passing.Passer(port) }

// servesPassed has a port's clients served whom other nodes pass on.
func (s *Server) servesPassed(p *port, handler http.Handler) {
	if s.passing != nil && p.Visitors&dialect.Clients != 0 {
		s.passing.Add(p.Setting, passing.Port{Handler: handler, Taker: p.server})
	}
}

// listenForNodes opens the nodes' own port, and tells them where it is. It is called once the process
// is one of the cluster.
func (s *Server) listenForNodes() error {
	if s.passing == nil {
		return nil
	}
	addr := s.cfg.Cluster.Addr
	if addr == "" {
		ip, err := s.cfg.Cluster.Redis.Toward()
		if err != nil {
			return fmt.Errorf("CLUSTER_ADDR: is not set, and the address by which Redis is reached is not known: %w", err)
		}
		addr = net.JoinHostPort(ip.String(), "0")
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("CLUSTER_ADDR: %w", err)
	}
	s.log.Info("listening", "setting", "CLUSTER_ADDR", "addr", ln.Addr().String())
	s.passingEnds = make(chan error, 1)
	go func() { s.passingEnds <- s.passing.Serve(ln) }() // ends with endPassing
	if s.cfg.Cluster.Addr == "" {
		addr = ln.Addr().String()
	}
	s.cluster.Reach(addr)
	return nil
}

// endPassing ends what nodes pass to each other: the ports have ended.
func (s *Server) endPassing(ctx context.Context) {
	if s.passing == nil {
		return
	}
	s.note("what nodes pass on", s.passing.Close(ctx))
	if s.passingEnds != nil {
		s.note("the nodes' port", <-s.passingEnds)
	}
}

// yieldPassed has those who wait here for another node's answer ask elsewhere.
func (s *Server) yieldPassed() {
	if s.passing != nil {
		s.passing.Drain()
	}
}

// passedLeavers are clients of other nodes that are connected here. From now on no WebSocket is added to
// them.
func (s *Server) passedLeavers() []dialect.Leaver {
	if s.passing == nil {
		return nil
	}
	return dialect.Leavers(s.passing.Leave())
}

// passingReadings are about what nodes pass on; none for a process that is alone.
func (s *Server) passingReadings() []metric.Reading {
	if s.passing == nil {
		return nil
	}
	return s.passing.Readings()
}
