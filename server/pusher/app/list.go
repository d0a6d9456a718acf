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

	"poosh/server/idempotency"
	"poosh/server/sends"
)

// A List is the apps of one dialect. Its methods may be called from any goroutine.
type List struct {
	shared   *Shared            // set once, but for the bounds of apps; guarded by changing
	atFirst  map[string]keeping // of the apps whose logs have all since the start; guarded by changing
	index    atomic.Pointer[index]
	draining atomic.Bool

	changing sync.Mutex     // held while apps are changed
	leaving  sync.WaitGroup // apps that are no more, and end
	hurry    context.CancelFunc
	ending   context.Context // ends when these have no more time
}

// An index finds apps. It never changes: there is another one when apps come and go.
type index struct{ byID, byKey map[string]*App }

// NewList makes the apps of some configurations. It fails for a configuration that
// cannot work, naming every mistake.
func NewList(configs []Config, s *Shared) (*List, error) {
	s.Sends = cmp.Or(s.Sends, sends.New())
	if s.Keys == nil {
		s.Keys = idempotency.New(idempotency.Config{})
	}
	s.process = newProcess()
	l := &List{shared: s, atFirst: make(map[string]keeping)}
	l.ending, l.hurry = context.WithCancel(context.Background())
	x := &index{make(map[string]*App), make(map[string]*App)}
	configs, err := judge(configs)
	for _, conf := range configs {
		l.atFirst[conf.ID] = conf.keeping()
		x.add(newApp(conf, s, true))
	}
	l.index.Store(x)
	l.hear(s.Across.Bus)
	return l, err
}

// judge returns the configurations that can work, with their defaults.
func judge(configs []Config) (good []Config, err error) {
	ids, keys := make(map[string]bool), make(map[string]bool)
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
		case ids[conf.ID]:
			wrong = append(wrong, fmt.Errorf("app %q: another app has the same id", conf.ID))
		case keys[conf.Key]:
			wrong = append(wrong, fmt.Errorf("app %q: another app has the same key", conf.ID))
		default:
			ids[conf.ID], keys[conf.Key] = true, true
			good = append(good, conf)
		}
	}
	return good, errors.Join(wrong...)
}

// add adds an app, and says so in the log.
func (x *index) add(a *App) {
	conf := a.Conf()
	x.byID[conf.ID], x.byKey[conf.Key] = a, a
	a.shared.Log.Info("app", "id", conf.ID, "key", conf.Key, "disabled", a.Disabled(), "client_events", conf.ClientEvents,
		"max_event_bytes", conf.MaxEventBytes, "max_connections", conf.MaxConnections, "webhooks", len(conf.Webhooks))
}

// ID returns the app of an id, or nil.
func (l *List) ID(id string) *App { return l.index.Load().byID[id] }

// Key returns the app of a key, or nil.
func (l *List) Key(key string) *App { return l.index.Load().byKey[key] }

// All yields all apps.
func (l *List) All() iter.Seq[*App] { return maps.Values(l.index.Load().byID) }

// Connections returns the connections of this moment, of all apps.
func (l *List) Connections() []*Connection {
	var all []*Connection
	for _, a := range l.index.Load().byID {
		all = append(all, a.Connections()...)
	}
	return all
}

// Channels returns how many channels somebody is in now, of all apps.
func (l *List) Channels() int {
	n := 0
	for _, a := range l.index.Load().byID {
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
	for _, a := range l.index.Load().byID {
		all.Go(func() { // ends with ctx
			err := a.close(ctx)
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
		})
	}
	all.Wait()
	stop := context.AfterFunc(ctx, l.hurry)
	l.leaving.Wait()
	stop()
	l.hurry()
	return errors.Join(errs...)
}

// Check reports what connections have left behind that are gone. It is a self-check for
// when no connection is open and none can come.
func (l *List) Check() error {
	var wrong []error
	for _, a := range l.index.Load().byID {
		wrong = append(wrong, a.check())
	}
	return errors.Join(wrong...)
}
