package echo

import (
	"context"
	"log/slog"
	"time"
)

// How long a page is connected before it counts as one that does not subscribe, and how often the log
// tells of such pages.
const (
	unsubscribedAfter = time.Minute
	unsubscribedEvery = time.Hour
)

// watchUnsubscribed tells the log of pages that are connected and subscribe to nothing, until ctx ends.
// Version 1 of laravel-echo with a client of socket.io 3 or 4 is so for ever after a cut, and nobody
// else would notice. Where events are kept, a client of 4.6 and newer is given back what it was in, for as
// long as that is; an older one is not.
func (d *Dialect) watchUnsubscribed(ctx context.Context) {
	tick := time.NewTicker(unsubscribedAfter)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			d.tellUnsubscribed(d.log, now)
		case <-ctx.Done():
			return
		}
	}
}

// tellUnsubscribed says how many there are now, if there are some and it has not been said for long.
func (d *Dialect) tellUnsubscribed(log *slog.Logger, now time.Time) {
	n := d.unsubscribed(now.Add(-unsubscribedAfter))
	if n == 0 {
		return
	}
	if _, say := d.silent.May(unsubscribedEvery); say {
		log.Warn("echo: pages are connected and have not subscribed to anything: laravel-echo 1.x does not again after a cut where socket.io-client is 3.x or 4.x; update laravel-echo to 2.x, or set HISTORY where socket.io-client is 4.6 or newer",
			"pages", n, "connected for more than", unsubscribedAfter)
	}
}

// unsubscribed counts pages that connected before a time and have not asked for any channel. Those of
// socket.io 1 and 2 are none of them: with these every laravel-echo subscribes again.
func (d *Dialect) unsubscribed(before time.Time) (n int) {
	d.mu.Lock()
	list := make([]*listener, 0, len(d.listeners))
	for _, l := range d.listeners {
		if l.since.Before(before) && l.session.Protocol() == 4 {
			list = append(list, l)
		}
	}
	d.mu.Unlock()
	for _, l := range list { // listener.mu is taken before the dialect's
		l.mu.Lock()
		if !l.asked && !l.gone {
			n++
		}
		l.mu.Unlock()
	}
	return n
}
