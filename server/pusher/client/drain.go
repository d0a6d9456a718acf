package client

import (
	"context"
	"fmt"
	"time"

	"poosh/server/closed"
	"poosh/server/pusher/app"
	"poosh/server/pusher/protocol"
)

// Close closes the connections that are open with 4200, spread over a part of the time
// that ctx gives (two seconds without a deadline), and waits until they are gone.
// Clients of 4200 reconnect at once, so all of them in one moment would be a herd. The
// apps must be draining: a connection that comes meanwhile closes itself.
func (s *Server) Close(ctx context.Context) error {
	grace := 2 * time.Second
	if deadline, ok := ctx.Deadline(); ok {
		grace = time.Until(deadline) * 7 / 10
	}
	s.open.Close()
	s.spread(ctx, s.apps.Connections(), grace)
	if err := s.open.Wait(ctx); err != nil {
		return fmt.Errorf("%d connections are left: %w", s.Len(), err)
	}
	return nil
}

// drainStep is the finest spacing of closes, and drainSpacing the widest: a few
// clients are no herd and need not wait.
const (
	drainStep    = 20 * time.Millisecond
	drainSpacing = 5 * time.Millisecond
)

// spread closes connections over no more than grace; when ctx ends before, the rest
// at once.
func (s *Server) spread(ctx context.Context, open []*app.Connection, grace time.Duration) {
	grace = min(grace, time.Duration(len(open))*drainSpacing)
	steps := max(1, int(grace/drainStep))
	tick := time.NewTicker(drainStep)
	defer tick.Stop()
	for i := range steps {
		for _, c := range open[i*len(open)/steps : (i+1)*len(open)/steps] {
			c.Expel(closed.Shutdown, protocol.CodeReconnect, goingAway) // Pysher comes back only after pusher:error
		}
		if i == steps-1 || ctx.Err() != nil {
			continue
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}
