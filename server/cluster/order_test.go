package cluster

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"poosh/server/cluster/redistest"
	"poosh/server/hub"
)

// What two nodes accept one after the other reaches both in that order, once.
func TestOneOrder(t *testing.T) {
	t.Parallel()
	cfg := config(t, at(redistest.Start(t).Addr))
	a, b := join(t, cfg), join(t, cfg)
	a.enter("r")
	b.enter("r")
	nodes := []*process{a, b}
	for i := 1; i <= 100; i++ {
		if h := nodes[i%2].send("r", fmt.Sprint(i)); h.Err != nil || h.Nodes != 2 {
			t.Fatalf("%d became %+v, want 2 nodes", i, h)
		}
	}
	a.hasExactly("r", numbered(1, 100))
	b.hasExactly("r", numbered(1, 100))
}

// What comes at the same time has one order on all nodes, and everybody's own is kept.
func TestConcurrentPublishersHaveOneOrder(t *testing.T) {
	t.Parallel()
	cfg := config(t, at(redistest.Start(t).Addr))
	nodes := []*process{join(t, cfg), join(t, cfg), join(t, cfg)}
	rooms := []string{"r", "s", "*"}
	for _, n := range nodes {
		n.enter("r", "s")
	}
	const each = 200
	var sending sync.WaitGroup
	for i, n := range nodes {
		for _, room := range rooms {
			sending.Go(func() {
				var answered sync.WaitGroup
				for k := range each {
					answered.Add(1)
					pub := &hub.Publication{App: app, Room: room, Data: fmt.Appendf(nil, "%d/%d", i, k)}
					if room == "*" {
						pub.Room, pub.Everyone = "", true
					}
					n.Publish(pub, func(h hub.Handed) {
						if h.Err != nil || h.Nodes != len(nodes) {
							t.Errorf("became %+v", h)
						}
						answered.Done()
					})
				}
				answered.Wait()
			})
		}
	}
	sending.Wait()
	for _, room := range rooms {
		for _, n := range nodes {
			until(t, "everything is there", func() bool { return len(n.in(room)) >= len(nodes)*each })
		}
		want := nodes[0].in(room)
		for _, n := range nodes[1:] {
			if !slices.Equal(n.in(room), want) {
				t.Errorf("%q has two orders", room)
			}
		}
		for i := range nodes {
			var own []string
			for _, text := range want {
				if strings.HasPrefix(text, fmt.Sprint(i, "/")) {
					own = append(own, text)
				}
			}
			for k, text := range own {
				if text != fmt.Sprintf("%d/%d", i, k) {
					t.Fatalf("what node %d published is in the order %v", i, short(own))
				}
			}
			if len(own) != each {
				t.Errorf("of node %d there are %d, want %d", i, len(own), each)
			}
		}
	}
}

// Everything in a publication crosses, whatever bytes it is of.
func TestPublicationCrossesWhole(t *testing.T) {
	t.Parallel()
	cfg := config(t, at(redistest.Start(t).Addr))
	came := make(chan hub.Publication, 8)
	places := make(chan hub.Position, 8)
	a := join(t, cfg)
	b := join(t, cfg, func(o *Options) {
		o.Deliver = func(p *hub.Publication, at hub.Position) int {
			came <- *p
			places <- at
			return 1
		}
	})
	b.enter("a\x00b {c} \r\n")
	for _, p := range []hub.Publication{
		{App: app, Room: "a\x00b {c} \r\n", Event: "e\x00", Data: []byte("\x00\xff\r\n$3"), Meta: "m", Except: "x"},
		{App: app, Everyone: true, Event: "", Data: nil, Passing: true},
		{App: app, Room: "a\x00b {c} \r\n", Event: "large", Data: []byte(strings.Repeat("0123456789", 200_000))},
	} {
		a.Publish(&p, nil)
		select {
		case got := <-came:
			if !reflect.DeepEqual(got, p) {
				t.Errorf("%.100q in %q became %+.100v in %q", p.Data, p.Room, got.Data, got.Room)
			}
			if cap(got.Data) != len(got.Data) {
				t.Errorf("data of %d bytes has room for %d", len(got.Data), cap(got.Data))
			}
		case <-time.After(time.Minute):
			t.Fatalf("%q did not arrive", p.Event)
		}
		if at := <-places; at.Epoch == 0 || at.Number == 0 {
			t.Errorf("it is at %v", at)
		}
	}
}

