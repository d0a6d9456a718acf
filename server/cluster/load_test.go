package cluster

import (
	"strings"
	"sync/atomic"
	"testing"

	"poosh/server/cluster/redistest"
)

// Nodes tell each other of their load with each beat, which wakes nobody; one of a version that
// does not tell is there without.
func TestLoad(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	cfg := config(t, at(redis.Addr))
	cfg.Lease = 3e9
	cfg.Timeout = 1e9
	var told atomic.Int64
	a := join(t, cfg, func(o *Options) {
		o.Load = func() Load { return Load{Connections: int(told.Add(1)), CPU: 0.5, Lag: 0.001} }
	})
	b := join(t, cfg)
	of := func(name string) *Load {
		for _, n := range b.Nodes() {
			if n.Name == name {
				return n.Load
			}
		}
		return nil
	}
	redistest.Until(t, "the other one to hear of it", func() bool { return of(a.Name()) != nil })
	first := *of(a.Name())
	if first.CPU != 0.5 || first.Lag != 0.001 || first.Connections < 1 {
		t.Errorf("%+v", first)
	}
	redistest.Until(t, "a later one", func() bool { return of(a.Name()).Connections > first.Connections })
	if of(b.Name()) != nil {
		t.Error("it tells of a load that it does not know")
	}
	a.table.mu.Lock()
	defer a.table.mu.Unlock()
	if strings.Contains(a.table.told, "load") || !strings.Contains(a.table.told, `"started"`) {
		t.Errorf("each load is news to all: %s", a.table.told)
	}
}
