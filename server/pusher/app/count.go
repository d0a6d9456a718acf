package app

import (
	"context"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"poosh/server/guard"
)

// How often the number of a channel's subscribers is told: on each change, in a
// crowd only now and then (Pusher Channels, "Subscription count events").
const (
	countCrowd = 100
	countEvery = 5 * time.Second
)

// A counter tells an app's channels and webhooks how many connections subscribe.
type counter struct {
	app *App

	mu      sync.Mutex             // guards what follows
	waiting map[string]*time.Timer // channels with a crowd that changed
	over    bool

	settling settlings // in a cluster
}

// changed says that a channel now has n connections, since one from a network came
// or went. The channel's roster is open.
func (c *counter) changed(channel string, n int, from netip.Addr) {
	if !c.app.Conf().SubscriptionCount {
		return
	}
	if n <= countCrowd {
		c.tell(channel, n, from)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over || c.waiting[channel] != nil {
		return
	}
	if c.waiting == nil {
		c.waiting = make(map[string]*time.Timer)
	}
	c.waiting[channel] = time.AfterFunc(countEvery, func() {
		guard.Call(c.app.shared.Log, "telling how many subscribe", func() { c.due(channel) }, "app", c.app.ID())
	})
}

// due tells the number that a crowd has come to.
func (c *counter) due(channel string) {
	c.mu.Lock()
	delete(c.waiting, channel)
	over := c.over
	c.mu.Unlock()
	if over {
		return
	}
	if c.app.across != nil {
		if n, ok := c.ask(context.Background(), channel); ok && n > countCrowd && !c.isOver() {
			c.tell(channel, n, noNetwork)
		}
		return
	}
	r := c.app.shared.Hub.Open(c.app.hubName, channel)
	defer r.Close()
	// A smaller number has been told as it changed.
	if n := r.Connections(); n > countCrowd {
		c.tell(channel, n, netip.Addr{})
	}
}

func (c *counter) tell(channel string, n int, from netip.Addr) {
	c.app.announce(channel, "pusher_internal:subscription_count",
		[]byte(`{"subscription_count":`+strconv.Itoa(n)+`}`), "")
	c.app.hooks.Subscriptions(channel, n, from)
	if c.app.across != nil {
		c.settle(channel, n)
	}
}

// isOver reports whether stop was called.
func (c *counter) isOver() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.over
}

// stop ends the timers.
func (c *counter) stop() {
	defer c.settling.work.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	for channel, t := range c.waiting {
		t.Stop()
		delete(c.waiting, channel)
	}
	if c.settling.stop != nil {
		c.settling.stop()
	}
}
