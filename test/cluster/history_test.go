package cluster

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"poosh/auth"
	"poosh/server/cluster/redistest"
	"poosh/test/process"
)

// away are clients of socket.io that ask for what they missed, each with the way in which it connects.
var away = []struct{ version, way string }{
	{"1.0.6", "websocket"}, {"1.3.4", "upgrade"}, {"1.7.4", "polling"}, {"2.5.0", "upgrade"}, {"3.1.3", "websocket"}, {"4.8.1", "upgrade"},
}

// A reader is clients that come back by a balancer, and what each was told.
type reader struct {
	*watcher
	front *process.Balancer
	told  map[string][]string // what was said of what they missed; guarded by mu
}

// read connects clients that ask for what they missed in a room, and returns once each is there.
func read(t *testing.T, n *node, room string) *reader {
	t.Helper()
	r := &reader{
		watcher: &watcher{t: t, got: make(map[string][]string), ended: make(map[string]string), on: make(map[string]*node)},
		front:   process.Balance(t, n.Port), told: make(map[string][]string),
	}
	r.also = r.recovered
	in := r.drive()
	base := fmt.Sprintf("http://127.0.0.1:%d", r.front.Port)
	for _, v := range away {
		line, err := json.Marshal(map[string]any{"op": "open", "id": v.version, "version": v.version, "way": v.way, "url": base,
			"listen": []string{"e"}, "since": []string{room}, "quiet": true})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := in.Write(append(line, '\n')); err != nil {
			t.Fatal(err)
		}
	}
	r.follow("curl", base+"/events?room="+room)
	r.all("null", 1)
	return r
}

// recovered notes what a client was told. mu is held.
func (r *reader) recovered(id, saw, text string) {
	var said struct{ Recovered any }
	if saw != "recovered" || json.Unmarshal([]byte(text), &said) != nil {
		return
	}
	r.told[id] = append(r.told[id], fmt.Sprint(said.Recovered))
}

// all waits until everybody was told so many times what became of what it missed, and looks at the last.
func (r *reader) all(want string, times int) {
	r.t.Helper()
	if want == "null" {
		want = "<nil>"
	}
	r.until("somebody is not back", func() bool {
		for _, v := range away {
			if len(r.told[v.version]) < times {
				return false
			}
		}
		return len(r.told["curl"]) >= times
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, told := range r.told {
		if told[len(told)-1] != want {
			r.t.Errorf("%s was told %v, want %s at the end", id, told, want)
		}
	}
}

// follow has curl follow a stream of events, which goes on where it was whenever that ends, as an EventSource does.
func (r *reader) follow(id, url string) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { // ends with the test
		for last := ""; ctx.Err() == nil; {
			last = r.once(ctx, id, url, last)
			time.Sleep(100 * time.Millisecond) // as an EventSource waits
		}
	})
	r.t.Cleanup(func() { cancel(); running.Wait() })
}

// once is one connection of it, from behind a position; it returns the last.
func (r *reader) once(ctx context.Context, id, url, last string) string {
	cmd := exec.CommandContext(ctx, "curl", "-sN", "-H", "Last-Event-ID: "+last, url)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		r.t.Error(err)
		return last
	}
	event := ""
	for lines := bufio.NewScanner(out); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "event":
			event = value
		case "id":
			last = value
		case "data":
			r.mu.Lock()
			if event == "poosh:connected" {
				r.recovered(id, "recovered", value)
			} else if event == "e" {
				r.heard(id, value)
			}
			r.mu.Unlock()
		}
	}
	_ = cmd.Wait()
	return last
}

