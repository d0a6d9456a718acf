package socketio

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"poosh/server/closed"
)

// do does one thing with a server, as the model does it.
func (c *caller) do(m *model, a action, passes time.Duration) outcome {
	var request *exchange
	before := c.get
	switch {
	case a == doGet:
		request = c.start("GET", "", nil)
	case a == doCut:
		c.hangUp()
	case m.posts(a) != "":
		packet := m.posts(a)
		if c.eio != 4 {
			packet = fmt.Sprintf("%d:%s", len(packet), packet)
		}
		request = c.start("POST", packet, nil)
	case a == doProbe:
		request = c.dialSocket()
	case m.says(a) != "":
		c.socket.say(m.says(a))
	case a == doDrop:
		_ = c.socket.conn.Close()
		<-c.socket.over
		c.socket = nil
	case a == doDeliver:
		c.taken = fmt.Sprint(c.deliver(EventFrame("e", fmt.Append(nil, c.events.Add(1)))))
	case a == doKick:
		c.session.Close(closed.Kicked, "kicked")
	case a == doShutdown:
		go func() { c.stopped <- c.server.Shutdown(context.Background()) }() // ends with the session
	case a == doWait:
		time.Sleep(passes)
	}
	return c.look(request, before)
}

// deliver delivers with a mark, as long as there are any, which must end whatever becomes
// of the session.
func (c *caller) deliver(frame []byte) bool {
	k := c.meter.Begin()
	if k == nil {
		return c.session.Deliver(frame)
	}
	defer k.End()
	return c.session.DeliverMarked(frame, k)
}

// walk does things one after the other and compares with the model each time.
func walk(t *testing.T, eio int, loops bool, path []action) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel(eio)
		c := newCaller(t, modelConfig, eio, loops)
		c.told()
		for i, a := range path {
			then := m.now
			want := m.step(a)
			if got := c.do(m, a, m.now-then); got != want {
				t.Fatalf("protocol %d, on the loop %v, %q: the last gave\n%+v, want\n%+v", eio, loops, path[:i+1], got, want)
			}
			c.sums(path[:i+1])
		}
		c.leaves(m)
	})
}

// leaves wants nothing to be left when the server goes, now.
func (c *caller) leaves(m *model) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	err := c.server.Shutdown(ctx)
	if m.draining {
		err = errors.Join(<-c.stopped, err)
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		c.Errorf("the shutdown: %v", err)
	}
	synctest.Wait()
	if c.get != nil && c.got(c.get) == "waits" {
		c.Error("a GET waits for ever")
	}
	if marks, outboxes := c.meter.UnderWay(); marks != 0 || outboxes != 0 {
		c.Errorf("%d marks wait for %d outboxes", marks, outboxes)
	}
	c.session.in.mu.Lock()
	defer c.session.in.mu.Unlock()
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	if n := len(c.server.sessions) + c.server.reserved; n != 0 || len(c.server.addresses.counts) != 0 || c.server.polled.Load() != 0 {
		c.Errorf("%d sessions, %v and %d bytes are left", n, c.server.addresses.counts, c.server.polled.Load())
	}
}

// sums wants the sums by transport and version to be those of the sessions there are.
func (c *caller) sums(path []action) {
	var want [kinds]int64
	for _, s := range c.server.all() {
		s.mu.Lock()
		want[s.kind()]++
		s.mu.Unlock()
	}
	for k := range want {
		if got := c.server.kinds[k].Load(); got != want[k] {
			c.Fatalf("%q: %d sessions of %s %s are counted, there are %d", path, got, kind(k).version(), kind(k).transport(), want[k])
		}
	}
}

// orders calls walk with every order of a number of actions that the model can do. What
// follows the end of a session is tried once.
func orders(m *model, alphabet, path []action, depth int, visit func([]action)) {
	if depth == 0 || len(path) > 0 && m.life == lifeClosed && !m.talks {
		visit(path)
		return
	}
	for _, a := range alphabet {
		if m.may(a) {
			next := *m
			next.queue = append([]string(nil), m.queue...)
			next.step(a)
			orders(&next, alphabet, append(path[:len(path):len(path)], a), depth-1, visit)
		}
	}
}

// What an upgrade and an end are made of.
var core = []action{doGet, doProbe, doAsk, doMove, doDrop, doDeliver, doClose, doKick, doShutdown, doWait}

// All that may happen.
var all = append([]action{doCut, doBeat, doEvent, doNonsense, doLeave, doJoin, doSay, doBabble}, core...)

// Every order of polls, probes, upgrades, ends and shutdowns, up to some length, is what
// the model says.
func TestEveryOrder(t *testing.T) {
	for _, run := range []struct {
		name     string
		alphabet []action
		depth    int
		eio      int
	}{
		{"core", core, 5 - slower, 3},
		{"core", core, 4 - slower, 4},
		{"all", all, 3 - slower, 3},
		{"all", all, 3 - slower, 4},
	} {
		t.Run(fmt.Sprintf("%s, protocol %d", run.name, run.eio), func(t *testing.T) {
			t.Parallel()
			n := 0
			orders(newModel(run.eio), run.alphabet, nil, run.depth+*deeper, func(path []action) {
				n++
				walk(t, run.eio, n%2 == 0, path)
			})
			t.Logf("%d orders", n)
		})
	}
}

var deeper = flag.Int("deeper", 0, "how many steps more TestEveryOrder does; each costs ten times as much")

var seed = flag.Uint64("seed", 0, "of what is random; 0 for one of the moment")

// dice are thrown the same way again with the seed that is printed.
func dice(t *testing.T) *rand.Rand {
	from := *seed
	if from == 0 {
		from = uint64(time.Now().UnixNano())
	}
	t.Logf("again: go test ./server/socketio -run %s -seed %d", t.Name(), from)
	return rand.New(rand.NewPCG(from, 0))
}

// rare is how seldom a long walk takes what ends sessions, or makes clients late.
var rare = map[action]int{doClose: 12, doNonsense: 12, doCut: 12, doKick: 12, doShutdown: 12, doDrop: 6, doWait: 4}

// Long walks, each a random one.
func TestManyOrders(t *testing.T) {
	random := dice(t)
	for i := range 600 >> (2 * slower) {
		eio := 3 + i%2
		m := newModel(eio)
		var path []action
		for len(path) < 60 {
			a := all[random.IntN(len(all))]
			if !m.may(a) || rare[a] > 0 && random.IntN(rare[a]) > 0 {
				continue
			}
			m.step(a)
			path = append(path, a)
		}
		walk(t, eio, i%4 < 2, path)
		if t.Failed() {
			return
		}
	}
}
