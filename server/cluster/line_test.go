package cluster

import (
	"strconv"
	"testing"
	"time"

	"poosh/server/cluster/redistest"
)

// roomOf is a room of a partition.
func roomOf(c *Cluster, partition int) string {
	if partition >= len(c.rooms()) {
		panic("there are not so many partitions")
	}
	for i := 0; ; i++ {
		if room := "room-" + strconv.Itoa(i); c.partition(app, room, false).index == partition {
			return room
		}
	}
}

// All partitions have one connection to one engine. Where that says no to one of them, the others go on over
// it, and that one comes back by it.
func TestOnePartitionIsAwayAlone(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	a := join(t, config(t, at(redis.Addr)))
	bad, good := roomOf(a.Cluster, 1), roomOf(a.Cluster, 0)
	a.enter(bad, good)
	a.mustSend(bad, "1")
	a.mustSend(good, "1")
	p, line := a.parts[1], a.parts[0].current().line
	for _, other := range a.parts {
		if other.current().line != line {
			t.Fatal("two partitions of one engine have two connections")
		}
	}
	redis.Do("SET", p.tag.state(), "is no hash")
	until(t, "it is away", func() bool { return p.current() == nil })
	for i := 2; i <= 50; i++ {
		a.mustSend(good, strconv.Itoa(i))
	}
	if a.parts[0].current().line != line {
		t.Error("another partition has lost its connection")
	}
	if n := redis.Do("PUBSUB", "SHARDCHANNELS", string(p.tag)+"*"); n != "" && n != "*0" {
		t.Errorf("it is still subscribed to: %q", n)
	}
	redis.Do("DEL", p.tag.state())
	until(t, "it is back", func() bool { return p.current() != nil })
	a.mustSend(bad, "2")
	a.hasExactly(good, numbered(1, 50))
	a.hasExactly(bad, numbered(1, 2))
	if p.current().line != line {
		t.Error("it is back by another connection")
	}
}

// A node ends though the engine has said no to all of its partitions.
func TestEndsThoughRefused(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	a := join(t, config(t, at(redis.Addr)))
	line := a.parts[0].current().line
	for _, p := range a.parts {
		redis.Do("SET", p.tag.state(), "is no hash")
	}
	// Each tries again now and then. One that did as the node ends would end the line too.
	until(t, "all have left the line", func() bool {
		for _, p := range a.parts {
			if p.current() != nil || line.links[p.index].Load() != nil {
				return false
			}
		}
		return true
	})
	if line.isOver() {
		t.Fatal("the line has ended before the node")
	}
	done := make(chan error, 1)
	go func() { done <- a.Close(t.Context()) }()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("it does not end")
	}
}

func TestPartitionIn(t *testing.T) {
	for _, prefix := range []string{"poosh", "a.b}{c", "x-1"} {
		for _, db := range []int{0, 7} {
			cfg := Config{Prefix: prefix}
			cfg.Redis.db = db
			c := New(cfg)
			defer c.end()
			for i, p := range c.parts {
				for _, channel := range []string{p.own, p.tag.all(), p.tag.room("1}", "{2}"), p.tag.everyone(app)} {
					if got := c.partitionIn(channel); got != i {
						t.Errorf("%q is in %d, want %d", channel, got, i)
					}
				}
			}
			for _, channel := range []string{"", "poosh", string(c.nodes)[:len(c.nodes)-1], string(c.parts[1].tag)[:len(c.parts[1].tag)-1], prefix + ":{" + prefix + ".16}", prefix + ":{" + prefix + ".}:R"} {
				if got := c.partitionIn(channel); got != -1 {
					t.Errorf("%q is in %d", channel, got)
				}
			}
		}
	}
}
