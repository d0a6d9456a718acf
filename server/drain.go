package server

import (
	"context"
	"sync"
	"time"
)

// drain ends everything. The process is not ready from then on, which balancers are told
// while it lasts. There are phases that each have a share of SHUTDOWN_TIMEOUT, so
// that what hangs in one costs the next nothing:
//
//  1. Senders: what has begun to arrive is published and answered, then the gate is
//     closed and what is inside is waited for. A fourth, and two seconds at the most.
//  2. Dialects, all at the same time: what waits for clients is written, and they are
//     closed so that they connect anew. All but an eighth.
//  3. Ports: the last answers leave. The rest, and a second at the most. The operators'
//     port is one of them, so that it tells of the end while that lasts.
//
// What does not end in time is cut off, and a line in the log says so.
func (s *Server) drain() {
	s.health.Drain()
	whole := s.cfg.Network.ShutdownTimeout
	began := time.Now()
	s.draining.Store(true)
	s.phase(began, min(whole/4, 2*time.Second), func(ctx context.Context) {
		s.each((*port).senders, func(p *port) { s.note(p.Setting, p.server.Shutdown(ctx)) })
	})
	s.phase(time.Now(), whole/8, func(ctx context.Context) { s.note("publications", s.gate.Close(ctx)) })
	s.phase(began, whole-whole/8, func(ctx context.Context) {
		var ending sync.WaitGroup
		for _, d := range s.dialects {
			ending.Go(func() { s.note(d.name, d.Shutdown(ctx)) })
		}
		ending.Wait()
	})
	s.phase(time.Now(), min(max(whole-time.Since(began), whole/8), time.Second), func(ctx context.Context) {
		var operators sync.WaitGroup
		if s.admin != nil {
			operators.Go(func() {
				s.live.Close()
				s.admin.Close(ctx)
			})
		}
		operators.Go(func() { s.note("health", s.health.Close(ctx)) })
		s.each(func(p *port) bool { return !p.senders() }, func(p *port) { _ = p.server.Shutdown(ctx) })
		operators.Wait()
	})
	s.sends.Close()
	s.each(nil, func(p *port) { _ = p.server.Close() })
}

// phase runs a part of the end, which has time until so long after since.
func (s *Server) phase(since time.Time, share time.Duration, run func(context.Context)) {
	ctx, cancel := context.WithDeadline(context.Background(), since.Add(share))
	defer cancel()
	run(ctx)
}

// each does something with ports, all of them at the same time.
func (s *Server) each(which func(*port) bool, do func(*port)) {
	var doing sync.WaitGroup
	for _, p := range s.ports {
		if which == nil || which(p) {
			doing.Go(func() { do(p) })
		}
	}
	doing.Wait()
}

func (s *Server) note(what string, err error) {
	if err != nil {
		s.log.Warn("not everything ended in time", "part", what, "err", err)
	}
}