// Who enters a room gets everything that is published after it was answered, though others
// publish all the time, and what it gets has no gap.
func TestEnterHasNoGap(t *testing.T) {
	t.Parallel()
	cfg := config(t, at(redistest.Start(t).Addr))
	a, b := join(t, cfg), join(t, cfg)
	stop := a.sendOn("r")
	until(t, "some were published", func() bool { return a.count.published.Load() > 20 })
	b.enter("r")
	entered := a.count.published.Load()
	until(t, "some more were published", func() bool { return a.count.published.Load() > entered+20 })
	last := stop()
	until(t, "the last one is there", func() bool {
		got := b.in("r")
		return len(got) > 0 && got[len(got)-1] == fmt.Sprint(last)
	})
	got := b.in("r")
	if want := numbered(last-len(got)+1, last); !slices.Equal(got, want) {
		t.Errorf("there is %v, which has a gap", short(got))
	}
	if len(got) < 20 {
		t.Errorf("there are %d, want all since it entered", len(got))
	}
}

// A room that nobody is in any more is left after a while, and found again.
func TestRoomIsLeftAfterItsLastSeat(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	cfg := config(t, at(redis.Addr))
	a, b := join(t, cfg), join(t, cfg, func(o *Options) { o.linger = time.Nanosecond })
	b.enter("r")
	channel := b.partition(app, "r", false).tag.room(app, "r")
	subscribers := func() string {
		// An array of the channel and a number: what stands first is its length.
		return redis.Do("EVAL", "return tostring(redis.call('PUBSUB', 'SHARDNUMSUB', ARGV[1])[2])", "0", channel)
	}
	if got := subscribers(); got != "1" {
		t.Fatalf("%s nodes are subscribed, want 1", got)
	}
	b.Vacated(app, "r", false)
	until(t, "nobody is subscribed", func() bool { return subscribers() == "0" })
	a.mustSend("r", "for nobody")
	b.enter("r")
	a.mustSend("r", "1")
	b.hasExactly("r", []string{"1"})
}

// Two clusters on one Redis never meet, whether they differ by prefix or database.
func TestTwoClustersOnOneRedis(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	cfg := config(t, at(redis.Addr))
	other, third := cfg, cfg
	other.Prefix += "x"
	third.Redis.db = 1
	var nodes []*process
	for _, c := range []Config{cfg, other, third} {
		n := join(t, c)
		n.enter("r")
		nodes = append(nodes, n)
	}
	for i, n := range nodes {
		if h := n.send("r", fmt.Sprint(i)); h.Nodes != 1 {
			t.Errorf("it was handed to %d nodes, want 1", h.Nodes)
		}
		n.mustSend("*", fmt.Sprint(i))
	}
	for i, n := range nodes {
		n.hasExactly("r", []string{fmt.Sprint(i)})
		n.hasExactly("*", []string{fmt.Sprint(i)})
		if got := n.Nodes(); len(got) != 1 {
			t.Errorf("it knows of %d nodes, want 1", len(got))
		}
	}
}

// A Redis Cluster: one order, with the rooms on three servers.
func TestRedisCluster(t *testing.T) {
	t.Parallel()
	servers := redistest.Cluster(t)
	cfg := config(t, at(servers[0].Addr+","+servers[1].Addr))
	a, b := join(t, cfg), join(t, cfg)
	rooms := numbered(1, 40)
	a.enter(rooms...)
	b.enter(rooms...)
	nodes := []*process{a, b}
	for i := 1; i <= 10; i++ {
		for _, room := range append(rooms, "*") {
			if h := nodes[i%2].send(room, fmt.Sprint(i)); h.Err != nil || h.Nodes != 2 {
				t.Fatalf("%s/%d became %+v", room, i, h)
			}
		}
	}
	for _, room := range append(rooms, "*") {
		a.hasExactly(room, numbered(1, 10))
		b.hasExactly(room, numbered(1, 10))
	}
	used := 0
	for _, s := range servers {
		if s.Do("DBSIZE") != ":0" {
			used++
		}
	}
	if used < 2 {
		t.Errorf("%d of 3 servers hold something", used)
	}
}

