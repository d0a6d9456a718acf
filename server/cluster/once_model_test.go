//go:build unix

package cluster

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"poosh/server/cluster/redistest"
)

var onceSeed = flag.Uint64("once.seed", 0, "of TestOnceModel; 0 for a new one")

// TestOnceModel has nodes be cut off from either Redis, stand still, be killed and resign in a random
// order, while messages come all the time, many of them with one text. At the end each node that was there
// all the time has had each message once and in order, but for those that reached no node at all.
func TestOnceModel(t *testing.T) {
	seed := *onceSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-once.seed %d", seed)
	redis := redistest.Start(t)
	runOnceModel(t, rand.New(rand.NewPCG(seed, 0)), redis.Addr)
}

// TestOnceModelOnRedisCluster is that with partitions on three servers.
func TestOnceModelOnRedisCluster(t *testing.T) {
	seed := *onceSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-once.seed %d", seed)
	servers := redistest.Cluster(t)
	runOnceModel(t, rand.New(rand.NewPCG(seed, 0)), servers[0].Addr)
}

// watched is the node that is never touched: who gets what is seen there.
func runOnceModel(t *testing.T, random *rand.Rand, addr string) {
	r := new(radio)
	cfg := onceConfig(t, addr)
	watched := r.listen(t, cfg, redistest.NewWire(t, addr))
	watched.enter("a", "b", "c")
	watched.tune(false) // it only hears what others take
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
	var a, b, c []string
	go func() { // publishes until over
		defer close(ended)
		for i := 0; ; i++ {
			select {
			case <-over:
				return
			case <-time.After(time.Duration(i%5) * time.Millisecond):
			}
			texts := []string{fmt.Sprintf("a:%d", i), "b:same", fmt.Sprintf("a,c:both%d", i)}
			r.say(texts...)
			a, b, c = append(a, fmt.Sprint(i), fmt.Sprintf("both%d", i)), append(b, "same"), append(c, fmt.Sprintf("both%d", i))
		}
	}()
	for turn := range 6 {
		e := ears[random.IntN(len(ears))]
		if random.IntN(3) > 0 {
			e, _ = leader(t, ears...)
		}
		span := time.Duration(random.IntN(3500)) * time.Millisecond
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
	if got := watched.missedRooms(); len(got) > 0 {
		t.Fatalf("%q were missed", got)
	}
}
