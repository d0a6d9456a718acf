//go:build unix

package cluster

import (
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"sync"
	"syscall"
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
func (r *radio) listen(t *testing.T, cfg Config, wire *redistest.Wire) *ear {
	t.Helper()
	e := &ear{wire: wire}
	if r.keeps {
		e.kept = history.New(much, shelf)
		e.process = join(t, cfg, shelved(e.kept))
	} else {
		e.process = join(t, cfg)
	}
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
	cfg.Lease, cfg.Timeout = 2*time.Second, time.Second
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

func TestOnce(t *testing.T) {
	redis := redistest.Start(t)
	r := new(radio)
	ears := three(t, r, onceConfig(t, redis.Addr), redis.Addr)
	for _, e := range ears {
		e.enter("a", "b")
	}
	leader(t, ears...)
	var a, b []string
	for i := range 300 {
		r.say(fmt.Sprintf("a:%d", i), "a,b:same")
		a, b = append(a, fmt.Sprint(i), "same"), append(b, "same")
	}
	for _, e := range ears {
		e.wantIn("a", a)
		e.wantIn("b", b)
	}
}

// TestOnceLeaderDies: its messages are taken by another node, each once and in order, with texts that are
// all equal too.
func TestOnceLeaderDies(t *testing.T) {
	for _, c := range []struct {
		how string
		do  func(e *ear)
	}{
		{"killed", func(e *ear) { e.wire.Cut(); e.tune(false) }},
		{"paused", func(e *ear) { e.stand(true) }},
		{"cut off from the cluster", func(e *ear) { e.wire.Cut() }},
		{"cut off from the source", func(e *ear) { e.tune(false) }},
		{"resigns", func(e *ear) { e.source.Resign() }},
	} {
		t.Run(c.how, func(t *testing.T) {
			redis := redistest.Start(t)
			r := new(radio)
			ears := three(t, r, onceConfig(t, redis.Addr), redis.Addr)
			for _, e := range ears {
				e.enter("a", "b")
			}
			leader(t, ears...)
			known(t, ears...)
			var a, b []string
			say := func(from, to int) {
				for i := from; i < to; i++ {
					r.say(fmt.Sprintf("a:%d", i), "b:same")
					a, b = append(a, fmt.Sprint(i)), append(b, "same")
					if i%10 == 0 {
						time.Sleep(time.Millisecond)
					}
				}
			}
			say(0, 500)
			first, others := leader(t, ears...) // a busy machine may have had another one lead meanwhile
			c.do(first)
			say(500, 1000)
			leader(t, others...)
			say(1000, 1200)
			for _, e := range others {
				e.wantIn("a", a)
				e.wantIn("b", b)
			}
			// It comes back, and is as the others are.
			first.wire.Heal()
			first.tune(true)
			first.stand(false)
			say(1200, 1500)
			for _, e := range others {
				e.wantIn("a", a)
				e.wantIn("b", b)
			}
		})
	}
}

// TestOnceEngineForgets: a FLUSHALL costs nothing and doubles nothing, as long as who leads is there.
func TestOnceEngineForgets(t *testing.T) {
	redis := redistest.Start(t)
	r := new(radio)
	ears := three(t, r, config(t, at(redis.Addr)), redis.Addr) // of whom none is given up for a stall of the machine
	for _, e := range ears {
		e.enter("a", "b")
	}
	leader(t, ears...)
	known(t, ears...)
	var a, b []string
	for i := range 600 {
		if i%200 == 100 {
			redis.Do("FLUSHALL")
		}
		if i == 550 { // with what was taken since in the log
			for _, e := range ears {
				e.wantIn("a", a)
				e.wantIn("b", b)
			}
			first, _ := leader(t, ears...)
			first.tune(false) // and another one goes on in what is left
		}
		r.say(fmt.Sprintf("a:%d", i), "b:same")
		a, b = append(a, fmt.Sprint(i)), append(b, "same")
		time.Sleep(time.Millisecond)
	}
	for _, e := range ears {
		e.wantIn("a", a)
		e.wantIn("b", b)
	}
}

// TestOnceEngineAway: what is read while the engine stands still, or is gone and comes back empty, is
// published when it is back.
func TestOnceEngineAway(t *testing.T) {
	for _, how := range []string{"stands still", "restarted"} {
		t.Run(how, func(t *testing.T) {
			redis := redistest.Start(t)
			r := new(radio)
			ears := three(t, r, onceConfig(t, redis.Addr), redis.Addr)
			for _, e := range ears {
				e.enter("a")
			}
			leader(t, ears...)
			var want []string
			say := func(n int) {
				for range n {
					r.say(fmt.Sprintf("a:%d", len(want)))
					want = append(want, fmt.Sprint(len(want)))
				}
			}
			say(100)
			for _, e := range ears {
				e.wantIn("a", want)
			}
			level(t, ears...) // else what had no answer yet is published again
			if how == "restarted" {
				redis.Kill()
			} else {
				redis.Signal(syscall.SIGSTOP)
			}
			say(100)
			time.Sleep(3 * time.Second) // longer than a lease
			say(100)
			if how == "restarted" {
				redis.Run()
			} else {
				redis.Signal(syscall.SIGCONT)
			}
			leader(t, ears...)
			say(100)
			for _, e := range ears {
				e.wantIn("a", want)
			}
		})
	}
}

// TestOnceIsBounded: what can be given to nobody is kept up to a bound, and counted past that.
func TestOnceIsBounded(t *testing.T) {
	redis := redistest.Start(t)
	cfg := config(t, at(redis.Addr)) // with a lease that outlasts what follows: what is dropped by others counts for nothing
	cfg.QueueBytes = 1 << 20
	r := new(radio)
	e := three(t, r, cfg, redis.Addr)[0]
	e.enter("a")
	for _, other := range r.ears[1:] {
		other.tune(false)
	}
	until(t, "it leads", e.source.Leads)
	e.wire.Cut()
	for i := range 400 {
		r.say(fmt.Sprintf("a:%d %s", i, strings.Repeat("x", 10_000)))
	}
	until(t, "some were dropped", func() bool { return e.source.Stats().Full > 250 })
	if n := e.source.Stats().Waiting; n > cfg.QueueBytes {
		t.Errorf("%d bytes wait", n)
	}
	e.wire.Heal()
	until(t, "the last comes", func() bool {
		list := e.in("a")
		return len(list) > 0 && strings.HasPrefix(list[len(list)-1], "399 ")
	})
	if n := len(e.in("a")); n < 80 || n > 150 || n+int(e.source.Stats().Full) != 400 {
		t.Errorf("%d came, and %d were dropped", n, e.source.Stats().Full)
	}
}
