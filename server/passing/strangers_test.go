package passing

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"poosh/server/socketio"
)

// Tests of what strangers have nodes do to each other.

// strangersUpgrade is an upgrade for a session of a node that never was.
func strangersUpgrade(node string) string {
	return "GET " + socketio.Path + "?transport=websocket&EIO=4&sid=" + node + "nobody HTTP/1.1\r\nHost: h\r\n" + upgradeLines + "\r\n"
}

// TestWindow: each number of a sender is new once, in any order within the window.
func TestWindow(t *testing.T) {
	w := new(window)
	for _, tt := range []struct {
		number uint64
		isNew  bool
	}{
		{10, true}, {10, false}, {8, true}, {9, true}, {9, false}, {8, false},
		{10 + windowSize - 1, true}, {10, false}, {9, false}, {11, true}, {11, false},
		{10 + 5*windowSize, true}, {10 + 4*windowSize, false}, {11 + 4*windowSize, true}, {10 + 5*windowSize, false},
		{11 + 5*windowSize, true}, {11 + 4*windowSize, false}, {1<<64 - 1, true}, {1<<64 - 1, false}, {11 + 5*windowSize, false},
	} {
		if got := w.add(tt.number); got != tt.isNew {
			t.Errorf("%d: new is %v", tt.number, got)
		}
	}
}

// TestNonces: however many hellos one process says, others are heard, and what came once is refused for
// as long as it could come again.
func TestNonces(t *testing.T) {
	var (
		s    nonces
		c, d counter
		now  = time.Now()
	)
	first := c.nonce()
	if why, ok := s.add("nodeAA", first, now); !ok {
		t.Fatal(refusalNames[why])
	}
	for range 300_000 {
		if why, ok := s.add("nodeAA", c.nonce(), now); !ok {
			t.Fatal(refusalNames[why])
		}
	}
	for what, nonce := range map[string]string{"an old one": first, "the last but one": "", "no nonce": "x"} {
		if nonce == "" {
			nonce = c.nonce()
			_, _ = s.add("nodeAA", nonce, now)
			_, _ = s.add("nodeAA", c.nonce(), now)
		}
		if _, ok := s.add("nodeAA", nonce, now.Add(2*skew)); ok {
			t.Errorf("%s is taken", what)
		}
	}
	if _, ok := s.add("nodeBB", d.nonce(), now); !ok {
		t.Error("another process is not heard")
	}
	for len(s.senders) < maxSenders {
		_, _ = s.add("nodeCC", newNonce(), now)
	}
	if why, ok := s.add("nodeCC", newNonce(), now); ok || why != refusedFull {
		t.Errorf("one too many: %v, %s", ok, refusalNames[why])
	}
	if _, ok := s.add("nodeAA", c.nonce(), now); !ok {
		t.Error("who is known is not heard")
	}
	if _, ok := s.add("nodeCC", newNonce(), now.Add(2*skew+time.Second)); !ok || len(s.senders) != 1 {
		t.Errorf("later: %v, %d are known", ok, len(s.senders))
	}
}

// TestStrangersUpgrades: what strangers have a node ask another is all one sender there.
func TestStrangersUpgrades(t *testing.T) {
	a, b := pair(t)
	for range 20 {
		if got := readAll(t, a.sent(strangersUpgrade("nodeBB"))); !strings.HasPrefix(got, "HTTP/1.1 400 ") {
			t.Fatalf("got %q", got)
		}
	}
	b.node.seen.mu.Lock()
	defer b.node.seen.mu.Unlock()
	if n := len(b.node.seen.senders); n != 1 {
		t.Errorf("%d senders are known", n)
	}
}

