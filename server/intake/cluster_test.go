package intake

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"poosh/server/cluster"
	"poosh/server/cluster/redistest"
	"poosh/server/hub"
)

// A node is one of a cluster that reads a Redis of others, with a subscriber.
type node struct {
	*bench
	cluster   *cluster.Cluster
	own, from *redistest.Wire // to the cluster's Redis, and to the other one

	mu   sync.Mutex // guards what follows
	took int
}

// startNode makes one.
func startNode(t *testing.T, engine, source string) *node {
	t.Helper()
	n := &node{own: redistest.NewWire(t, engine), from: redistest.NewWire(t, source)}
	at, err := cluster.ParseEngine("redis://" + n.own.Addr)
	if err != nil {
		t.Fatal(err)
	}
	n.cluster = cluster.New(cluster.Config{Redis: at, Prefix: "t", Lease: 2 * time.Second, Timeout: time.Second, Backlog: 4 << 20, QueueBytes: 32 << 20})
	h := hub.NewWith(n.cluster, nil)
	n.bench = read(t, "redis://"+n.from.Addr, func(c *Config) {
		quick(c)
		c.Hub, c.Once = h, n.cluster
		c.Handed = func(*hub.Publication, hub.Handed) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.took++
		}
	})
	if err := n.cluster.Join(t.Context(), cluster.Options{
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Apps: []string{"app"}, Deliver: h.DeliverAt,
		Missed: func(string, string, bool, hub.Position) {},
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		_ = n.cluster.Close(ctx)
	})
	s := h.Register("app", "s", 10, encoder{}, seat(n.came))
	subscribed := make(chan error, 1)
	n.cluster.Subscribe("app", "r", func(err error) {
		_ = h.Join(s, "r")
		subscribed <- err
	})
	if err := <-subscribed; err != nil {
		t.Fatal(err)
	}
	n.connected(0)
	return n
}

// TestNodesTakeOnce: each message that is published in a Redis that three nodes read reaches the clients of
// each once and in order, though the node that publishes them is killed, and one is cut off from that Redis.
func TestNodesTakeOnce(t *testing.T) {
	engine, source := redistest.Start(t), redistest.Start(t)
	nodes := []*node{startNode(t, engine.Addr, source.Addr), startNode(t, engine.Addr, source.Addr), startNode(t, engine.Addr, source.Addr)}
	leads := func() (n *node) {
		redistest.Until(t, "a node leads", func() bool {
			n = nil
			for _, other := range nodes {
				if other.reader.source.Leads() {
					n = other
				}
			}
			return n != nil
		})
		return n
	}
	leads()
	var want []string
	publish := func(n int) {
		for range n {
			text := fmt.Sprint(len(want) / 2)
			source.Do("PUBLISH", "p:x", text)
			source.Do("PUBLISH", "p:x", "same")
			want = append(want, text, "same")
		}
	}
	publish(200)
	killed := leads()
	killed.own.Cut()
	killed.from.Cut()
	publish(300)
	nodes = slices.DeleteFunc(nodes, func(n *node) bool { return n == killed })
	cut := leads()
	publish(100)
	cut.from.Cut()
	publish(300)
	cut.from.Heal()
	leads()
	publish(200)
	for _, n := range nodes {
		n.want(want...)
	}
	source.Do("PUBLISH", "p:x", "end")
	for _, n := range nodes {
		n.want("end")
	}
	took := 0
	for _, n := range append(nodes, killed) {
		n.mu.Lock()
		took += n.took
		n.mu.Unlock()
	}
	// What the killed node wrote last was published, and the answer went with it: one command has at the most 128.
	if took > len(want)+1 || took < len(want)-128 {
		t.Errorf("%d were told to be taken, of %d", took, len(want)+1)
	}
}
