package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"poosh/test/process"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A scissors is a port in front of another, whose connections can be cut.
type scissors struct {
	*process.Front
	to string

	gate sync.Mutex

	mu    sync.Mutex // guards what follows
	marks []string   // where to cut next
	met   int        // how many of them were
}

func newScissors(t *testing.T, to string) *scissors {
	t.Helper()
	s := &scissors{to: to}
	s.Front = process.Serve(t, s.carry)
	return s
}

func (s *scissors) url() string { return "http://" + addr(s.Port) }

// without cuts all connections, and lets nobody back before f has returned.
func (s *scissors) without(f func()) {
	s.gate.Lock()
	defer s.gate.Unlock()
	s.Reset()
	f()
}

// carry joins a connection to the port behind, until either end closes it.
func (s *scissors) carry(f *process.Front, c net.Conn) {
	there, err := s.dial()
	if err != nil {
		return
	}
	defer f.Drop(there)
	if !f.Keep(c, there) {
		return
	}
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(blade{s, c}, there)
		c.Close()
	})
	_, _ = io.Copy(there, c)
	there.Close()
	back.Wait()
}

// dial connects to the port behind; nobody comes through while the gate is shut.
func (s *scissors) dial() (net.Conn, error) {
	s.gate.Lock()
	defer s.gate.Unlock()
	return net.Dial("tcp", s.to)
}

// A blade writes to a client up to the next mark.
type blade struct {
	s *scissors
	c net.Conn
}

func (b blade) Write(data []byte) (int, error) {
	b.s.mu.Lock()
	defer b.s.mu.Unlock()
	if b.s.met < len(b.s.marks) {
		if i := bytes.Index(data, []byte(b.s.marks[b.s.met])); i >= 0 {
			b.s.met++
			_, _ = b.c.Write(data[:i])
			return i, errors.New("cut")
		}
	}
	return b.c.Write(data)
}

// How many events flow, and how often connections are cut meanwhile.
const events, cuts = 400, 8

