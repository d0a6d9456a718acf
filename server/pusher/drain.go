package pusher

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Shutdown refuses new connections and publications, closes the connections that
// are open with 4200, waits until they are gone, and sends the webhooks that wait.
// Clients of 4200 reconnect at once: whoever has many of them sends them away one by one
// before.
//
// It returns before ctx ends: connections have six tenths of the time, and webhooks
// most of what is left, all at once. A connection that takes nothing and a webhook
// that does not answer cost nobody else anything; the error and the log say what was
// left. Publications must have ended before: see [Config].Gate.
//
// [Dialect.ServeHTTP] may go on; who connects after it is told 4100, or answered 503.
func (d *Dialect) Shutdown(ctx context.Context) error {
	d.apps.Drain()
	err := d.closeClients(ctx)
	if err = errors.Join(err, d.closeApps(ctx)); err != nil {
		return fmt.Errorf("pusher: shutdown: %w", err)
	}
	return nil
}

// closeClients closes all connections and waits until they are gone.
func (d *Dialect) closeClients(ctx context.Context) error {
	ctx, cancel := part(ctx, 6)
	defer cancel()
	return d.clients.Close(ctx)
}

// closeApps sends the webhooks of all apps that wait.
func (d *Dialect) closeApps(ctx context.Context) error {
	ctx, cancel := part(ctx, 8)
	defer cancel()
	return d.apps.Close(ctx)
}

// part returns a context that ends after a part of the time that ctx has left, in
// tenths; without a deadline, with ctx.
func part(ctx context.Context, tenths time.Duration) (context.Context, context.CancelFunc) {
	if deadline, ok := ctx.Deadline(); ok {
		return context.WithTimeout(ctx, time.Until(deadline)*tenths/10)
	}
	return context.WithCancel(ctx)
}