// each looks whether everybody got all that was sent so far, once and in order.
func (r *reader) each(n int) {
	r.t.Helper()
	r.until("somebody lacks an event", func() bool {
		for _, v := range away {
			if len(r.got[v.version]) < n {
				return false
			}
		}
		return len(r.got["curl"]) >= n
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, list := range r.got {
		for i, text := range list {
			if word, _, _ := strings.Cut(text, `"`); word != strconv.Itoa(i+1) || len(list) != n {
				r.t.Fatalf("%s has %d, want %d; %q is at %d", id, len(list), n, text, i+1)
			}
		}
	}
}

// kept asks a node for what is kept of a room behind a position.
func (n *node) kept(t *testing.T, room, since string) (texts []string, id string, complete bool) {
	t.Helper()
	path := "/history?room=" + url.QueryEscape(room) + "&limit=1000&since=" + url.QueryEscape(since)
	req, err := http.NewRequest(http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d%s", n.server, path), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", auth.PooshSign(secret, []byte(path)))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	var page struct {
		ID       string
		Complete bool
		Events   []struct{ Payload string }
	}
	if err == nil {
		err = json.Unmarshal(body, &page)
	}
	if err != nil || res.StatusCode != 200 {
		t.Fatalf("%s %s %v", res.Status, body, err)
	}
	for _, e := range page.Events {
		texts = append(texts, e.Payload)
	}
	return texts, page.ID, page.Complete
}

// Clients are away while events are sent, and come back to a node that started after that: they are given what
// they missed, and nothing twice. After all nodes were killed too, and over a restart of one right after the other.
func TestHistoryOfBefore(t *testing.T) {
	redis := redistest.Start(t)
	begin := func() *node {
		n := startNode(t, redis, "HISTORY=10m")
		t.Cleanup(func() {
			if t.Failed() {
				t.Logf("a node:\n%.4000s", n.Log())
			}
		})
		return n
	}
	a, b := begin(), begin()
	r := read(t, a, "r")
	sent, back := 0, 1
	send := func(n *node, many int) {
		t.Helper()
		for range many {
			sent++
			if status, _, body, err := n.send("r", "e", strconv.Itoa(sent)); status != 200 || err != nil {
				t.Fatal(status, body, err)
			}
		}
	}
	returns := func(to *node) {
		t.Helper()
		r.front.Choose(to.Port)
		back++
		r.all("true", back)
		r.each(sent)
	}
	send(a, 20)
	r.each(sent)
	_, first, _ := a.kept(t, "r", "")

	// Killed with its clients, and the one that was there meanwhile before anybody is back.
	r.front.Choose(1) // where nobody is
	a.Kill()
	send(b, 200)
	c := begin()
	send(b, 20)
	b.Kill()
	send(c, 5)
	returns(c)
	if n := c.metric(t, "poosh_cluster_history_filled_events"); n != 220 {
		t.Errorf("it says that it read %d events, want 220", n)
	}

	// All are killed, and nobody was there.
	r.front.Choose(1)
	send(c, 30)
	c.Kill()
	d := begin()
	send(d, 3)
	returns(d)
	texts, _, complete := d.kept(t, "r", first)
	if !complete || len(texts) != sent-20 || texts[0] != "21" {
		t.Errorf("of what is kept there are %d, complete %v, want %d", len(texts), complete, sent-20)
	}

	// One right after the other, while others send.
	for range 3 {
		r.front.Choose(1)
		s := d.sends("s", "other", 0)
		send(d, 10)
		next := begin()
		r.front.Choose(next.Port)
		d.Terminate()
		s.stop(t)
		send(next, 10)
		back++
		r.all("true", back)
		r.each(sent)
		if texts, _, complete := next.kept(t, "other", "all"); len(texts) < len(s.taken) {
			t.Errorf("of the other room it has %d, complete %v, of %d", len(texts), complete, len(s.taken))
		}
		d = next
	}

	// Redis forgets: nobody is told that nothing is missing.
	r.front.Choose(1)
	before := d.metric(t, "poosh_cluster_received_total")
	send(d, 1)
	redistest.Until(t, "it was handed out", func() bool { return d.metric(t, "poosh_cluster_received_total") > before })
	redis.Do("FLUSHALL")
	d.Kill()
	e := begin()
	r.front.Choose(e.Port)
	back++
	r.all("false", back)
}

// Clients are cut off where they had an event, and come back to a node that is a moment behind: nobody is told that
// something may be missing, and nothing comes twice.
func TestHistoryOfAMomentLater(t *testing.T) {
	redis := redistest.Start(t)
	more := []string{"HISTORY=10m", "CLUSTER_TIMEOUT=1m", "CLUSTER_LEASE=2m"} // nobody waits in vain before the test has failed
	a, b := startNode(t, redis, more...), startNode(t, redis, more...)
	r := read(t, a, "r")
	sent := 0
	send := func(n *node) {
		t.Helper()
		sent++
		if status, _, body, err := n.send("r", "e", strconv.Itoa(sent)); status != 200 || err != nil {
			t.Fatal(status, body, err)
		}
	}
	send(a)
	r.each(sent)
	b.wire.Hold()
	send(a)
	r.each(sent)
	r.front.Choose(b.Port)
	a.Kill() // with the cable of the other one held, which nobody notices yet
	redistest.Until(t, "everybody is at the other node", func() bool { return len(r.front.Came(b.Port)) > len(away) })
	// They may be connected and have yet to say where they were.
	redistest.Until(t, "everybody waits for the other node", func() bool { return b.metric(t, "poosh_history_waiting") > len(away) }) // and curl
	b.wire.Release()
	r.all("true", 2)
	send(b)
	r.each(sent)
}

// A node is cut off from Redis for longer than the backlog holds, with its clients: they are sent away once it is back, come
// back to it, and are given all that they missed, once and in order, as at every other node. So are pages of Pusher.
func TestHistoryAfterALongCut(t *testing.T) {
	s := newSite(t, "HISTORY=10m", "PUSHER_HISTORY=10m", "CLUSTER_BACKLOG=64KiB")
	cut, other := s.nodes[0], s.nodes[1]
	r := read(t, cut.node, "r")
	var pages []*page
	for _, version := range []string{"4", "7", "8"} {
		p := s.open(cut.pusher, version, "page "+version, "1", map[string]any{"resume": true})
		p.join("news")
		pages = append(pages, p)
	}
	sent := 0
	send := func(by *pusherNode, at, many int) {
		t.Helper()
		for range many {
			sent++
			if status, _, body, err := by.send("r", "e", strconv.Itoa(sent)); status != 200 || err != nil {
				t.Fatal(status, body, err)
			}
			s.trigger(at, "e", strconv.Itoa(sent), "", "news")
		}
	}
	all := func(step string) {
		t.Helper()
		r.each(sent)
		for _, p := range pages {
			for i, text := range p.events("news", "e", sent) {
				if text != strconv.Itoa(i+1) {
					t.Fatalf("%s, %s: %q is at %d", step, p.id, text, i)
				}
			}
		}
	}
	send(cut, 0, 5)
	all("at first")
	_, first, _ := cut.kept(t, "r", "")

	cut.wire.Cut()
	s.ready(http.StatusServiceUnavailable, cut)
	send(other, 1, 20)
	for range 80 { // of which the backlog holds a half
		if status, _, body, err := other.send("large", "e", strings.Repeat("x", 6000)); status != 200 || err != nil {
			t.Fatal(status, body, err)
		}
		s.trigger(1, "e", strings.Repeat("x", 6000), "", "large")
	}
	cut.wire.Heal()
	r.all("true", 2)
	for _, p := range pages {
		p.wait(p.id, "connected", "", "", 2)
	}
	all("back at the node")
	s.ready(http.StatusOK, cut)
	send(cut, 0, 5)
	all("later")
	for _, p := range pages {
		if failed := s.seen(p.id, "channel", "pusher:resume_failed", "news"); len(failed) > 0 {
			t.Errorf("%s: %s", p.id, failed[0].Text)
		}
	}
	if n := cut.metric(t, `poosh_cluster_history_refills_total{outcome="filled"}`); n != 2 {
		t.Errorf("it says that it has filled %d logs again, want 2", n)
	}
	if log := cut.Log(); !strings.Contains(log, "is more than CLUSTER_BACKLOG holds") || !strings.Contains(log, "has read what it missed") {
		t.Error("its log says nothing of it")
	}
	said := ""
	s.until(func() string { return said }, func() bool { // who came and went moves the head too: each node hears of that within a second
		want, head, _ := other.kept(t, "r", first)
		got, at, complete := cut.kept(t, "r", first)
		said = fmt.Sprintf("both to keep the same: one keeps %d up to %s, complete %v, and the other one %d up to %s", len(got), at, complete, len(want), head)
		return complete && at == head && slices.Equal(got, want) && len(got) == 25
	})
}
