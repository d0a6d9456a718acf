package emitter

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"poosh/server/cluster/redistest"
)

// three starts a cluster of three nodes, all of which read events in the same Redis.
func three(t *testing.T, more ...string) (redis *redistest.Server, nodes []*node) {
	t.Helper()
	redis = redistest.Start(t)
	for range 3 {
		nodes = append(nodes, start(t, redis, append([]string{"CLUSTER_REDIS=redis://" + redis.Addr, "CLUSTER_LEASE=4s", "CLUSTER_TIMEOUT=1s"}, more...)...))
	}
	return redis, nodes
}

// In a cluster each event reaches the clients of every node once, in order, whoever emits it.
func TestCluster(t *testing.T) {
	for name, more := range map[string][]string{"plain": nil, "with history": {"HISTORY=1m"}} {
		t.Run(name, func(t *testing.T) {
			redis, nodes := three(t, more...)
			both, one := listen(t, redis, []string{"a", "b"}, nodes...), listen(t, redis, []string{"b"}, nodes...)
			for _, e := range emitters {
				// To rooms of one order each: between those of several nothing says which is first.
				var list []emission
				var union, room []string
				for i := range 20 {
					list = append(list, emission{to("a", "b"), to(), []any{"union", fmt.Sprint(i), "once"}})
					union = append(union, fmt.Sprintf(`["union","%d","once"]`, i))
				}
				e.emit(t, redis, list...)
				e.emit(t, redis, emission{to("a", "b"), to(), []any{"end of unions"}})
				both.sees(`["end of unions"]`, union...)
				one.sees(`["end of unions"]`, union...)
				list = nil
				for i := range 20 {
					list = append(list, emission{to("b"), to(), []any{"room", fmt.Sprint(i)}})
					room = append(room, fmt.Sprintf(`["room","%d"]`, i))
				}
				e.emit(t, redis, append(list, emission{to("b"), to(), []any{"end of room"}})...)
				both.sees(`["end of room"]`, room...)
				one.sees(`["end of room"]`, room...)
			}
			both.unharmed()
			one.unharmed()
		})
	}
}

// The node that publishes is killed while events come, and takes none of them along: another one takes what it
// took and did not publish, once and in order.
func TestNodeThatTakesIsKilled(t *testing.T) {
	redis, nodes := three(t)
	var crowds []*crowd
	for _, n := range nodes {
		crowds = append(crowds, listen(t, redis, []string{"a", "b"}, n))
	}
	const many = 200 // before it is killed, and after that
	begun, killed, done, sent := make(chan struct{}), make(chan struct{}), make(chan struct{}), 0
	end := sync.OnceFunc(func() { close(killed) })
	defer func() { end(); <-done }()
	go func() { // ends with its events, so many after it is told that the node is killed
		defer close(done)
		for left := many; left > 0; sent++ {
			publish(redis, "a", fmt.Sprint("n", sent))
			if sent == many {
				close(begun)
			}
			select {
			case <-killed:
				left--
			default:
			}
		}
	}()
	<-begun
	leads := 0
	redistest.Until(t, "a node says that it publishes", func() bool {
		for leads = range nodes {
			if nodes[leads].metric(t, "poosh_emitter_redis_leads") == 1 {
				return true
			}
		}
		return false
	})
	nodes[leads].Kill()
	end()
	<-done
	publish(redis, "a", "end")
	want := make([]string, 0, sent)
	for i := range sent {
		want = append(want, fmt.Sprintf(`["n%d"]`, i))
	}
	for i, c := range crowds {
		if i == leads {
			continue // its clients are gone with it
		}
		c.sees(`["end"]`, want...)
		c.unharmed()
		if strings.Contains(nodes[i].Log(), "panic") {
			t.Error(nodes[i].Log())
		}
	}
	took := 0
	for i, n := range nodes {
		if i != leads {
			took += n.metric(t, "poosh_emitter_redis_taken_total")
		}
	}
	if took < many {
		t.Errorf("the others took %d, and at least %d came after the one that took was killed", took, many)
	}
}
