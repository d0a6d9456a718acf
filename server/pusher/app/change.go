package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"poosh/server/closed"
	"poosh/server/pusher/protocol"
	"poosh/server/rate"
)

// Bounds are what an operator may choose for all apps; see [Shared].
type Bounds struct{ CacheBytes, WebhookQueue int }

// Change prepares what follows from configurations that were read anew: an app is known by
// its id. commit has them count, for what is asked for from then on. Who is connected stays
// so, also when the app's key is another one then, but for clients of an app that is there
// no more, which end with 4001, and of one that is disabled now, with 4003.
func (l *List) Change(configs []Config, b Bounds) (commit func(), err error) {
	configs, err = judge(configs)
	if err != nil {
		return nil, err
	}
	if err := l.sameHistory(configs); err != nil {
		return nil, err
	}
	return func() { l.change(configs, b) }, nil
}

// A keeping is for how long, and how much, is kept of an app's events; the zero keeping is
// nothing.
type keeping struct {
	age    Duration
	bytes  int64
	events int
}

func (c *Config) keeping() keeping {
	if c.History == 0 {
		return keeping{}
	}
	return keeping{c.History, c.HistoryBytes, c.HistoryEvents}
}

// sameHistory refuses another history than an app has: the log is made when the server
// starts.
func (l *List) sameHistory(configs []Config) error {
	var wrong []error
	for _, conf := range configs {
		if a := l.ID(conf.ID); a != nil && a.Conf().keeping() != conf.keeping() {
			wrong = append(wrong, fmt.Errorf("app %q: its history cannot change while the server runs: start it anew", conf.ID))
		}
	}
	return errors.Join(wrong...)
}

func (l *List) change(configs []Config, b Bounds) {
	l.changing.Lock()
	defer l.changing.Unlock()
	l.shared.CacheBytes, l.shared.WebhookQueue = b.CacheBytes, b.WebhookQueue
	before, now := l.index.Load(), &index{make(map[string]*App), make(map[string]*App)}
	var disabled []*App
	for _, conf := range configs {
		a := before.byID[conf.ID]
		if a == nil {
			a = newApp(conf, l.shared, l.atFirst[conf.ID] == conf.keeping())
			if a.passing { // its log lacks what is published from here on
				delete(l.atFirst, conf.ID)
				l.shared.Hub.Forget(a.hubName)
			}
			now.add(a)
			continue
		}
		was := a.Disabled()
		a.change(conf)
		now.byID[conf.ID], now.byKey[conf.Key] = a, a
		if a.Disabled() && !was {
			disabled = append(disabled, a)
		}
	}
	l.index.Store(now)
	for id, a := range before.byID {
		if now.byID[id] == nil {
			l.remove(a)
		}
	}
	for _, a := range disabled {
		a.expel(protocol.CodeDisabled, "the app is disabled")
	}
}

// change has another configuration count.
func (a *App) change(conf Config) {
	before := a.rules.Load()
	a.rules.Store(&rules{conf, before.api.Follow(rate.New(conf.APIRate)), before.connect.Follow(rate.New(conf.ConnectRate))})
	a.cache.bound(a.shared.CacheBytes, time.Duration(conf.CacheTTL))
	a.hooks.Change(conf.Webhooks, a.shared.hooksOf(&conf))
	if a.across != nil {
		a.users.switched(a.across)
	}
}

// How long an app that is no more has for its clients to leave, and for what its webhooks
// were to be told.
const removeWithin = 30 * time.Second

// remove ends an app that nobody finds any more.
func (l *List) remove(a *App) {
	a.removed.Store(true)
	a.shared.Log.Info("app is gone", "id", a.id)
	a.expel(protocol.CodeNoApp, "no app has this key any more")
	l.leaving.Go(func() { // ends with ending at the latest
		ctx, cancel := context.WithTimeout(l.ending, removeWithin)
		defer cancel()
		look := time.NewTicker(100 * time.Millisecond)
		defer look.Stop()
		for a.hasClients() && ctx.Err() == nil {
			select {
			case <-look.C:
			case <-ctx.Done():
			}
		}
		if err := a.close(ctx); err != nil {
			a.shared.Log.Warn("not all is delivered of an app that is gone", "id", a.id, "err", err)
		}
		l.unhear(a)
	})
}

// unhear has nobody told of an app that is gone, unless there is another one of its id since.
func (l *List) unhear(a *App) {
	l.changing.Lock()
	defer l.changing.Unlock()
	if a.across != nil && l.ID(a.id) == nil {
		a.across.deaf()
	}
}

// hasClients reports whether connections of its own are there, or leaving. In the hub are
// also those of another app that has its id since.
func (a *App) hasClients() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.open+len(a.conns) > 0
}

// Removed reports whether the app is none any more.
func (a *App) Removed() bool { return a.removed.Load() }

// expel closes all connections with a code with which client libraries stay away.
func (a *App) expel(code int, text string) {
	for _, c := range a.Connections() {
		c.Expel(closed.Kicked, code, text)
	}
}
