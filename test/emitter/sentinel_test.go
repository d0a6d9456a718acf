package emitter

import (
	"fmt"
	"slices"
	"testing"

	"poosh/server/cluster/redistest"
)

// Where the primary of the emitters' Redis is killed while events come, its clients get all that was published
// at the new one since it is read, in order, and nothing twice: of one process alone, and of a cluster that has
// another Redis.
func TestSentinelFailover(t *testing.T) {
	t.Parallel()
	primary, replica, sentinels := redistest.Sentinel(t)
	at, own := "EMITTER_REDIS="+redistest.SentinelURL(sentinels), redistest.Start(t)
	nodes := []*node{start(t, primary, at)}
	for range 2 {
		nodes = append(nodes, start(t, primary, at, "CLUSTER_REDIS=redis://"+own.Addr, "CLUSTER_LEASE=4s", "CLUSTER_TIMEOUT=1s"))
	}
	c := listen(t, primary, []string{"a"}, nodes...)
	var before []string
	for i := range 50 {
		publish(primary, "a", fmt.Sprint("n", i))
		before = append(before, fmt.Sprintf(`["n%d"]`, i))
	}
	publish(primary, "a", "before")
	c.sees(`["before"]`, before...)

	sent := redistest.ThroughFailover(t, primary, replica, sentinels, len(nodes), func(n int) (channel, payload string) {
		return "socket.io#emitter", message("a", fmt.Sprint("n", n))
	})
	publish(replica, "a", "end")
	for client, list := range c.until(`["end"]`) {
		var got []int
		for _, said := range list[:len(list)-1] {
			var n int
			if _, err := fmt.Sscanf(said, `["n%d"]`, &n); err != nil {
				t.Errorf("%s saw %s", client, said)
			}
			got = append(got, n)
		}
		if err := sent.Check(got); err != nil {
			t.Errorf("%s: %v", client, err)
		}
	}
	c.unharmed()
	for i, n := range nodes {
		if gaps := n.metric(t, "poosh_emitter_redis_gaps_total"); gaps < 1 || n.metric(t, "poosh_emitter_redis_connected") != 1 {
			t.Errorf("node %d counts %d gaps, and reads: %d", i, gaps, n.metric(t, "poosh_emitter_redis_connected"))
		}
	}
	if !slices.ContainsFunc(nodes[1:], func(n *node) bool { return n.metric(t, "poosh_emitter_redis_leads") == 1 }) {
		t.Error("no node of the cluster publishes")
	}
}