// TestHungNode: a node that takes connections and says nothing, as one that was stopped, costs others
// nothing, however many WebSockets wait for it.
func TestHungNode(t *testing.T) {
	nodes := newTable()
	a, b := serve(t, "nodeAA", nodes), serve(t, "nodeBB", nodes)
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	nodes.set("nodeXX", mute.Addr().String())
	query, session := b.open()
	for range maxDialing {
		a.sent(strangersUpgrade("nodeXX"))
	}
	eventually(t, "all are under way", func() bool { return a.node.reading("cluster_passed_websockets", "") > maxDialing/2 })
	if got := a.ask("POST", query, `42["x"]`); got.status != 200 {
		t.Errorf("a POST for a healthy node: %d %q", got.status, got.body)
	}
	c := a.moved(query)
	session.Deliver(event("on it"))
	a.hears(c, `42["e","on it"]`)
}

// TestManyUpgrades: a thousand upgrades at once all come through.
func TestManyUpgrades(t *testing.T) {
	nodes := newTable()
	long := func(o *Options) { o.Timeout = patience }
	a, b := serve(t, "nodeAA", nodes, long), serve(t, "nodeBB", nodes, long)
	var wrong atomic.Int32
	var work sync.WaitGroup
	for range 1000 {
		nc := dialTo(t, a.http.Addr)
		work.Go(func() { // has patience
			_, _ = io.WriteString(nc, strangersUpgrade("nodeBB"))
			resp, err := http.ReadResponse(bufio.NewReader(nc), nil)
			if err == nil {
				_ = resp.Body.Close()
			}
			if err != nil || resp.StatusCode != http.StatusBadRequest {
				wrong.Add(1)
			}
		})
	}
	work.Wait()
	if n := wrong.Load(); n != 0 {
		t.Errorf("%d were not answered by the session's node, %v refused there", n, b.node.count.refused.All())
	}
}

// TestMute: who comes to the nodes' port and says nothing keeps no node out.
func TestMute(t *testing.T) {
	nodes := newTable()
	long := func(o *Options) { o.Timeout = patience }
	a, b := serve(t, "nodeAA", nodes), serve(t, "nodeBB", nodes, long)
	query, _ := b.open()
	for range maxHellos + 10 {
		dialTo(t, b.inner)
	}
	eventually(t, "it is full", func() bool { return b.node.count.refused.Get(refusedBusy) > 0 })
	if got := a.ask("POST", query, `42["x"]`); got.status != 200 {
		t.Errorf("got %d %q", got.status, got.body)
	}
}

// TestArrivals: room is made by the oldest of the address that has the most.
func TestArrivals(t *testing.T) {
	var s arrivals
	come := func(from string) *arrival {
		near, far := net.Pipe()
		t.Cleanup(func() { _, _ = near.Close(), far.Close() })
		return s.enter(&ofAddress{far, from})
	}
	few := come("192.0.2.1:1")
	many := come("192.0.2.2:1")
	for i := 2; i < maxHellos; i++ {
		come(fmt.Sprintf("192.0.2.2:%d", i))
	}
	come("192.0.2.3:1")
	if s.leave(many) {
		t.Error("the oldest of the most is still there")
	}
	if !s.leave(few) || s.leave(few) {
		t.Error("the oldest of all is not there, or twice")
	}
	if len(s.list) != maxHellos-1 || s.of[few.from] != 0 {
		t.Errorf("%d are left", len(s.list))
	}
}

// ofAddress is a connection of an address.
type ofAddress struct {
	net.Conn
	addr string
}

func (c *ofAddress) RemoteAddr() net.Addr {
	a, _ := net.ResolveTCPAddr("tcp", c.addr)
	return a
}

// TestWarnings: the same is said once a minute, and not more than there is room for.
func TestWarnings(t *testing.T) {
	var w warnings
	now := time.Now()
	if !w.add("x", now) || w.add("x", now.Add(warnEvery-1)) || !w.add("y", now) || !w.add("x", now.Add(warnEvery)) {
		t.Error("said too often, or not")
	}
	for i := range 2 * maxWarnings {
		w.add(fmt.Sprint(i), now)
	}
	if len(w.said) > maxWarnings {
		t.Errorf("%d are kept", len(w.said))
	}
}
