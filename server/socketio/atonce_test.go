package socketio

import (
	"bufio"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"poosh/server/closed"
	"poosh/server/websocket"
)

// What meets may come in any order, but no request is forgotten, no event comes twice,
// and who came has left in the end.
func TestAtOnce(t *testing.T) {
	random := dice(t)
	meet := []action{doCut, doGet, doGet, doBeat, doClose, doNonsense, doLeave, doJoin, doProbe, doAsk, doMove, doDrop, doDeliver, doDeliver, doKick, doShutdown}
	for i := range 3000 >> (2 * slower) {
		eio := 3 + i%2
		m := newModel(eio)
		var before, now []action
		for len(before) < random.IntN(6) {
			a := all[random.IntN(len(all))]
			if m.may(a) && a != doWait && a != doShutdown {
				m.step(a)
				before = append(before, a)
			}
		}
		for range 2 + random.IntN(3) {
			a := meet[random.IntN(len(meet))]
			if m.may(a) && (a != doShutdown || !slices.Contains(now, doShutdown)) && (a != doProbe || !slices.Contains(now, doProbe)) {
				now = append(now, a)
			}
		}
		collide(t, eio, i%4 < 2, before, now)
		if t.Failed() {
			return
		}
	}
}

// collide does some things one after the other, and then others at once.
func collide(t *testing.T, eio int, loops bool, before, now []action) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel(eio)
		c := newCaller(t, modelConfig, eio, loops)
		told := ""
		for _, a := range before {
			m.step(a)
			told += c.do(m, a, 0).told + " "
		}
		socket, get := c.socket, c.get
		var requests []*exchange
		if get != nil {
			requests = append(requests, get)
		}
		var heard []string
		var mu sync.Mutex // guards requests
		var all sync.WaitGroup
		for _, a := range now {
			all.Go(func() { // ends with what it does
				if e := c.meet(m, a, socket, get); e != nil {
					mu.Lock()
					requests = append(requests, e)
					mu.Unlock()
				}
			})
		}
		all.Wait()
		synctest.Wait()
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = c.server.Shutdown(ctx) // nobody is left
		synctest.Wait()
		if slices.Contains(now, doShutdown) {
			<-c.stopped
		}
		for _, e := range requests {
			got := c.got(e)
			if got == "waits" && e.socket == nil && !(e == get && slices.Contains(now, doCut)) {
				t.Error("a request is forgotten")
			}
			heard = append(append(heard, strings.Fields(got)...), e.talk.take()...)
		}
		c.once(append(heard, socket.take()...))
		told += c.told()
		if joined, left := strings.Count(told, "joined"), strings.Count(told, "left: "); joined != left {
			t.Errorf("%d came and %d left", joined, left)
		}
		c.server.mu.Lock()
		defer c.server.mu.Unlock()
		if n := len(c.server.sessions) + c.server.reserved; n != 0 || len(c.server.addresses.counts) != 0 || c.server.polled.Load() != 0 {
			t.Errorf("%d sessions, %v and %d bytes are left", n, c.server.addresses.counts, c.server.polled.Load())
		}
		if t.Failed() {
			t.Logf("protocol %d, on the loop %v, %q, then at once %q", eio, loops, before, now)
		}
	})
}

// meet does one thing while others do theirs, and returns its request.
func (c *caller) meet(m *model, a action, socket *talk, get *exchange) *exchange {
	switch {
	case a == doGet:
		return c.start("GET", "", nil)
	case m.posts(a) != "":
		packet := m.posts(a)
		if c.eio != 4 {
			packet = fmt.Sprintf("%d:%s", len(packet), packet)
		}
		return c.start("POST", packet, nil)
	case a == doProbe:
		near, far := newDuplex()
		t := &talk{conn: near, over: make(chan struct{})}
		c.Cleanup(func() { _ = near.Close(); <-t.over })
		e := c.start("GET", "", far)
		e.talk = t
		go t.listen(&wsClient{c.site, near, bufio.NewReader(near)}) // ends with the connection
		t.say("2probe")
		t.say("5")
		return e
	case m.says(a) != "":
		socket.say(m.says(a))
	case a == doCut:
		get.hangUp()
	case a == doDrop:
		_ = socket.conn.Close()
	case a == doDeliver:
		c.session.Deliver(EventFrame("e", fmt.Append(nil, c.events.Add(1))))
	case a == doKick:
		c.session.shut(websocket.CloseNormal, closed.Kicked, "kicked")
	case a == doShutdown:
		go func() { c.stopped <- c.server.Shutdown(context.Background()) }() // ends with the session
	}
	return nil
}

var event = regexp.MustCompile(`^42\["e",\d+\]$`)

// once wants no event to have come twice.
func (c *caller) once(heard []string) {
	seen := make(map[string]bool)
	for _, packet := range heard {
		if event.MatchString(packet) && seen[packet] {
			c.Errorf("%s came twice", packet)
		}
		seen[packet] = true
	}
}

// take is what was heard.
func (t *talk) take() []string {
	if t == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.heard
}
