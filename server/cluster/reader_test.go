package cluster

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"poosh/server/cluster/redistest"
	"poosh/server/hub"
)

// settledIn waits until everything that came for a partition is handled.
func (p *process) settledIn(part *partition) {
	p.t.Helper()
	until(p.t, "what came is handled", part.inbox.idle)
}

// waits has a process hand out nothing behind a publication that is called so, of which in is told, until out says so.
func waits(in chan<- struct{}, out <-chan struct{}) func(*Options) {
	return func(o *Options) {
		deliver := o.Deliver
		o.Deliver = func(pub *hub.Publication, at hub.Position) int {
			if pub.Event == "wait" {
				in <- struct{}{}
				<-out
			}
			return deliver(pub, at)
		}
	}
}

// sendSoon publishes a number in the room r, and does not wait for its answer.
func (p *process) sendSoon(n int, event string, answered *sync.WaitGroup) {
	answered.Add(1)
	p.Publish(&hub.Publication{App: app, Room: "r", Event: event, Data: fmt.Append(nil, n)}, func(h hub.Handed) {
		if h.Err != nil {
			p.t.Error(h.Err)
		}
		answered.Done()
	})
}

// Who came and went, fences and answers are none of what the reader handles itself.
func TestIsPublished(t *testing.T) {
	for text, want := range map[string]bool{
		"12 3 \x01envelope": true, "12 3 PC3:app": false, "12 3 ": false, "12 3": false, "12": false, "": false,
		fence{epoch: 1, number: 2}.text(): false, string(letterDesk) + "1:a": false, string(letterHeld) + "1:a 2 3": false,
	} {
		if isPublished(text) != want {
			t.Errorf("%q is a publication: %t", text, !want)
		}
	}
}

// What comes while nothing else does is handled by who read it, and so wakes up nobody.
func TestHandledByWhoReads(t *testing.T) {
	t.Parallel()
	cfg := config(t, at(redistest.Start(t).Addr))
	a, b := join(t, cfg), join(t, cfg)
	b.enter("r")
	p := b.partition(app, "r", false)
	alone := 0
	for i := 1; i <= 60; i++ {
		b.settledIn(p)
		came, atOnce := p.inbox.last(), b.count.atOnce.Load()
		a.mustSend("r", fmt.Sprint(i))
		until(t, "it is there", func() bool { return len(b.in("r")) == i })
		b.settledIn(p)
		if p.inbox.last() != came+1 {
			continue // the engine was asked where the log is, just then
		}
		alone++
		if got := b.count.atOnce.Load() - atOnce; got != 1 {
			t.Errorf("of publication %d, which came alone, the reader handled %d", i, got)
		}
	}
	if alone < 10 {
		t.Errorf("%d of 60 came alone", alone)
	}
	b.hasExactly("r", numbered(1, 60))
}

// What many clients get is left to the partition's goroutine from the first one on, for as long as there is more of it: what
// comes meanwhile leaves together with that.
func TestCrowdIsLeftToPartition(t *testing.T) {
	t.Parallel()
	cfg := config(t, at(redistest.Start(t).Addr))
	a := join(t, cfg)
	b := join(t, cfg, func(o *Options) {
		deliver := o.Deliver
		o.Deliver = func(pub *hub.Publication, at hub.Position) int { return crowd * deliver(pub, at) }
	})
	b.enter("r")
	p := b.partition(app, "r", false)
	const many = 50
	for i := 1; i <= many; i++ {
		began := time.Now()
		before, was := b.count.atOnce.Load(), p.crowded.Load()
		a.mustSend("r", fmt.Sprint(i))
		until(t, "it is there", func() bool { return len(b.in("r")) == i })
		b.settledIn(p)
		if p.crowded.Load() <= was {
			t.Fatalf("publication %d is handed to many, and that is not noted", i)
		}
		if b.count.atOnce.Load() > before && time.Since(began) < crowdTime/2 && began.UnixNano()-was < int64(crowdTime/2) {
			t.Errorf("publication %d, soon behind one to many, is handled by who reads", i)
		}
	}
	b.hasExactly("r", numbered(1, many))
	until(t, "some time is over", func() bool { return time.Now().UnixNano()-p.crowded.Load() > int64(crowdTime) })
	// From now on it is few again, but for a fence that comes just then.
	for i := many + 1; ; i++ {
		if i > many+30 {
			t.Fatal("the reader never handles what comes, though there has been no crowd for some time")
		}
		until(t, "some time is over", func() bool { return time.Now().UnixNano()-p.crowded.Load() > int64(crowdTime) })
		before := b.count.atOnce.Load()
		a.mustSend("r", fmt.Sprint(i))
		until(t, "it is there", func() bool { return len(b.in("r")) == i })
		b.settledIn(p)
		if b.count.atOnce.Load() > before {
			return
		}
	}
}