// publishNow writes batches and waits for what becomes of them.
func (c *Cluster) publishNow(list ...writing) []written {
	came := make(chan []written, 1)
	c.publish(list, func(done []written) { came <- done })
	return <-came
}

// A batch whose answer was lost is written once more, and published once.
func TestPublishedOnceThoughWrittenTwice(t *testing.T) {
	t.Parallel()
	cfg := config(t, at(redistest.Start(t).Addr))
	a := join(t, cfg)
	a.enter("r")
	a.mustSend("r", "1")
	p := a.partition(app, "r", false)
	made := func(text string) *item {
		e := envelope{Publication: hub.Publication{App: app, Room: "r", Data: []byte(text)}}
		return &item{channel: p.channelOf(&e), envelope: a.seal(&e)}
	}
	p.mu.Lock()
	b := &batch{items: []*item{made("2"), made("3")}, first: p.seq + 1}
	p.seq += 3
	p.mu.Unlock()
	b.since = time.Now()
	done := a.publishNow(writing{p, b, p.current()})[0]
	if done.err != nil || !slices.Equal(done.handed, []int{1, 1}) {
		t.Fatalf("handed to %v, %v", done.handed, done.err)
	}
	b.items = append(b.items, made("4")) // and one that is new
	done = a.publishNow(writing{p, b, p.current()})[0]
	if done.err != nil || !slices.Equal(done.handed, []int{-1, -1, 1}) {
		t.Errorf("the second time handed to %v, %v", done.handed, done.err)
	}
	a.mustSend("r", "5")
	a.hasExactly("r", numbered(1, 5))
}

// Of partitions that are written together one that cannot be keeps none from the others.
func TestOnePartitionOfSeveralFails(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	a := join(t, config(t, at(redis.Addr)))
	var list []writing
	for i := range fewPartitions {
		p := a.parts[i]
		redis.Do("DEL", string(p.tag)+":l")
		if i == 1 {
			redis.Do("SET", string(p.tag)+":l", "is no list")
		}
		e := envelope{Publication: hub.Publication{App: app, Room: "r", Data: []byte("x")}}
		b := &batch{items: []*item{{channel: p.own, envelope: a.seal(&e)}}, first: 1, since: time.Now()}
		list = append(list, writing{p, b, p.current()})
	}
	done := a.publishNow(list...)
	for i, d := range done {
		switch {
		case i == 1 && (d.err == nil || !refused(d.err)):
			t.Errorf("a log that is no list: %v, %v", d.handed, d.err)
		case i != 1 && (d.err != nil || !slices.Equal(d.handed, []int{1}) || d.epoch == 0):
			t.Errorf("beside it: %+v", d)
		}
	}
}

// What was accepted is handed out here too once a node is flushed: its clients are sent away then.
func TestFlushHandsOut(t *testing.T) {
	t.Parallel()
	begun, release := make(chan struct{}), make(chan struct{})
	p := join(t, config(t, at(redistest.Start(t).Addr)), func(o *Options) {
		deliver := o.Deliver
		o.Deliver = func(pub *hub.Publication, at hub.Position) int {
			close(begun)
			<-release
			return deliver(pub, at)
		}
	})
	p.enter("r")
	p.Cluster.Publish(&hub.Publication{App: app, Room: "r", Data: []byte("1")}, nil)
	<-begun
	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := p.Flush(short); err == nil {
		t.Error("it is flushed, and its own client has not been handed what was sent")
	}
	close(release)
	if err := p.Flush(t.Context()); err != nil {
		t.Error(err)
	}
	if got := p.in("r"); len(got) != 1 {
		t.Errorf("handed out is %q", got)
	}
}
