package e2e

import (
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"
)

// points is at how many places connections are cut where all is kept.
var points = flag.Int("points", 1000, "places at which clients are cut off, spread over their ways of connecting")

// pages are clients that get what they missed: each version by its join, and those that have
// connection state recovery as they are, too.
func pages() (list []opening) {
	for _, version := range []string{"1.3.4", "1.7.4", "2.5.0", "4.8.1"} {
		for _, way := range []string{"polling", "websocket", "upgrade"} {
			list = append(list, opening{Version: version, Way: way, Since: []string{"a", "b"}})
		}
	}
	for _, version := range []string{"4.6.2", "4.8.1"} {
		for _, way := range []string{"polling", "websocket", "upgrade"} {
			list = append(list, opening{Version: version, Way: way, Confirmed: []string{"a", "b"}, Options: map[string]any{"query": map[string]any{"recovery": "1"}}})
		}
	}
	return list
}

// spans are the bytes of a life, from the first of its handshake, in which it is cut off:
// up to where events come and go on the last of its connections.
var spans = map[string]int{"polling": 7000, "websocket": 2500, "upgrade": 9000}

// pointsOf spreads n points over the life of a client, the early and the late ones in turn.
// The first is somewhere else for each client.
func pointsOf(way string, client, n int) (list []point) {
	step := n/3 | 1
	for n > 1 && gcd(step, n) > 1 {
		step += 2
	}
	for i := range n {
		at := (i*step + client) % n
		list = append(list, point{1 + at*spans[way]/n + client%7, cutting((i + client) % int(cuttings))})
	}
	return list
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// Clients of 1.x, 2.x and 4.x are cut off at each of a thousand points, from the first byte
// of their handshake to the events, while events go to two rooms and to everyone. What each
// saw is complete, in order and without repeats, or it was told that something is missing.
func TestCutAtEachPoint(t *testing.T) {
	for _, tt := range []struct {
		name   string
		points int
		keep   string
		gaps   bool // something is missing now and then
	}{
		{"all is kept", *points, "HISTORY_EVENTS=1000000", false},
		{"little is kept", max(100, *points/10), "HISTORY_EVENTS=3", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t, "HISTORY=1h", "HISTORY_BYTES=1GiB", tt.keep, "MAX_CONNECTIONS_PER_ADDRESS=10000", "OUTBOX_BYTES=32MiB", "PING_INTERVAL=5s", "PING_TIMEOUT=20s")
			d := drive(t, "node.js")
			uncut := d.open(opening{Version: "4.8.1", Way: "websocket", URL: s.clientURL(), Listen: []string{"n"}, Since: []string{"a", "b"}, Quiet: true})
			uncut.wait(t, "recovered", 1)
			list := pages()
			each := (tt.points + len(list) - 1) / len(list)
			clients, cutters := make([]*client, len(list)), make([]*cutter, len(list))
			for i, o := range list {
				cutters[i] = newCutter(t, addr(s.clientPort), pointsOf(o.Way, i, each))
				clients[i] = d.open(hurried(o, cutters[i].url()))
			}
			last := publishUntil(t, s, cutters, clients)
			for _, c := range append(clients, uncut) {
				c.hears(t, last)
			}
			course, err := newCourse(uncut.all())
			if err != nil {
				t.Fatal(err)
			}
			told, lives := 0, 0
			for i, c := range clients {
				w := newWitness(course, list[i].Confirmed != nil)
				for _, r := range c.all() {
					w.see(r)
				}
				if w.end(); len(w.bad) > 0 {
					t.Errorf("%s: %s", c.id, w.faults())
				}
				if w.told > 0 && !tt.gaps {
					t.Errorf("%s was told %d times that something is missing", c.id, w.told)
				}
				told, lives = told+w.told, lives+w.lives
			}
			t.Logf("%d points, %d connections in which a client came as far as a connect, %d events, told of gaps %d times", each*len(list), lives, len(course.ids), told)
			if tt.gaps && told == 0 {
				t.Error("nobody was told that something is missing")
			}
		})
	}
}

// hurried is a client that comes back at once.
func hurried(o opening, url string) opening {
	options := map[string]any{"reconnectionDelay": 10, "reconnectionDelayMax": 30, "randomizationFactor": 0, "timeout": 2000}
	for name, value := range o.Options {
		options[name] = value
	}
	o.URL, o.Listen, o.Options, o.Quiet = url, []string{"n"}, options, true
	return o
}

// publishUntil sends events to two rooms and to everyone until every cutter is through and
// every client has had some of each kind behind that. It returns the number of the last.
func publishUntil(t *testing.T, s *server, cutters []*cutter, clients []*client) (last int) {
	t.Helper()
	long := strings.Repeat("x", 200) // so that late points are soon met
	round := func(n int) {
		for _, kind := range []string{"a", "b", "*"} {
			if text := quote(fmt.Sprintf("%s%d %s", kind, n, long)); kind == "*" {
				s.broadcast(t, "n", text)
			} else {
				s.send(t, kind, "n", text)
			}
			time.Sleep(7 * time.Millisecond)
		}
	}
	n, before, at := 0, -1, time.Now()
	for left := 1; left > 0; n++ {
		round(n)
		left = 0
		for _, c := range cutters {
			left += c.left()
		}
		if left != before {
			before, at = left, time.Now()
		} else if time.Since(at) > patience {
			t.Fatalf("%d points are left, and none was met in %v", left, patience)
		}
	}
	end := time.Now().Add(patience)
	through := n // is the first round of which nobody is cut off any more
	for _, c := range clients {
		for ; !c.heard(through); n++ {
			if round(n); time.Now().After(end) {
				t.Fatalf("%s has heard nothing for %v since it was cut off last", c.id, patience)
			}
		}
	}
	round(n)
	return n
}

// all is what a client saw so far.
func (c *client) all() []report {
	c.d.mu.Lock()
	defer c.d.mu.Unlock()
	return append([]report(nil), c.reports...)
}

// heard reports whether a client has had, lately, an event of each kind with that number or a
// later one.
func (c *client) heard(from int) bool {
	c.d.mu.Lock()
	defer c.d.mu.Unlock()
	return c.heardLocked(from)
}

func (c *client) heardLocked(from int) bool {
	kinds := make(map[byte]bool)
	for _, r := range c.reports[max(0, len(c.reports)-200):] {
		if r.Saw != "event" {
			continue
		}
		if kind, n, _, err := readEvent(r.Text); err == nil && n >= from {
			kinds[kind] = true
		}
	}
	return len(kinds) == 3
}

// hears waits until events of each kind with that number have come.
func (c *client) hears(t *testing.T, n int) {
	t.Helper()
	c.waitFor(t, fmt.Sprint("events number ", n), func() []report {
		if c.heardLocked(n) {
			return c.reports
		}
		return nil
	})
}