// A flood is left to the partition's goroutine, and what comes before and behind it is not: the order stays.
func TestFloodIsLeftToPartition(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	cfg := config(t, at(redis.Addr))
	in, out := make(chan struct{}), make(chan struct{}, 1)
	a := join(t, cfg)
	b := join(t, cfg, waits(in, out))
	b.enter("r")
	p := b.partition(app, "r", false)
	n := 0
	for _, many := range []int{1, grabTexts - 1, grabTexts, 3 * grabTexts, 1000, 5} {
		// The first is being handled until all others are published, so they come at once.
		var answered sync.WaitGroup
		send := func(event string) {
			n++
			a.sendSoon(n, event, &answered)
		}
		b.settledIn(p)
		atOnce := b.count.atOnce.Load()
		send("wait")
		await(t, in, "the first")
		for range many {
			send("e")
		}
		answered.Wait()
		redis.Do("PING") // behind which all has left it
		out <- struct{}{}
		until(t, "all are there", func() bool { return len(b.in("r")) >= n })
		b.settledIn(p)
		byReader := int(b.count.atOnce.Load() - atOnce)
		if many > 3*grabTexts && byReader > many-grabTexts {
			t.Errorf("of %d at once the reader handled %d", many, byReader)
		}
	}
	b.hasExactly("r", numbered(1, n))
}

// What the reader reads while the partition's goroutine handles a flood is left to that too.
func TestReaderWaitsForPartition(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	cfg := config(t, at(redis.Addr))
	in, out := make(chan struct{}), make(chan struct{})
	a := join(t, cfg)
	b := join(t, cfg, waits(in, out))
	b.enter("r")
	p := b.partition(app, "r", false)
	b.settledIn(p)
	var answered sync.WaitGroup
	send := func(n int, event string) { a.sendSoon(n, event, &answered) }
	const many, middle = 2 * grabTexts, grabTexts // all of which one read brings
	send(1, "wait")
	await(t, in, "the first, with the reader")
	for n := 2; n <= many; n++ {
		if n == middle {
			send(n, "wait")
			continue
		}
		send(n, "e")
	}
	answered.Wait()
	redis.Do("PING") // behind which all has left it
	out <- struct{}{}
	await(t, in, "the one in the middle, with the goroutine")
	came := p.inbox.last()
	for n := many + 1; n <= many+3; n++ {
		send(n, "e")
	}
	answered.Wait()
	until(t, "those behind it are read", func() bool { return p.inbox.last() >= came+3 })
	out <- struct{}{}
	b.hasExactly("r", numbered(1, many+3))
}

// A reader that was held up by one leaves the rest of what it took to the partition's goroutine, in order.
func TestReaderLeavesTheRest(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	cfg := config(t, at(redis.Addr))
	in, out := make(chan struct{}), make(chan struct{})
	a := join(t, cfg)
	b := join(t, cfg, func(o *Options) {
		deliver := o.Deliver
		o.Deliver = func(pub *hub.Publication, at hub.Position) int {
			switch pub.Event {
			case "wait":
				in <- struct{}{}
				<-out
			case "large":
				time.Sleep(2 * grabTime)
			}
			return deliver(pub, at)
		}
	})
	b.enter("r")
	p := b.partition(app, "r", false)
	b.settledIn(p)
	before := b.count.atOnce.Load()
	const many = 20 // all of which one read brings
	answered := make(chan hub.Handed, many)
	for n := 1; n <= many; n++ {
		a.Publish(&hub.Publication{App: app, Room: "r", Event: map[int]string{1: "wait", 2: "large"}[n], Data: fmt.Append(nil, n)}, func(h hub.Handed) { answered <- h })
		if n == 1 {
			await(t, in, "the first, with the reader")
		}
	}
	for range many {
		if h := becameOf(t, answered); h.Err != nil {
			t.Fatal(h.Err)
		}
	}
	redis.Do("PING") // behind which all has left it
	out <- struct{}{}
	b.hasExactly("r", numbered(1, many))
	b.settledIn(p)
	if n := b.count.atOnce.Load() - before; n > 2 {
		t.Errorf("the reader handled %d, and was held up by the second", n)
	}
}