// flow sends events to two rooms and to everyone, and cuts connections meanwhile.
func flow(t *testing.T, s *server, cutter *scissors) {
	t.Helper()
	for n := range events {
		if n%(events/cuts) == events/cuts/2 {
			time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond)
			cutter.Reset()
		}
		s.send(t, []string{"a", "b"}[n%2], "n", fmt.Sprint(n))
		if n%4 == 0 {
			s.broadcast(t, "all", fmt.Sprint(n))
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// Clients of every version are cut off again and again while events flow to two rooms, and
// ask for what they missed with one line in the page: each sees all of them once, in order,
// and misses nothing that is for everyone. Those that have not asked see one argument.
func TestMissedEvents(t *testing.T) {
	s := start(t, "HISTORY=2m", "HISTORY_EVENTS=10000", "MAX_CONNECTIONS_PER_ADDRESS=10000")
	cutter := newScissors(t, addr(s.clientPort))
	d := drive(t, "node.js")
	var all []*client
	for _, version := range append(slices.Clone(versions), "4.5.4", "4.6.2") {
		for _, way := range []string{"polling", "websocket", "upgrade"} {
			all = append(all, d.open(opening{Version: version, Way: way, URL: cutter.url(), Listen: []string{"n", "all"}, Since: []string{"a", "b"}}))
		}
	}
	plain := d.open(opening{Version: "1.3.4", Way: "websocket", URL: s.clientURL(), Listen: []string{"n"}, Rooms: []string{"a", "b"}})
	plain.wait(t, "connect", 1)
	s.waitRoom(t, "a", len(all)+1)
	for _, c := range all {
		c.wait(t, "recovered", 1)
	}

	flow(t, s, cutter)
	for _, c := range all {
		for i, text := range c.events(t, "n", events) {
			var args []any
			if err := json.Unmarshal([]byte(text), &args); err != nil || len(args) != 2 || args[0] != float64(i) {
				t.Errorf("%s: event %d is %s", c.id, i, text)
				break
			}
		}
		// One that comes before the client has asked has no id: only such a one may come twice.
		ids := make(map[string]bool)
		for _, text := range c.distinct(t, "all", events/4) {
			payload, id, _ := strings.Cut(strings.Trim(text, "[]"), ",")
			if ids[payload] {
				t.Errorf("%s: %s came twice", c.id, text)
			}
			ids[payload] = id != ""
		}
		if len(ids) != events/4 {
			t.Errorf("%s: %d of %d for everyone", c.id, len(ids), events/4)
		}
		for i, r := range c.wait(t, "recovered", 2) { // it was cut off once at the least
			if i > 0 && !strings.Contains(r.Text, `"recovered":true`) {
				t.Errorf("%s: was told %s", c.id, r.Text)
			}
		}
	}
	for i, text := range plain.events(t, "n", events) {
		if text != fmt.Sprintf("[%d]", i) {
			t.Errorf("a client that has not asked saw %s", text)
		}
	}
}

// distinct waits until so many events of a name, of different payloads, have come, and returns
// the arguments of all.
func (c *client) distinct(t *testing.T, name string, n int) (texts []string) {
	t.Helper()
	for _, r := range c.waitFor(t, fmt.Sprintf("%d different events %q", n, name), func() []report {
		found, payloads := c.named(name), make(map[string]bool)
		for _, r := range found {
			payload, _, _ := strings.Cut(strings.Trim(r.Text, "[]"), ",")
			payloads[payload] = true
		}
		if len(payloads) >= n {
			return found
		}
		return nil
	}) {
		texts = append(texts, r.Text)
	}
	return texts
}

// The connection is cut within what a client is given that it missed, before the answer that it
// may have waited for and behind it: it handles each event once, and in order.
func TestCutWithinWhatWasMissed(t *testing.T) {
	const missed = 40
	s := start(t, "HISTORY=2m", "MAX_CONNECTIONS_PER_ADDRESS=10000")
	d := drive(t, "node.js")
	for _, version := range []string{"4.6.2", "4.8.1"} {
		cutter := newScissors(t, addr(s.clientPort))
		room := "room-" + version
		c := d.open(opening{Version: version, Way: "websocket", URL: cutter.url(), Listen: []string{"n"}, Rooms: []string{room}, Options: map[string]any{"query": map[string]any{"recovery": "1"}}})
		s.waitRoom(t, room, 1)
		func() {
			cutter.gate.Lock()
			defer cutter.gate.Unlock()
			cutter.mu.Lock()
			for _, n := range []int{1, 10, 11, 30} {
				cutter.marks = append(cutter.marks, fmt.Sprintf(`["n",%d,`, n))
			}
			cutter.mu.Unlock()
			cutter.Reset()
			for n := range missed {
				s.send(t, room, "n", fmt.Sprint(n))
			}
		}()
		for i, text := range c.events(t, "n", missed) {
			if !strings.HasPrefix(text, fmt.Sprintf(`[%d,"`, i)) {
				t.Errorf("%s: event %d is %s", c.id, i, text)
				break
			}
		}
		for i, r := range c.seen("state") {
			if want := fmt.Sprint(i > 0); r.Text != want {
				t.Errorf("%s: the connection %d is recovered: %s, want %s", c.id, i, r.Text, want)
			}
		}
		cutter.mu.Lock()
		if cutter.met != len(cutter.marks) {
			t.Errorf("%s: was cut off %d times within what it missed", c.id, cutter.met)
		}
		cutter.mu.Unlock()
	}
}

// Clients of socket.io 4.6 and newer as they are: their page asks for connection state
// recovery when it connects, and does nothing else. It is cut off again and again, and each
// client sees everything once and in order, in the rooms that it joined once.
func TestConnectionStateRecovery(t *testing.T) {
	s := start(t, "HISTORY=2m", "HISTORY_EVENTS=10000", "MAX_CONNECTIONS_PER_ADDRESS=10000")
	cutter := newScissors(t, addr(s.clientPort))
	d := drive(t, "node.js")
	var all []*client
	for _, version := range []string{"4.6.2", "4.8.1"} {
		for _, way := range []string{"polling", "websocket", "upgrade"} {
			for _, options := range []map[string]any{{"auth": map[string]any{"recovery": true}}, {"query": map[string]any{"recovery": "1"}}} {
				if way == "websocket" && options["auth"] != nil {
					continue // on a loaded machine it may ask too late
				}
				all = append(all, d.open(opening{Version: version, Way: way, URL: cutter.url(), Listen: []string{"n", "all"}, Rooms: []string{"a", "b"}, Options: options}))
			}
		}
	}
	s.waitRoom(t, "b", len(all))
	flow(t, s, cutter)
	for _, c := range all {
		for i, text := range c.events(t, "n", events) {
			if !strings.HasPrefix(text, fmt.Sprintf(`[%d,"`, i)) {
				t.Errorf("%s: event %d is %s", c.id, i, text)
				break
			}
		}
		for i, text := range c.events(t, "all", events/4) {
			if !strings.HasPrefix(text, fmt.Sprintf(`[%d,"`, 4*i)) {
				t.Errorf("%s: event %d for everyone is %s", c.id, i, text)
				break
			}
		}
		states, sid := c.wait(t, "state", 2), c.seen("connect")[0].SID
		for i, r := range states {
			if want := fmt.Sprint(i > 0); r.Text != want {
				t.Errorf("%s: the connection %d is recovered: %s, want %s", c.id, i, r.Text, want)
			}
		}
		for _, r := range c.wait(t, "connect", 2) {
			if r.SID != sid {
				t.Errorf("%s: was %s, is %s", c.id, sid, r.SID)
			}
		}
	}
}
