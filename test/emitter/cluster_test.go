package emitter

import (
	"fmt"
	"slices"
	"strings"
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
					list = append(list, emission{to("a", "b"), to(), []any{"union", i, "once"}})
					union = append(union, fmt.Sprintf(`["union",%d,"once"]`, i))
				}
				e.emit(t, redis, list...)
				e.emit(t, redis, emission{to("a", "b"), to(), []any{"end of unions"}})
				both.sees(`["end of unions"]`, union...)
				one.sees(`["end of unions"]`, union...)
				list = nil
				for i := range 20 {
					list = append(list, emission{to("b"), to(), []any{"room", i}})
					room = append(room, fmt.Sprintf(`["room",%d]`, i))
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

// A node that is killed while events come takes none of them along: another one takes what it took and
// did not publish, once and in order.
func TestNodeThatTakesIsKilled(t *testing.T) {
	redis, nodes := three(t)
	leads := func() (at int) {
		redistest.Until(t, "a node leads", func() bool {
			at = slices.IndexFunc(nodes, func(n *node) bool { return n.metric(t, "poosh_emitter_redis_leads") > 0 })
			return at >= 0
		})
		return at
	}
	publish(redis, "nobody", "first")
	taker := leads()
	redistest.Until(t, "it takes", func() bool { return nodes[taker].metric(t, "poosh_emitter_redis_taken_total") > 0 })
	rest := append(append([]*node{}, nodes[:taker]...), nodes[taker+1:]...)
	c := listen(t, redis, []string{"a", "b"}, rest...)
	const many = 400
	done := make(chan struct{})
	go func() { // ends with its events
		defer close(done)
		for i := range many {
			publish(redis, "a", fmt.Sprint("n", i))
			if i == many/2 {
				nodes[taker].Kill()
			}
		}
	}()
	<-done
	want := make([]string, 0, many)
	for i := range many {
		want = append(want, fmt.Sprintf(`["n%d"]`, i))
	}
	publish(redis, "a", "end")
	c.sees(`["end"]`, want...)
	c.unharmed()
	if strings.Contains(rest[0].Log(), "panic") {
		t.Error(rest[0].Log())
	}
}
