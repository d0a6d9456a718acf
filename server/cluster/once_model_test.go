//go:build unix

package cluster

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"poosh/server/cluster/redistest"
	"poosh/server/hub"
)

var (
	onceSeeds        = newSeeds("once.seed", 1, 2)
	onceClusterSeeds = newSeeds("once.cluster.seed", 3)
)

// TestOnceModel has nodes be cut off from either Redis, stand still, be killed and resign in a random
// order, while messages come all the time, many of them with one text. At the end each node that was there
// all the time has had each message once and in order, but for those that reached no node at all, and so has
// a node that starts then, of what is kept.
func TestOnceModel(t *testing.T) {
	onceSeeds.each(t, func(t *testing.T, draw *rand.Rand) { runOnceModel(t, draw, redistest.Start(t).Addr) })
}

// TestOnceModelOnRedisCluster is that with partitions on three servers.
func TestOnceModelOnRedisCluster(t *testing.T) {
	onceClusterSeeds.each(t, func(t *testing.T, draw *rand.Rand) { runOnceModel(t, draw, redistest.Cluster(t)[0].Addr) })
}

// watched is the node that is never touched: who gets what is seen there.
func runOnceModel(t *testing.T, random *rand.Rand, addr string) {
	r := &radio{keeps: true}
	cfg := onceConfig(t, addr)
	watched := r.listen(t, cfg, redistest.NewWire(t, addr))
	watched.enter("a", "b", "c")
	watched.tune(false) // it only hears what others take
	begin := watched.shelfHead()
	ears := three(t, r, cfg, addr)
	if len(r.ears) != 4 {
		t.Fatal("not four")
	}
	leader(t, ears...)
	known(t, ears...)
	defer func() {
		if t.Failed() {
			for _, e := range r.ears {
				t.Logf("%s says\n%s", e.Name(), e.log)
			}
		}
	}()
	over, ended := make(chan struct{}), make(chan struct{})
	var a, b, c, kept []string
	go func() { // publishes until over
		defer close(ended)
		for i := 0; ; i++ {
			select {
			case <-over:
				return
			case <-time.After(time.Duration(i%5) * time.Millisecond):
			}
			texts := []string{fmt.Sprintf("a:%d", i), "b:same", fmt.Sprintf("a,c,shelf:both%d", i), "shelf:same"}
			r.say(texts...)
			both := fmt.Sprintf("both%d", i)
			a, b, c, kept = append(a, fmt.Sprint(i), both), append(b, "same"), append(c, both), append(kept, both, "same")
		}
	}()
	for turn := range 6 {
		e := ears[random.IntN(len(ears))]
		if random.IntN(3) > 0 {
			e, _ = leader(t, ears...)
		}
		span := time.Duration(random.IntN(4500)) * time.Millisecond
		what := random.IntN(4)
		t.Logf("turn %d: %s, %d for %s", turn, e.Name(), what, span)
		switch what {
		case 0:
			e.wire.Cut()
			time.Sleep(span)
			e.wire.Heal()
		case 1:
			e.stand(true)
			time.Sleep(span)
			e.stand(false)
		case 2:
			e.tune(false)
			time.Sleep(span)
			e.tune(true)
		case 3: // killed, and another one in its place
			e.end()
			e.wire.Cut()
			e.tune(false)
			time.Sleep(span)
			w := redistest.NewWire(t, addr)
			own := cfg
			own.Redis, _ = ParseEngine("redis://" + w.Addr)
			for i := range ears {
				if ears[i] == e {
					ears[i] = r.listen(t, own, w)
				}
			}
		}
		leader(t, ears...)
		time.Sleep(time.Duration(random.IntN(1500)) * time.Millisecond)
	}
	close(over)
	<-ended
	watched.wantIn("a", a)
	watched.wantIn("c", c)
	watched.wantIn("b", b)
	watched.wantIn(shelf, kept)
	there, places := watched.shelfBehind(begin)
	if !slices.Equal(there, kept) {
		t.Fatalf("who was there all the time has kept %s\nwant %s", brief(there), brief(kept))
	}
	late := r.listen(t, cfg, redistest.NewWire(t, addr))
	if texts, at := late.shelfBehind(begin); !slices.Equal(texts, kept) || !slices.Equal(at, places) {
		t.Fatalf("who starts then has %s\nwant %s, at the same places", brief(texts), brief(kept))
	}
	if got := watched.missedRooms(); len(got) > 0 {
		t.Fatalf("%q were missed", got)
	}
}

// shelfHead is how far a node's log is.
func (e *ear) shelfHead() (at hub.Position) {
	e.kept.Hold(shelf, func(head hub.Position, _ hub.Reader) { at = head })
	return at
}

// shelfBehind is what a node's log has behind a place; nothing for one that does not have all.
func (e *ear) shelfBehind(from hub.Position) (texts []string, places []uint64) {
	e.kept.Hold(shelf, func(head hub.Position, read hub.Reader) {
		x := read([]hub.Span{{Room: shelf, After: from.Number, UpTo: head.Number}}, func(bool, int, int) bool { return true })
		if !x.Whole || head.Epoch != from.Epoch {
			return
		}
		for _, k := range x.List {
			texts, places = append(texts, string(k.Data)), append(places, k.At.Number)
		}
	})
	return texts, places
}
