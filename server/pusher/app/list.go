package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"sync"
	"sync/atomic"

	"poosh/server/sends"
)

// A List is the apps of one dialect. Its methods may be called from any goroutine.
type List struct {
	byID     map[string]*App // set once
	byKey    map[string]*App // set once
	draining atomic.Bool
}

// NewList makes the apps of some configurations. It fails for a configuration that
// cannot work, naming every mistake.
func NewList(configs []Config, s *Shared) (*List, error) {
	l := &List{byID: make(map[string]*App), byKey: make(map[string]*App)}
	s.Sends = cmp.Or(s.Sends, sends.New())
	var wrong []error
	if len(configs) == 0 {
		wrong = append(wrong, errors.New("no app is named"))
	}
	for _, conf := range configs {
		conf = conf.WithDefaults()
		if err := conf.Validate(); err != nil {
			wrong = append(wrong, err)
			continue
		}
		switch {
		case l.byID[conf.ID] != nil:
			wrong = append(wrong, fmt.Errorf("app %q: another app has the same id", conf.ID))
		case l.byKey[conf.Key] != nil:
			wrong = append(wrong, fmt.Errorf("app %q: another app has the same key", conf.ID))
		default:
			a := newApp(conf, s)
			l.byID[conf.ID], l.byKey[conf.Key] = a, a
			s.Log.Info("app", "id", conf.ID, "key", conf.Key, "disabled", a.Disabled(), "client_events", conf.ClientEvents,
				"max_event_bytes", conf.MaxEventBytes, "max_connections", conf.MaxConnections, "webhooks", len(conf.Webhooks))
		}
	}
	return l, errors.Join(wrong...)
}

// ID returns the app of an id, or nil.
func (l *List) ID(id string) *App { return l.byID[id] }

// Key returns the app of a key, or nil.
func (l *List) Key(key string) *App { return l.byKey[key] }

// All yields all apps.
func (l *List) All() iter.Seq[*App] { return maps.Values(l.byID) }

// Connections returns the connections of this moment, of all apps.
func (l *List) Connections() []*Connection {
	var all []*Connection
	for _, a := range l.byID {
		all = append(all, a.Connections()...)
	}
	return all
}

// Channels returns how many channels somebody is in now, of all apps.
func (l *List) Channels() int {
	n := 0
	for _, a := range l.byID {
		for range a.Channels() {
			n++
		}
	}
	return n
}

// Drain says that the server is going away: nothing new is taken from here on.
func (l *List) Drain() { l.draining.Store(true) }

// Draining reports whether the server is going away.
func (l *List) Draining() bool { return l.draining.Load() }

// Close ends the timers of all apps and sends the webhooks that wait, all at once, until
// ctx ends. Every connection has ended before. The error says what was left.
func (l *List) Close(ctx context.Context) error {
	var mu sync.Mutex // guards errs
	var errs []error
	var all sync.WaitGroup
	for _, a := range l.byID {
		all.Go(func() { // ends with ctx
			err := a.close(ctx)
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// Check reports what connections have left behind that are gone. It is a self-check for
// when no connection is open and none can come.
func (l *List) Check() error {
	var wrong []error
	for _, a := range l.byID {
		wrong = append(wrong, a.check())
	}
	return errors.Join(wrong...)
}
