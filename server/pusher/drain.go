package pusher

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Shutdown refuses new connections and publications, closes the connections that
// are open with 4200, spread over most of the time that ctx gives (two seconds
// without a deadline), waits until they are gone, and sends the webhooks that
// wait. What is left when ctx ends is dropped and counted. Clients of 4200
// reconnect at once, so all of them in one moment would be a herd.
//
// [Dialect.ServeHTTP] may go on; connections open after it answers 4100.
func (d *Dialect) Shutdown(ctx context.Context) error {
	d.draining.Store(true)
	var open []*client
	for _, a := range d.apps {
		open = append(open, a.all()...)
	}
	grace := 2 * time.Second
	if deadline, ok := ctx.Deadline(); ok {
		grace = time.Until(deadline) * 7 / 10
	}
	err := d.spread(ctx, open, grace)
	if err == nil {
		err = d.gone(ctx)
	}
	for _, a := range d.apps {
		a.counter.stop()
		err = errors.Join(err, a.hooks.close(ctx))
	}
	if err != nil {
		return fmt.Errorf("pusher: shutdown: %w", err)
	}
	return nil
}

// drainStep is the finest spacing of closes, and drainSpacing the widest: a few
// clients are no herd and need not wait.
const (
	drainStep    = 20 * time.Millisecond
	drainSpacing = 5 * time.Millisecond
)

// goingAway is the reason that clients are told when the server ends.
const goingAway = "the server is going away, reconnect"

// spread closes connections over no more than grace.
func (d *Dialect) spread(ctx context.Context, open []*client, grace time.Duration) error {
	grace = min(grace, time.Duration(len(open))*drainSpacing)
	steps := max(1, int(grace/drainStep))
	tick := time.NewTicker(drainStep)
	defer tick.Stop()
	for i := range steps {
		for _, c := range open[i*len(open)/steps : (i+1)*len(open)/steps] {
			c.close(codeReconnect, goingAway)
		}
		if i == steps-1 {
			break
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// gone waits until every connection has been closed and accounted for. One that
// was opened as the server began to drain is closed here.
func (d *Dialect) gone(ctx context.Context) error {
	tick := time.NewTicker(drainStep)
	defer tick.Stop()
	for d.conns.Load() > 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		for _, a := range d.apps {
			for _, c := range a.all() {
				c.close(codeReconnect, goingAway)
			}
		}
	}
	return nil
}
