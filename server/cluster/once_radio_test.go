//go:build unix

package cluster

import (
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"poosh/server/cluster/redistest"
	"poosh/server/hub"
	"poosh/server/hub/history"
	"poosh/server/presence"
)

// A radio is a source outside: what is said reaches each node that listens at that moment.
type radio struct {
	keeps bool // who listens keeps what is said in the room shelf

	mu   sync.Mutex // guards what follows
	ears []*ear
}

// shelf is the app of tests whose events are kept, and its one room.
const shelf = "shelf"

// appOf is that of a room.
func appOf(room string) string {
	if room == shelf {
		return shelf
	}
	return app
}

// shelved has a node keep what is of shelf.
func shelved(log *history.Log) func(*Options) {
	return func(o *Options) {
		o.Apps, o.Together = []string{app, shelf}, log.Keeps
		o.Keeping = func(name string) Keeping {
			bytes, age := log.Bounds(name)
			return Keeping{bytes, age}
		}
		o.Fill = func(name string, behind hub.Position) Filling { return log.Fill(name, behind) }
		o.Reached = log.Reach
		deliver, missed := o.Deliver, o.Missed
		o.Deliver = func(p *hub.Publication, at hub.Position) int {
			if log.Keeps(p.App) && !p.Passing && !at.IsZero() {
				log.AppendAt(p, at, func(hub.Position) {})
			}
			return deliver(p, at)
		}
		o.Missed = func(name, room string, everyone bool, at hub.Position) {
			if log.Keeps(name) {
				log.Begin(name, at)
			}
			missed(name, room, everyone, at)
		}
	}
}

// An ear is a node that listens.
type ear struct {
	*process
	source presence.Source
	wire   *redistest.Wire
	kept   *history.Log // of shelf; nil for none

	mu     sync.Mutex // guards what follows
	queue  []string
	on     bool
	paused bool
	moved  *sync.Cond
	over   bool
}

// listen makes a node of a cluster that listens.
func (r *radio) listen(t *testing.T, cfg Config, wire *redistest.Wire, change ...func(*Options)) *ear {
	t.Helper()
	e := &ear{wire: wire}
	if r.keeps {
		e.kept = history.New(much, shelf)
		change = append(change, shelved(e.kept))
	}
	e.process = join(t, cfg, change...)
	e.source = e.Source("radio")
	e.moved = sync.NewCond(&e.mu)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		e.hear()
	}()
	t.Cleanup(func() {
		e.mu.Lock()
		e.over = true
		e.moved.Broadcast()
		e.mu.Unlock()
		<-ended
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		e.source.Stop(ctx)
	})
	r.mu.Lock()
	r.ears = append(r.ears, e)
	r.mu.Unlock()
	e.tune(true)
	return e
}

// enter seats somebody in rooms. A busy machine may keep the engine's answer for longer than a node waits for that.
func (e *ear) enter(rooms ...string) {
	e.t.Helper()
	for _, room := range rooms {
		until(e.t, "a room is entered", func() bool {
			entered := make(chan error, 1)
			e.Fence(app, room, false, func(_ hub.Position, err error) {
				if err == nil {
					e.Occupied(app, room, false)
				}
				entered <- err
			})
			return <-entered == nil
		})
	}
}

// hear hands on what was said, a text "room:rest" each.
func (e *ear) hear() {
	for {
		e.mu.Lock()
		for (len(e.queue) == 0 || e.paused) && !e.over {
			e.moved.Wait()
		}
		if e.over {
			e.mu.Unlock()
			return
		}
		text := e.queue[0]
		e.queue = e.queue[1:]
		e.mu.Unlock()
		switch text {
		case "on", "off":
			e.source.Reads(text == "on")
			continue
		}
		h := fnv.New64a()
		h.Write([]byte(text))
		var list []*hub.Publication
		rooms, data, _ := strings.Cut(text, ":")
		for room := range strings.SplitSeq(rooms, ",") {
			list = append(list, &hub.Publication{App: appOf(room), Room: room, Event: "e", Data: []byte(data)})
		}
		e.source.Read(h.Sum64(), list, nil)
	}
}

