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

// A numbering sends events with numbers to two rooms, whatever becomes of the server, and
// knows which were accepted: of some nobody knows, since the answer never came.
type numbering struct {
	accepted []int
	unknown  map[int]bool
	count    atomic.Int64 // of accepted, while it goes on
	stop     chan struct{}
	done     sync.WaitGroup
}

func number(s *server) *numbering {
	n := &numbering{unknown: make(map[int]bool), stop: make(chan struct{})}
	n.done.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-n.stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
			switch a, err := s.tryPost(body([]string{"a", "b"}[i%2], "n", strconv.Itoa(i)), token(strconv.Itoa(i))); {
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

// Clients of every version miss nothing over two restarts, though events are sent and accepted
// until the last of them has left: those that ask with since, and those of 4.6 and newer that
// come back by connection state recovery, who they were. Then the server is killed: it starts
// with nothing, though there was a file when it started, and each client is told.
func TestHistoryOverRestarts(t *testing.T) {
	s := start(t, "HISTORY=1h", "HISTORY_EVENTS=100000", "HISTORY_FILE=history", "DRAIN_DELAY=300ms", "DRAIN_TIME=1s", "SHUTDOWN_TIMEOUT=8s", "MAX_CONNECTIONS_PER_ADDRESS=10000")
	d := drive(t, "node.js")
	var all []*client
	for _, version := range []string{"1.0.6", "1.3.4", "1.7.4", "2.5.0"} {
		for _, way := range []string{"polling", "websocket"} {
			all = append(all, d.open(opening{Version: version, Way: way, URL: s.clientURL(), Listen: []string{"n", "end"}, Since: []string{"a", "b"}}))
		}
	}
	for _, version := range []string{"4.6.2", "4.8.1"} {
		for _, way := range []string{"polling", "websocket", "upgrade"} {
			all = append(all, d.open(opening{Version: version, Way: way, URL: s.clientURL(), Listen: []string{"n", "end"}, Rooms: []string{"a", "b"},
				Options: map[string]any{"query": map[string]any{"recovery": "1"}}}))
		}
	}
	back := func(c *client) string { // what tells whether it is back with all
		if strings.HasPrefix(c.version, "4") {
			return "state"
		}
		return "recovered"
	}
	for _, c := range all {
		c.wait(t, back(c), 1)
	}
	s.waitRoom(t, "a", len(all))
	s.waitRoom(t, "b", len(all))

	sending := number(s)
	for round := range 2 {
		before := sending.count.Load()
		eventually(t, patience, "events to be accepted", func() bool { return sending.count.Load() >= before+50 })
		s.again(t)
		for _, c := range all {
			c.wait(t, back(c), round+2)
		}
	}
	sending.end()
	s.send(t, "a", "end", "1")
	for _, c := range all {
		c.events(t, "end", 1)
		if err := sending.check(c.events(t, "n", 1)); err != nil {
			t.Errorf("%s: %v", c.id, err)
		}
		for i, r := range c.seen(back(c)) {
			want := map[string]string{"state": fmt.Sprint(i > 0), "recovered": `"recovered":true`}[back(c)]
			if i > 0 && !strings.Contains(r.Text, want) {
				t.Errorf("%s: connection %d was told %s", c.id, i, r.Text)
			}
		}
		if ids := c.seen("connect"); back(c) == "state" && ids[0].SID != ids[len(ids)-1].SID {
			t.Errorf("%s: was %s, is %s", c.id, ids[0].SID, ids[len(ids)-1].SID)
		}
	}
	t.Logf("%d events accepted, of %d nobody knows", len(sending.accepted), len(sending.unknown))

	told := make(map[*client]int)
	for _, c := range all {
		told[c] = len(c.seen(back(c)))
	}
	s.crash()
	s.restart()
	for _, c := range all {
		reports := c.wait(t, back(c), told[c]+1)
		want := map[string]string{"state": "false", "recovered": `"recovered":false`}[back(c)]
		if got := reports[told[c]].Text; !strings.Contains(got, want) {
			t.Errorf("%s: after a server was killed it is told %s", c.id, got)
		}
	}
	if text := s.log.String(); strings.Count(text, "did not end in order") != 1 {
		t.Errorf("the log does not tell that once\n%s", s.log.Tail())
	}
}

// Two thousand clients that missed a hundred events each, over a restart, are back at once:
// each is who it was and is given all of them, and nobody is closed for it; who sends
// meanwhile is taken, and is behind what they missed.
func TestThousandsReturnToTheNextProcess(t *testing.T) {
	const many, events = 2000, 100
	s := start(t, "HISTORY=1h", "HISTORY_EVENTS=100000", "HISTORY_FILE=history", "SHUTDOWN_TIMEOUT=20s", "PING_INTERVAL=60s", "PING_TIMEOUT=120s", "MAX_CONNECTIONS_PER_ADDRESS=10000", "MAX_CONNECTIONS=10000")
	each := func(what string, do func(i int) error) {
		t.Helper()
		var doing sync.WaitGroup
		faults := make(chan error, many)
		for i := range many {
			doing.Go(func() {
				if err := do(i); err != nil {
					faults <- err
				}
			})
		}
		doing.Wait()
		if len(faults) > 0 {
			t.Fatalf("%s: %d of %d do not: %v", what, len(faults), many, <-faults)
		}
	}
	sockets, pids, offsets := make([]*rawSocket, many), make([]string, many), make([]string, many)
	defer func() {
		for _, ws := range sockets {
			if ws != nil {
				ws.Close()
			}
		}
	}()
	enter := func(i int, data string) error {
		ws, err := dialSocket(s.clientPort, "EIO=4&transport=websocket&recovery=1", "") // by the query: it may take its time
		if err != nil {
			return err
		}
		sockets[i] = ws
		if err := ws.say("40" + data); err != nil {
			return err
		}
		hello, err := ws.hearPrefix("40")
		if err != nil {
			return err
		}
		_, pid, _ := strings.Cut(hello, `"pid":"`)
		if pid, _, _ = strings.Cut(pid, `"`); pid == "" || pids[i] != "" && pids[i] != pid {
			return fmt.Errorf("it is not who it was: %s", hello)
		}
		pids[i] = pid
		return nil
	}
	each("to be there", func(i int) error {
		if err := enter(i, ""); err != nil {
			return err
		}
		return sockets[i].say(`42["room","r"]`)
	})
	s.waitRoom(t, "r", many)
	s.send(t, "r", "first", "0")
	each("to hear of one event", func(i int) error {
		text, err := sockets[i].hearPrefix(`42["first"`)
		offsets[i], _, _ = strings.Cut(strings.TrimPrefix(text, `42["first",0,"`), `"`)
		sockets[i].Close() // without a word
		return err
	})
	var want []string
	pad := strings.Repeat("x", 200)
	eventually(t, patience, "all to have left", func() bool { return s.status(t).sessions == 0 })
	for n := range events {
		s.send(t, "r", "missed", quote(fmt.Sprint(n, pad)))
		want = append(want, fmt.Sprint("missed", n))
	}
	s.again(t)

	var sending sync.WaitGroup
	var live atomic.Int64
	all := make(chan struct{})
	back := sync.OnceFunc(func() {
		close(all)
		sending.Wait()
	})
	defer back()
	sending.Go(func() { // ends when all are back
		for n := 0; ; n++ {
			select {
			case <-all:
				live.Store(int64(n))
				return
			case <-time.After(20 * time.Millisecond):
			}
			payload := quote(fmt.Sprint(n, "x"))
			for {
				a, err := s.tryPost(body("r", "live", payload), token(payload))
				if err != nil {
					t.Errorf("POST /send: %v", err)
					return
				}
				if a.status == 200 {
					break
				}
				time.Sleep(20 * time.Millisecond)
			}
		}
	})
	began := time.Now()
	seen := make([][]string, many)
	hear := func(i int, last string) error {
		_, err := sockets[i].hear(patience, last, func(text string) bool {
			var args []string
			if !strings.HasPrefix(text, "42") || json.Unmarshal([]byte(text[2:]), &args) != nil || len(args) != 3 {
				return false
			}
			n, _, _ := strings.Cut(args[1], "x")
			seen[i] = append(seen[i], args[0]+n)
			return args[0]+n == last
		})
		return err
	}
	each("to be back", func(i int) error {
		if err := enter(i, fmt.Sprintf(`{"pid":%q,"offset":%q}`, pids[i], offsets[i])); err != nil {
			return err
		}
		return hear(i, want[events-1])
	})
	t.Logf("%d clients were given %d events each in %v", many, events, time.Since(began).Round(time.Millisecond))
	back()
	for n := range live.Load() {
		want = append(want, fmt.Sprint("live", n))
	}
	s.send(t, "r", "done", `"x"`)
	want = append(want, "done")
	each("to hear what was sent meanwhile", func(i int) error { return hear(i, "done") })
	for i := range many {
		if !slices.Equal(seen[i], want) {
			t.Fatalf("client %d saw %q, want %q", i, seen[i], want)
		}
	}
	if st := s.status(t); st.closedSlow > 0 || st.sessions != many {
		t.Errorf("%+v", st)
	}
}
