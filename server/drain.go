package server

import (
	"context"
	"sync"
	"time"

	"poosh/server/fleet"
)

// announce has balancers find out that the process goes away, before anything else
// happens: for DRAIN_DELAY it is not ready, and serves everybody as before. It returns
// sooner when something fails meanwhile, and what that is.
func (s *Server) announce(failed <-chan error) error {
	s.health.Drain()
	if s.cluster != nil {
		s.cluster.Drain()
	}
	select {
	case <-time.After(s.network().DrainDelay):
		return nil
	case err := <-failed:
		s.log.Warn("not everything waits for DRAIN_DELAY", "err", err)
		return err
	}
}

// drain ends everything within so much time. The process is not ready from then on, which
// balancers are told while it lasts. There are phases that each have a share of the time,
// so that what hangs in one costs the next nothing:
//
//  1. Senders: what has begun to arrive, from other servers too, is published and answered, then the gate is
//     closed and what is inside is waited for. A fourth, and two seconds at the most. In a cluster
//     the engine then has all that was accepted.
//  2. Clients are sent away at a pace, those of all dialects in one stream; see [leave].
//     Half of what is left, and less for few.
//  3. Dialects, all at the same time: who is still there is sent away, and what waits for
//     them is written and fetched. What is left but an eighth of all, or three fourths of it;
//     with HISTORY_FILE but a fourth, or half of it.
//  4. HISTORY_FILE is written: nothing is published any more, and everybody has left. A gate
//     that still has somebody inside is waited for again, and without that nothing is written.
//     What is left but a second, or half of it.
//  5. In a cluster the process leaves it: nobody is here any more of whom others would have to
//     know. A second at the most.
//  6. Ports: the last answers leave. The rest, and a second at the most. The operators'
//     port is one of them, so that it tells of the end while that lasts.
//
// With DRAIN_TIME clients come first, and have that: another process takes over
// meanwhile, so senders are let in until the last client has left, and those who stay for
// minutes hear what is sent. Without it whoever sends is better told at once that nobody
// takes it, since clients who have left are nowhere.
//
// What does not end in time is cut off, and a line in the log says so.
func (s *Server) drain(whole time.Duration) {
	s.health.Drain()
	began := time.Now()
	left := func() time.Duration { return whole - time.Since(began) }
	if over := s.network().DrainTime; over > 0 {
		s.leave(over, pacedSpacing)
		s.endSenders(left())
	} else {
		s.endSenders(whole)
		s.leave((left()-whole/8)/2, quickSpacing)
	}
	// A pace that was late has taken of what comes behind it: each has its share of the rest.
	rest, last := left(), 1
	if s.file != nil {
		last = 2
	}
	s.phase(time.Now(), rest-min(whole/8, rest/4)*time.Duration(last), func(ctx context.Context) {
		var ending sync.WaitGroup
		for _, d := range s.dialects {
			ending.Go(func() { s.note(d.name, d.Shutdown(ctx)) })
		}
		ending.Wait()
	})
	s.yieldPassed()
	rest = max(left(), 0)
	s.phase(time.Now(), rest-min(rest/2, time.Second), s.leaveHistory)
	s.phase(time.Now(), min(max(left(), 0), time.Second), s.leaveCluster)
	s.phase(time.Now(), min(max(left(), 0), time.Second), s.endPorts)
	s.fleet.Close() // or what other nodes wait for here is waited for
	s.phase(time.Now(), min(max(left(), 0), time.Second), s.endPassing)
	s.sends.Close()
	s.each(nil, func(p *port) { _ = p.server.Close() })
}

// endSenders takes nothing more to publish, in three eighths of the time that is left, or
// less.
func (s *Server) endSenders(left time.Duration) {
	s.phase(time.Now(), min(left/4, 2*time.Second), func(ctx context.Context) {
		var others sync.WaitGroup
		for _, d := range s.dialects {
			if d.EndSenders != nil {
				others.Go(func() { d.EndSenders(ctx) })
			}
		}
		s.each((*port).senders, func(p *port) { s.note(p.Setting, p.server.Shutdown(ctx)) })
		others.Wait()
	})
	s.phase(time.Now(), left/8, func(ctx context.Context) {
		s.note("publications", s.gate.Close(ctx))
		if s.joined {
			s.note("publications for the cluster", s.cluster.Flush(ctx))
		}
	})
}

// endPorts lets the last answers leave.
func (s *Server) endPorts(ctx context.Context) {
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
}

// askEnd asks for the end, as SIGTERM does, and returns how many connections of clients there are
// before it begins; from is who asks. Who asks again is answered the same, with how many are left.
func (s *Server) askEnd(from string) fleet.Draining {
	open := s.limit.clients.stats().open
	select {
	case s.asked <- struct{}{}:
		s.log.Info("an operator asks for the end", "remote", from)
	default:
	}
	n := s.network()
	return fleet.Draining{Status: "draining", Delay: n.DrainDelay.Seconds(), Over: n.DrainTime.Seconds(), Within: n.ShutdownTimeout.Seconds(), Open: open}
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
