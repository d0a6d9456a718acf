package cluster

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"poosh/server/cluster/redistest"
	"poosh/server/hub"
	"poosh/server/hub/history"
)

// The truth is what was published, by its number.
type truth struct {
	mu sync.Mutex // guards what follows
	of map[hub.Position][2]string
}

func (w *truth) note(o *Options) {
	deliver := o.Deliver
	o.Deliver = func(p *hub.Publication, at hub.Position) int {
		w.mu.Lock()
		if p.App == app && !p.Passing {
			w.of[at] = [2]string{p.Room, string(p.Data)}
		}
		w.mu.Unlock()
		return deliver(p, at)
	}
}

// missed is what somebody in a room missed between two places.
func (w *truth) missed(room string, from, to hub.Position) (texts []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for n := from.Number + 1; n <= to.Number; n++ {
		if e, ok := w.of[hub.Position{Epoch: from.Epoch, Number: n}]; ok && e[0] == room {
			texts = append(texts, e[1])
		}
	}
	return texts
}

// enter looks what somebody gets who enters a room now, as entries do: once the node has heard all that was published
// before. Redis may be away for a moment.
func (n *library) enter(room string, from hub.Position) (texts []string, whole bool, head hub.Position) {
	until(n.t, "the room may be entered", func() bool {
		answered := make(chan error, 1)
		n.Fence(app, room, false, func(_ hub.Position, err error) {
			if err == nil {
				texts, _, whole, head = n.look(room, from)
			}
			answered <- err
		})
		return <-answered == nil
	})
	return texts, whole, head
}

// Nodes come and go, all of them too, while others publish and Redis forgets everything now and then: whoever comes
// back, wherever, gets exactly what was published, or a no; and no no as long as nothing was forgotten. Cables are cut,
// for longer than the backlog holds too.
func TestHistoryModel(t *testing.T) {
	t.Parallel()
	for _, bounds := range []history.Config{much, {Age: 10 * time.Minute, Bytes: 128 << 10, Events: 50}} {
		t.Run(fmt.Sprint(bounds.Bytes), func(t *testing.T) {
			t.Parallel()
			historySeeds.each(t, func(t *testing.T, draw *rand.Rand) { runHistoryModel(t, draw, bounds) })
		})
	}
}

var historySeeds = newSeeds("history.seed", 1, 2)

func runHistoryModel(t *testing.T, draw *rand.Rand, bounds history.Config) {
	redis := redistest.Start(t)
	cfg := config(t, at(redis.Addr))
	cfg.Backlog = 8 << 10 // of which eight times as much is less than is published while one is cut off
	w := &truth{of: make(map[hub.Position][2]string)}
	var nodes []*library
	wires := make(map[*library]*redistest.Wire)
	begin := func() *library {
		far, wire := wired(t, cfg, redis.Addr)
		n := openLibrary(t, far, bounds, w.note)
		wires[n] = wire
		return n
	}
	place := make(map[string]hub.Position) // of who is away, by room
	yes, no, refills := 0, 0, uint64(0)
	for step := range 400 {
		for len(nodes) < 1+draw.IntN(2) {
			nodes = append(nodes, begin())
		}
		n := nodes[draw.IntN(len(nodes))]
		room := fmt.Sprint("r", draw.IntN(4))
		switch draw.IntN(13) {
		case 0:
			n.leave()
			nodes = slices.DeleteFunc(nodes, func(m *library) bool { return m == n })
		case 1:
			for _, m := range nodes {
				m.leave()
			}
			nodes = nil
		case 2, 3, 4, 5: // somebody comes back, and goes again
			from := place[room]
			got, whole, head := n.enter(room, from)
			if whole {
				yes++
				if want := w.missed(room, from, head); !slices.Equal(got, want) {
					t.Fatalf("step %d: in %s behind %v there is %v, want %v", step, room, from, short(got), short(want))
				}
			} else if !from.IsZero() {
				no++
				if bounds.Bytes == much.Bytes && from.Epoch == head.Epoch {
					t.Fatalf("step %d: in %s behind %v of %v it knows nothing", step, room, from, head)
				}
			}
			place[room] = head
		case 6:
			if draw.IntN(8) == 0 {
				redis.Do("FLUSHALL")
			}
		case 7: // a link ends, and what is published meanwhile is asked for
			p := n.partition(app, "", true)
			if l := p.current(); l != nil {
				l.fail(errors.New("cut by the test"))
			}
			if err := nodes[0].publish(room, fmt.Sprint(step, ".cut")); err != nil && !errors.Is(err, hub.ErrUncertain) {
				t.Fatal(err)
			}
			until(t, "it is back", func() bool { return p.current() != nil })
		case 8: // one is cut off for longer than the backlog holds
			if draw.IntN(2) == 0 {
				continue
			}
			if len(nodes) < 2 {
				nodes = append(nodes, begin())
			}
			i := draw.IntN(len(nodes))
			cut, other := nodes[i], nodes[(i+1)%len(nodes)]
			before := cut.count.refilled.Load()
			cut.cutOff(wires[cut].Cut)
			for i := range 100 + draw.IntN(300) {
				if err := other.publish(room, fmt.Sprint(step, ".away", i, strings.Repeat("x", 800))); err != nil && !errors.Is(err, hub.ErrUncertain) {
					t.Fatal(err)
				}
				if i < 50 && draw.IntN(500) == 0 { // a new log begins before it is back
					redis.Do("FLUSHALL")
				}
			}
			wires[cut].Heal()
			for i := range draw.IntN(100) { // as it comes back
				if err := other.publish(room, fmt.Sprint(step, ".back", i)); err != nil && !errors.Is(err, hub.ErrUncertain) {
					t.Fatal(err)
				}
			}
			cut.again(before + 1)
			refills++
			if err := cut.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		default:
			for i := range 1 + draw.IntN(40) {
				if err := n.publish(room, fmt.Sprint(step, ".", i, strings.Repeat("x", draw.IntN(500)))); err != nil && !errors.Is(err, hub.ErrUncertain) {
					t.Fatal(err)
				}
			}
			if err := n.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Logf("%d got what they missed, %d were told no, %d times a log was filled again", yes, no, refills)
	if yes == 0 || refills == 0 {
		t.Error("nobody got anything, or no log was filled again")
	}
}
