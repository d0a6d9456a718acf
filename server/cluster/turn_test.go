package cluster

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"poosh/server/cluster/redistest"
	"poosh/server/cluster/resp"
	"poosh/server/hub"
	"poosh/server/loop"
)

// A doer is a [loop.Protocol] that does what a test wants done by who reads.
type doer struct{ do func() }

func (d *doer) Data(_ *loop.Conn, data []byte) {
	if len(data) > 0 {
		d.do()
	}
}
func (*doer) Closed(*loop.Conn, error) {}
func (*doer) RemoteAddr() string       { return "a test" }

// doing returns a function that has do called by a reader of a loop.
func doing(t *testing.T, l *loop.Loop, do func()) (once func()) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	nc, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	far, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c, err := l.AttachConn(far, loop.Options{}, &doer{do})
	if err != nil {
		t.Fatal(err)
	}
	c.Start()
	return func() {
		if _, err := nc.Write([]byte{1}); err != nil {
			t.Error(err)
		}
	}
}

// monitored counts the commands of a server that have a word in them, up to now.
func monitored(t *testing.T, redis *redistest.Server, word string) (count func() int) {
	t.Helper()
	nc, err := net.Dial("tcp", redis.Addr)
	if err != nil {
		t.Fatal(err)
	}
	var n atomic.Int64
	marks := make(chan string, 16)
	ended := make(chan struct{})
	r := bufio.NewReader(nc)
	_, err = nc.Write(resp.AppendCommand(nil, "MONITOR"))
	if ok, wrong := r.ReadString('\n'); err != nil || wrong != nil || ok != "+OK\r\n" {
		t.Fatal(ok, err, wrong)
	}
	go func() {
		defer close(ended)
		for {
			line, err := r.ReadString('\n')
			switch {
			case err != nil:
				return
			case strings.Contains(line, `"mark `):
				marks <- line
			case strings.Contains(line, word):
				n.Add(1)
			}
		}
	}()
	t.Cleanup(func() {
		nc.Close()
		<-ended
	})
	last := 0
	return func() int {
		last++
		mark := fmt.Sprint("mark ", last, ".")
		redis.Do("ECHO", mark)
		for line := ""; !strings.Contains(line, mark); {
			line = await(t, marks, "what the server was told")
		}
		return int(n.Load())
	}
}

// What is published by who reads is written by a turn at the end of the round: all of a round, of whatever partition,
// in one command.
func TestRoundIsPublishedAtItsEnd(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	l := ownLoop(t)
	a := join(t, config(t, at(redis.Addr)), func(o *Options) { o.Loop = l })
	const rounds, many = 20, 10
	rooms := []string{roomOf(a.Cluster, 0), roomOf(a.Cluster, 1)}
	a.enter(rooms...)
	w := a.writers[0]
	var turns atomic.Int64
	write := w.turn.Run
	began := false // whose reader has it counted
	n := 0
	answered := make(chan hub.Handed, many)
	during := make(chan int64, 1) // how often a turn was taken while a round went on
	once := doing(t, l, func() {
		if !began {
			began = true
			w.turn.Run = func() {
				turns.Add(1)
				write()
			}
		}
		before := turns.Load()
		for i := range many {
			n++
			a.Publish(&hub.Publication{App: app, Room: rooms[i%len(rooms)], Data: fmt.Append(nil, n)}, func(h hub.Handed) { answered <- h })
		}
		during <- turns.Load() - before
	})
	calls := monitored(t, redis, manyScript.sha)
	before := calls()
	for i := range int64(rounds) {
		taken := turns.Load()
		once()
		if n := await(t, during, "the round"); n > 0 && l.Shards() == 1 { // others have readers of their own
			t.Errorf("in the middle of round %d a turn is taken", i)
		}
		for range many {
			if h := await(t, answered, "an answer"); h.Err != nil {
				t.Fatal(h.Err)
			}
		}
		until(t, "the turn is over", func() bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			return !w.busy
		})
		if turns.Load() == taken {
			t.Errorf("no turn is taken at the end of round %d", i)
		}
	}
	if got := calls() - before; got < rounds || got > rounds*min(l.Shards(), 2) {
		t.Errorf("%d rounds with %d publications each are written by %d commands", rounds, many, got)
	}
	all := func() (list []string) {
		for _, room := range rooms {
			list = append(list, a.in(room)...)
		}
		return list
	}
	until(t, "all are there", func() bool { return len(all()) >= rounds*many })
	got := all()
	slices.Sort(got)
	want := numbered(1, rounds*many)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("there are %v", short(got))
	}
}