// tune has the node listen, or not.
func (e *ear) tune(on bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.on == on {
		return
	}
	e.on = on
	text := "off"
	if on {
		text = "on"
	}
	e.queue = append(e.queue, text)
	e.moved.Broadcast()
}

// stand has the node stand still, or go on.
func (e *ear) stand(still bool) {
	if still {
		e.wire.Hold()
	}
	e.mu.Lock()
	e.paused = still
	e.moved.Broadcast()
	e.mu.Unlock()
	if !still {
		e.wire.Release()
	}
}

// say reaches who listens.
func (r *radio) say(texts ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, text := range texts {
		for _, e := range r.ears {
			e.mu.Lock()
			if e.on {
				e.queue = append(e.queue, text)
				e.moved.Broadcast()
			}
			e.mu.Unlock()
		}
	}
}

// onceConfig is that of nodes that find each other dead soon.
func onceConfig(t *testing.T, addr string) Config {
	cfg := config(t, at(addr))
	cfg.Lease, cfg.Timeout = 3*time.Second, 2*time.Second
	return cfg
}

// leader waits until one leads, and returns it and the others.
func leader(t *testing.T, ears ...*ear) (leads *ear, others []*ear) {
	t.Helper()
	until(t, "one node leads", func() bool {
		leads, others = nil, nil
		for _, e := range ears {
			switch {
			case !e.source.Leads():
				others = append(others, e)
			case leads != nil:
				return false
			default:
				leads = e
			}
		}
		return leads != nil
	})
	return leads, others
}

// known waits until nodes know where they stand, as they do once a partition was quiet for a moment.
func known(t *testing.T, ears ...*ear) {
	t.Helper()
	until(t, "the nodes know where they stand", func() bool {
		for _, e := range ears {
			s := e.source.(*source)
			s.mu.Lock()
			for _, p := range s.tapes {
				if !p.fixed {
					s.mu.Unlock()
					return false
				}
			}
			s.mu.Unlock()
		}
		return true
	})
}

// level waits until nodes know that all was taken that they have read.
func level(t *testing.T, ears ...*ear) {
	t.Helper()
	until(t, "the nodes know that all was taken", func() bool {
		for _, e := range ears {
			s := e.source.(*source)
			s.mu.Lock()
			behind := slices.ContainsFunc(s.tapes[:], func(p *tape) bool { return p.under > 0 || p.next < len(p.list) })
			s.mu.Unlock()
			if behind {
				return false
			}
		}
		return true
	})
}

// wantIn waits until a node has had so much of a room, and compares.
func (e *ear) wantIn(room string, want []string) {
	e.t.Helper()
	for end := time.Now().Add(30 * time.Second); len(e.in(room)) < len(want) && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		continue
	}
	if got := e.in(room); !slices.Equal(got, want) {
		for i := range min(len(got), len(want)) {
			if got[i] != want[i] {
				e.t.Logf("the first that differs is number %d: %q, want %q", i, got[i], want[i])
				break
			}
		}
		e.t.Fatalf("%s had %s\nwant %s\nlog %s", e.Name(), brief(got), brief(want), e.log)
	}
}

func brief(list []string) string { return fmt.Sprintf("%d: %.200q", len(list), list) }

// three makes nodes with a wire each.
func three(t *testing.T, r *radio, cfg Config, addr string) (list []*ear) {
	for range 3 {
		w := redistest.NewWire(t, addr)
		at, err := ParseEngine("redis://" + w.Addr)
		if err != nil {
			t.Fatal(err)
		}
		own := cfg
		own.Redis = at
		list = append(list, r.listen(t, own, w))
	}
	return list
}
