package socktopus

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"poosh/server/hub"
	"poosh/server/rotation"
)

// secrets are what an application shows, or signs with. They never change.
type secrets struct {
	now    string
	before string // is as good; empty for none
}

// good reports whether one of them is right, and whether that is the one before, by what
// checks that.
func (s *secrets) good(check func(secret string) error) (good, old bool) {
	if check(s.now) == nil {
		return true, false
	}
	old = s.before != "" && check(s.before) == nil
	return old, old
}

// change prepares what follows from a configuration that was read anew; see
// [dialect.Running]. Applications are known by their names: clients of one whose secret is
// another one stay, and those of one that is not there any more are told CLOSE.
func (d *Dialect) change(cfg Config) (commit func(), err error) {
	before := d.rules.Load()
	next := &rules{Config: cfg, apps: make(map[string]*app), origins: newOrigins(cfg.Origins),
		tooMany: fmt.Sprintf("Too many elements, want at most %d", cfg.MaxMessages), kicks: before.kicks}
	if cap(next.kicks) != cfg.MaxKicks { // who waits gives its place back where it has it from
		next.kicks = make(chan struct{}, cfg.MaxKicks)
	}
	shown := make(map[*app]*secrets)
	previous := make(map[string]string)
	for name, secret := range cfg.Previous {
		previous[fold(name)] = secret
	}
	for name, secret := range cfg.Secrets {
		name = fold(name)
		if secret == "" {
			continue // the original: an empty value is no secret
		}
		if len(secret) > MaxSecret {
			return nil, fmt.Errorf("socktopus: the secret %s is longer than %d bytes", name, MaxSecret)
		}
		if next.apps[name] != nil {
			return nil, errors.New("socktopus: the secret " + name + " is there twice")
		}
		a := before.apps[name]
		if a == nil {
			a = &app{name: name, room: "socktopus:" + name, old: rotation.New("socktopus", name, d.log),
				ends: cfg.Closed.Source("socktopus", name), clients: make(map[string]*client), bars: make(map[string]*bar)}
			a.secrets.Store(&secrets{secret, previous[name]})
		}
		next.apps[name], shown[a] = a, &secrets{secret, previous[name]}
	}
	if len(next.apps) == 0 {
		return nil, errors.New("socktopus: no secret is set")
	}
	next.names = slices.Sorted(maps.Keys(next.apps))
	return func() {
		for a, s := range shown {
			a.secrets.Store(s)
		}
		d.rules.Store(next)
		if cfg.Delivered != nil {
			for a := range shown {
				cfg.Delivered(a.room, func(p *hub.Publication, took int) { a.traffic.Delivered(len(p.Data), took) })
			}
		}
		for name, a := range before.apps {
			if next.apps[name] == nil {
				d.remove(a)
				if cfg.Delivered != nil {
					cfg.Delivered(a.room, nil)
				}
			}
		}
	}, nil
}

// remove ends the clients of an application that nobody finds any more, and the waits of
// /kick for them.
func (d *Dialect) remove(a *app) {
	a.removed.Store(true)
	a.mu.Lock()
	d.missed.Add(uint64(a.away.end()))
	a.mu.Unlock()
	for _, c := range a.all() {
		c.end(endKicked)
	}
	for _, b := range a.allBars() {
		b.fire(true)
	}
}