// What is published as something else is handed out, by who read that, is neither lost nor waits for anybody.
func TestPublishedAsHandedOut(t *testing.T) {
	t.Parallel()
	l := ownLoop(t)
	const times = 200
	over := make(chan hub.Handed, times+1)
	var a *process
	var ready sync.WaitGroup
	ready.Add(1)
	a = join(t, config(t, at(redistest.Start(t).Addr)), func(o *Options) {
		o.Loop = l
		deliver := o.Deliver
		o.Deliver = func(pub *hub.Publication, at hub.Position) int {
			ready.Wait()
			n := deliver(pub, at)
			if last := len(a.in("r")); last < times {
				a.Publish(&hub.Publication{App: app, Room: "r", Data: fmt.Append(nil, last+1)}, func(h hub.Handed) { over <- h })
			}
			return n
		}
	})
	ready.Done()
	a.enter("r")
	a.mustSend("r", "1")
	for range times - 1 {
		if h := await(t, over, "an answer"); h.Err != nil {
			t.Fatal(h.Err)
		}
	}
	a.hasExactly("r", numbered(1, times))
}

// A turn that has no answer in time ends its connection. Who sent what was in it is told that nobody knows, and it is
// there once at the most; what is sent behind it goes by the next connection.
func TestTurnThatHasNoAnswer(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	cfg := config(t, at(redis.Addr))
	b := join(t, cfg)
	b.enter("r")
	cfg.Timeout = 500 * time.Millisecond
	cfg, lead := wired(t, cfg, redis.Addr)
	cfg.Prefix = b.cfg.Prefix
	a := join(t, cfg)
	a.live()
	line := a.partition(app, "r", false).current().line
	lead.Hold()
	answered := make(chan hub.Handed, 2)
	a.Publish(&hub.Publication{App: app, Room: "r", Data: []byte("held")}, func(h hub.Handed) { answered <- h })
	await(t, line.ended, "the end of the connection")
	// Also who asked where the log is may have waited for too long.
	if !errors.Is(line.err, errLate) && !errors.Is(line.err, context.DeadlineExceeded) {
		t.Errorf("the connection ends with %v", line.err)
	}
	lead.Release()
	if h := becameOf(t, answered); h.Err != hub.ErrUncertain && h.Err != nil {
		t.Errorf("it became %+v", h)
	}
	a.live()
	if p := a.partition(app, "r", false); p.current().line == line {
		t.Error("it has the connection that ended")
	}
	for i := 1; i <= 20; i++ {
		a.mustSend("r", fmt.Sprint(i))
	}
	until(t, "all are there", func() bool { return slices.Contains(b.in("r"), "20") })
	got := b.in("r")
	if i := slices.Index(got, "held"); i >= 0 {
		got = slices.Delete(got, i, i+1)
	}
	if !slices.Equal(got, numbered(1, 20)) {
		t.Errorf("there are %v", short(b.in("r")))
	}
	if len(answered) > 0 {
		t.Error("who sent it is answered twice")
	}
}

// A turn that lost its connection before its time is written once more to the next one, and all of it is there
// once: whether the connection was cut, or its answer is late and the writer ends it. So is what gathered behind a turn.
func TestTurnIsWrittenOnceMore(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	cfg := config(t, at(redis.Addr))
	cfg.Timeout, cfg.Lease = 30*time.Second, 2*time.Minute
	b := join(t, cfg)
	cfg, lead := wired(t, cfg, redis.Addr)
	cfg.Prefix = b.cfg.Prefix
	a := join(t, cfg)
	b.enter("r")
	w := a.writers[0]
	n := 0
	answered := make(chan hub.Handed, 200)
	for i := range 6 {
		a.live()
		line := a.partition(app, "r", false).current().line
		lead.Hold()
		send := func() {
			n++
			a.Publish(&hub.Publication{App: app, Room: "r", Data: fmt.Append(nil, n)}, func(h hub.Handed) { answered <- h })
		}
		send()
		until(t, "a turn waits for its answer", func() bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.wire == line.wire
		})
		for range 49 {
			send()
		}
		switch i % 3 {
		case 0:
			lead.Cut()
			await(t, line.ended, "the end of the connection")
			lead.Heal()
		case 1:
			w.expire(time.Now())
			if line.isOver() {
				t.Error("its connection is ended, and it has time left")
			}
			w.expire(time.Now().Add(2 * cfg.Timeout))
			await(t, line.ended, "the end of the connection")
			if line.err != errLate {
				t.Errorf("its connection ends with %v", line.err)
			}
		case 2: // its answer comes in time, and what gathered behind it follows
		}
		lead.Release()
		for range 50 {
			if h := becameOf(t, answered); h.Err != nil {
				t.Fatalf("it became %+v", h)
			}
		}
	}
	b.hasExactly("r", numbered(1, n))
}
