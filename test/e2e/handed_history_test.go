package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// A numbering sends events with numbers to rooms, whatever becomes of the server, and
// knows which were accepted: of some nobody knows, since the answer never came.
type numbering struct {
	accepted []int
	unknown  map[int]bool
	count    atomic.Int64 // of accepted, while it goes on
	stop     chan struct{}
	done     sync.WaitGroup
}

// number begins to send, an event after each time every, to one room after the other.
func number(s *server, every time.Duration, rooms ...string) *numbering {
	n := &numbering{unknown: make(map[int]bool), stop: make(chan struct{})}
	n.done.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-n.stop:
				return
			case <-time.After(every):
			}
			switch a, err := s.tryPost(body(rooms[i%len(rooms)], "n", strconv.Itoa(i)), token(strconv.Itoa(i))); {
			case err != nil:
				n.unknown[i] = true // perhaps it was accepted
			case a.status == 200:
				n.accepted = append(n.accepted, i)
				n.count.Add(1)
			}
		}
	})
	return n
}

func (n *numbering) end() {
	close(n.stop)
	n.done.Wait()
}

// check says what is wrong with the events "n" that a client saw, which is all there is.
func (n *numbering) check(texts []string) error {
	var seen []int
	for _, text := range texts {
		var args []any
		if err := json.Unmarshal([]byte(text), &args); err != nil || len(args) != 2 {
			return fmt.Errorf("it saw %s", text)
		}
		seen = append(seen, int(args[0].(float64)))
	}
	if !slices.IsSorted(seen) || len(slices.Compact(slices.Clone(seen))) != len(seen) {
		return errors.New("it saw some out of order, or twice")
	}
	return missing(n.accepted, seen)
}

// again ends the server in order, while events are sent, and starts it again.
func (s *server) again(t *testing.T) {
	t.Helper()
	s.signal(syscall.SIGTERM)
	s.waitExit(patience)
	s.checkLog()
	if text := s.log.String(); !strings.Contains(text, "the history is left to the next process") {
		t.Errorf("no history is left\n%s", s.log.Tail())
	}
	s.restart()
	eventually(t, patience, "the log to tell what the server goes on with", func() bool {
		return strings.Contains(s.log.String(), "goes on with the history of the last process")
	})
}

// lasting are settings of a server whose clients are to miss nothing over its restarts.
var lasting = []string{"HISTORY=1h", "HISTORY_EVENTS=100000", "HISTORY_FILE=history", "DRAIN_DELAY=300ms", "DRAIN_TIME=1s", "SHUTDOWN_TIMEOUT=8s", "MAX_CONNECTIONS_PER_ADDRESS=10000"}

// survivors opens clients of every version, loops of curl and streams of a browser, which are
// in two rooms: those that ask with since, and those that come back by connection state
// recovery.
func survivors(t *testing.T, s *server, d *driver) (all []*client) {
	t.Helper()
	for _, version := range []string{"1.0.6", "1.3.4", "1.7.4", "2.5.0"} {
		for _, way := range []string{"polling", "websocket"} {
			all = append(all, d.open(opening{Version: version, Way: way, URL: s.clientURL(), Listen: []string{"n", "end"}, Since: []string{"a", "b"}}))
		}
	}
	for _, version := range []string{"4.6.2", "4.8.1"} {
		for _, way := range []string{"polling", "websocket", "upgrade"} {
			all = append(all, d.open(opening{Version: version, Way: way, URL: s.clientURL(), Listen: []string{"n", "end"}, Confirmed: []string{"a", "b"},
				Options: map[string]any{"query": map[string]any{"recovery": "1"}}}))
		}
	}
	url, loops := s.clientURL()+"/events?room=a&room=b", newLoops(t)
	all = append(all, loops.curl(url), loops.curl(url))
	all = append(all, drive(t, "browser.js").streams([]string{url, url, url})...)
	for _, c := range all {
		c.wait(t, c.back(), 1)
	}
	s.waitRoom(t, "a", len(all))
	s.waitRoom(t, "b", len(all))
	return all
}

// back is the report that tells whether a survivor is back with all.
func (c *client) back() string {
	if strings.HasPrefix(c.version, "4") {
		return "state"
	}
	return "recovered"
}

// isTold reports whether a report of a survivor says that something is missing.
func (c *client) isTold(r report) bool {
	return r.Saw == c.back() && (r.Text == "false" || strings.Contains(r.Text, `"recovered":false`))
}

// Clients of every version and of none miss nothing over two restarts, though events are sent
// and accepted until the last of them has left: those that ask with since or come back to a
// stream, and those of 4.6 and newer that come back by connection state recovery, who they
// were. Then the server is killed: it starts with nothing, though there was a file when it
// started, and each client is told.
func TestHistoryOverRestarts(t *testing.T) {
	s := start(t, lasting...)
	d := drive(t, "node.js")
	all := survivors(t, s, d)

	sending := number(s, 5*time.Millisecond, "a", "b")
	for round := range 2 {
		before := sending.count.Load()
		eventually(t, patience, "events to be accepted", func() bool { return sending.count.Load() >= before+50 })
		s.again(t)
		for _, c := range all {
			c.wait(t, c.back(), round+2)
		}
	}
	sending.end()
	s.send(t, "a", "end", "1")
	for _, c := range all {
		c.events(t, "end", 1)
		if err := sending.check(c.events(t, "n", 1)); err != nil {
			t.Errorf("%s: %v", c.id, err)
		}
		for i, r := range c.seen(c.back()) {
			want := map[string]string{"state": fmt.Sprint(i > 0), "recovered": `"recovered":true`}[c.back()]
			if i > 0 && !strings.Contains(r.Text, want) {
				t.Errorf("%s: connection %d was told %s", c.id, i, r.Text)
			}
		}
		if ids := c.seen("connect"); c.back() == "state" && ids[0].SID != ids[len(ids)-1].SID {
			t.Errorf("%s: was %s, is %s", c.id, ids[0].SID, ids[len(ids)-1].SID)
		}
	}
	t.Logf("%d events accepted, of %d nobody knows", len(sending.accepted), len(sending.unknown))

	told := make(map[*client]int)
	for _, c := range all {
		told[c] = len(c.seen(c.back()))
	}
	s.crash()
	s.restart()
	for _, c := range all {
		reports := c.wait(t, c.back(), told[c]+1)
		want := map[string]string{"state": "false", "recovered": `"recovered":false`}[c.back()]
		if got := reports[told[c]].Text; !strings.Contains(got, want) {
			t.Errorf("%s: after a server was killed it is told %s", c.id, got)
		}
	}
	if text := s.log.String(); strings.Count(text, "did not end in order") != 1 {
		t.Errorf("the log does not tell that once\n%s", s.log.Tail())
	}
}
