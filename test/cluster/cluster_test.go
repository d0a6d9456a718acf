package cluster

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"poosh/server/cluster/redistest"
)

// Two senders at two nodes: everybody on each node gets everything once, in one order.
func TestOneOrder(t *testing.T) {
	_, nodes := three(t)
	w := watch(t, nodes, "r")
	a, b := nodes[0].sends("a", "r", 150), nodes[1].sends("b", "r", 150)
	a.wait(t)
	b.wait(t)
	if len(a.taken) != 150 || len(b.taken) != 150 {
		t.Errorf("taken: %d and %d; %v, %v", len(a.taken), len(b.taken), a.statuses, b.statuses)
	}
	w.agree(nodes, a, b)
	w.unharmed(nodes)
	for i, n := range nodes {
		if got := n.metric(t, "poosh_cluster_nodes"); got != 3 {
			t.Errorf("node %d knows of %d", i+1, got)
		}
	}
}

// Redis ends and comes back, without what it knew: nobody is disconnected, senders are told, and
// balancers. A node that is cut off alone is no island either.
func TestRedisAwayAndBack(t *testing.T) {
	redis, nodes := three(t)
	w := watch(t, nodes, "r")
	a, b := nodes[0].sends("a", "r", 0), nodes[1].sends("b", "r", 0)
	ready := func(want int, of ...*node) {
		t.Helper()
		for _, n := range of {
			redistest.Until(t, fmt.Sprint("/ready to say ", want), func() bool {
				got, text := n.get(t, "/ready")
				return got == want && (want == http.StatusOK || strings.Contains(text, "cluster"))
			})
		}
	}
	redis.Kill()
	ready(http.StatusServiceUnavailable, nodes...)
	redis.Run()
	ready(http.StatusOK, nodes...)
	redis.Do("FLUSHALL")
	nodes[1].wire.Cut()
	ready(http.StatusServiceUnavailable, nodes[1])
	nodes[1].wire.Heal()
	ready(http.StatusOK, nodes...)
	before := nodes[2].metric(t, "poosh_cluster_received_total")
	redistest.Until(t, "events", func() bool { return nodes[2].metric(t, "poosh_cluster_received_total") > before+50 })
	a.stop(t)
	b.stop(t)
	if a.statuses[503] == 0 || b.statuses[503] == 0 || a.statuses[200] == 0 || a.statuses[200]+a.statuses[503] != sum(a.statuses) {
		t.Errorf("answers: %v and %v", a.statuses, b.statuses)
	}
	w.agree(nodes, a, b)
	w.unharmed(nodes)
}

func sum(counts map[int]int) (n int) {
	for _, c := range counts {
		n += c
	}
	return n
}

// A node that is killed takes nobody with it, and is gone from the table with its lease. One that
// ends in order loses nothing that it took.
func TestNodesEnd(t *testing.T) {
	_, nodes := three(t)
	w := watch(t, nodes, "r")
	a := nodes[0].sends("a", "r", 0)
	nodes[2].Kill()
	redistest.Until(t, "the others to know", func() bool { return nodes[0].metric(t, "poosh_cluster_nodes") == 2 })
	b := nodes[1].sends("b", "r", 0)
	before := nodes[0].metric(t, "poosh_cluster_received_total")
	redistest.Until(t, "events", func() bool { return nodes[0].metric(t, "poosh_cluster_received_total") > before+50 })
	nodes[1].Terminate()
	b.stop(t)
	redistest.Until(t, "the other to know", func() bool { return nodes[0].metric(t, "poosh_cluster_nodes") == 1 })
	a.stop(t)
	if len(b.taken) == 0 {
		t.Errorf("%v", b.statuses)
	}
	w.agree(nodes[:1], a, b)
	w.unharmed(nodes[:1])
}

// Two clusters on one Redis never meet.
func TestPrefixes(t *testing.T) {
	redis := redistest.Start(t)
	one, other := startNode(t, redis), startNode(t, redis, "CLUSTER_PREFIX=other")
	w, x := watch(t, []*node{one}, "r"), watch(t, []*node{other}, "r")
	a, b := one.sends("a", "r", 20), other.sends("b", "r", 20)
	a.wait(t)
	b.wait(t)
	w.agree([]*node{one}, a)
	x.agree([]*node{other}, b)
	for _, of := range []struct {
		w *watcher
		s *sender
	}{{w, b}, {x, a}} {
		of.w.mu.Lock()
		for id, list := range of.w.got {
			if got := events(list, of.s); len(got) > 0 {
				t.Errorf("%s has %v of the other cluster", id, got)
			}
		}
		of.w.mu.Unlock()
	}
	if n := one.metric(t, "poosh_cluster_nodes"); n != 1 {
		t.Errorf("%d nodes", n)
	}
}

// laterVersion publishes an envelope of a version to come to the room r, as a node that has it
// would: it has a number as any other.
const laterVersion = `
for _, channel in ipairs(redis.call('PUBSUB', 'SHARDCHANNELS')) do
  local tag = channel:match('^(.*):R:')
  if tag and channel:sub(-2) == '\0r' then
    local last = redis.call('LINDEX', tag .. ':l', -1)
    local number = redis.call('HINCRBY', tag .. ':n', 'n', 1)
    return redis.call('SPUBLISH', channel, last:match('^%d+') .. ' ' .. number .. ' \250 of a version to come')
  end
end
return 0`

// What a later version says is dropped and counted, and all else goes on.
func TestLaterVersion(t *testing.T) {
	redis, nodes := three(t)
	w := watch(t, nodes, "r")
	a := nodes[0].sends("a", "r", 5)
	a.wait(t)
	if got := redis.Do("EVAL", laterVersion, "0"); got != ":3" {
		t.Fatalf("handed to %s nodes", got)
	}
	b := nodes[1].sends("b", "r", 5)
	b.wait(t)
	w.agree(nodes, a, b)
	w.unharmed(nodes)
	for i, n := range nodes {
		if got := n.metric(t, `poosh_cluster_envelopes_dropped_total{reason="version"}`); got != 1 {
			t.Errorf("node %d dropped %d", i+1, got)
		}
	}
}
