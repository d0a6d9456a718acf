package pusher

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Shutdown refuses new connections and publications, closes the connections that
// are open with 4200, spread over a part of the time that ctx gives (two seconds
// without a deadline), waits until they are gone, and sends the webhooks that wait.
// Clients of 4200 reconnect at once, so all of them in one moment would be a herd.
//
// It returns before ctx ends: connections have six tenths of the time, and webhooks
// most of what is left, all at once. A connection that takes nothing and a webhook
// that does not answer cost nobody else anything; the error and the log say what was
// left. Publications must have ended before: see [Config].Gate.
//
// [Dialect.ServeHTTP] may go on; connections open after it answers 4100.
func (d *Dialect) Shutdown(ctx context.Context) error {
	d.draining.Store(true)
	err := d.closeConnections(ctx)
	for _, a := range d.apps {
		a.counter.stop()
	}
	if err = errors.Join(err, d.closeWebhooks(ctx)); err != nil {
		return fmt.Errorf("pusher: shutdown: %w", err)
	}
	return nil
}

// part returns a context that ends after a part of the time that ctx has left, in
// tenths; without a deadline, with ctx.
func part(ctx context.Context, tenths time.Duration) (context.Context, context.CancelFunc) {
	if deadline, ok := ctx.Deadline(); ok {
		return context.WithTimeout(ctx, time.Until(deadline)*tenths/10)
	}
	return context.WithCancel(ctx)
}

// closeConnections closes all connections and waits until they are gone.
func (d *Dialect) closeConnections(ctx context.Context) error {
	ctx, cancel := part(ctx, 6)
	defer cancel()
	var open []*client
	for _, a := range d.apps {
		open = append(open, a.all()...)
	}
	grace := 2 * time.Second
	if deadline, ok := ctx.Deadline(); ok {
		grace = time.Until(deadline) * 7 / 10
	}
	d.spread(ctx, open, grace)
	return d.gone(ctx)
}

// closeWebhooks sends the webhooks of all apps that wait.
func (d *Dialect) closeWebhooks(ctx context.Context) error {
	ctx, cancel := part(ctx, 9)
	defer cancel()
	var mu sync.Mutex // guards errs
	var errs []error
	var all sync.WaitGroup
	for _, a := range d.apps {
		all.Go(func() { // ends with ctx
			err := a.hooks.close(ctx)
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// drainStep is the finest spacing of closes, and drainSpacing the widest: a few
// clients are no herd and need not wait.
const (
	drainStep    = 20 * time.Millisecond
	drainSpacing = 5 * time.Millisecond
)

// goingAway is the reason that clients are told when the server ends.
const goingAway = "the server is going away, reconnect"

// spread closes connections over no more than grace; when ctx ends before, the rest
// at once.
func (d *Dialect) spread(ctx context.Context, open []*client, grace time.Duration) {
	grace = min(grace, time.Duration(len(open))*drainSpacing)
	steps := max(1, int(grace/drainStep))
	tick := time.NewTicker(drainStep)
	defer tick.Stop()
	for i := range steps {
		for _, c := range open[i*len(open)/steps : (i+1)*len(open)/steps] {
			c.close(codeReconnect, goingAway)
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

// gone waits until every connection has been closed and accounted for. One that was
// opened as the server began to drain has closed itself.
func (d *Dialect) gone(ctx context.Context) error {
	tick := time.NewTicker(drainStep)
	defer tick.Stop()
	for d.conns.Load() > 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%d connections are left: %w", d.conns.Load(), ctx.Err())
		}
	}
	return nil
}
