package e2e

import (
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"poosh/test/process"
)

// points is at how many places connections are cut where all is kept.
var points = flag.Int("points", 1000, "places at which clients are cut off, spread over their ways of connecting")

// Clients without a library that are cut off too. A browser takes its time to come back: each
// of its streams is cut off a few times only.
const (
	curls, streams = 6, 16
	streamPoints   = 6
)

// pages are clients that get what they missed: each version by its join, and those that have
// connection state recovery as they are, too.
func pages() (list []opening) {
	for _, version := range []string{"1.0.6", "1.3.4", "1.7.4", "2.5.0", "3.1.3", "4.5.4", "4.8.1"} {
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
// up to where events come and go on the last of its connections. A browser is away for so
// long that what it missed takes more than that.
var spans = map[string]int{"polling": 7000, "websocket": 2500, "upgrade": 9000, "curl": 6000, "stream": 12000}

// A cutCrowd is clients that are cut off, each by a cutter of its own.
type cutCrowd struct {
	cutters []*process.Cutter
	clients []*client
	state   map[*client]bool // it comes back by connection state recovery
}

// openCrowd opens clients of socket.io, in Node, which share so many points, loops of curl, as
// many for each, and streams of a browser.
func openCrowd(t *testing.T, s *server, node *driver, points, streamPoints int) *cutCrowd {
	t.Helper()
	c := &cutCrowd{state: make(map[*client]bool)}
	cut := func(way string, n, of, all int) string {
		one := process.Cut(t, s.clientPort, process.CutPoints(spans[way], n, of, all), 0)
		c.cutters = append(c.cutters, one)
		return one.URL()
	}
	list, loops := pages(), newLoops(t)
	all := len(list) + curls
	each := (points + all - 1) / all
	for i, o := range list {
		one := node.open(hurried(o, cut(o.Way, each, i, all)))
		c.clients, c.state[one] = append(c.clients, one), o.Confirmed != nil
	}
	for i := range curls {
		c.clients = append(c.clients, loops.curl(cut("curl", each, len(list)+i, all)+"/events?room=a&room=b"))
	}
	var urls []string
	for i := range streams {
		urls = append(urls, cut("stream", streamPoints, i, streams)+"/events?room=a&room=b")
	}
	c.clients = append(c.clients, drive(t, "browser.js").streams(urls)...)
	return c
}

// left is how many points have not been met.
func (c *cutCrowd) left() (n int) {
	for _, one := range c.cutters {
		n += one.Left()
	}
	return n
}

// Clients of 1.x, 2.x, 3.x and 4.x, curl and the browser's own are cut off at each of a
// thousand points, from the first byte of their handshake to the events, while two publishers
// send events to two rooms, to everyone, to all but one, and to a room that is none of theirs.
// What each saw is complete, in order and without repeats, or it was told that something is
// missing.
func TestCutAtEachPoint(t *testing.T) {
	for _, tt := range []struct {
		name                 string
		points, streamPoints int
		keep                 string
		gaps                 bool // something is missing now and then
	}{
		{"all is kept", *points, streamPoints, "HISTORY_EVENTS=1000000", false},
		{"little is kept", max(100, *points/10), 1, "HISTORY_EVENTS=3", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t, "HISTORY=1h", "HISTORY_BYTES=1GiB", tt.keep, "MAX_CONNECTIONS_PER_ADDRESS=10000", "OUTBOX_BYTES=32MiB", "PING_INTERVAL=5s", "PING_TIMEOUT=20s")
			d := drive(t, "node.js")
			uncut := d.open(opening{Version: "4.8.1", Way: "websocket", URL: s.clientURL(), Listen: []string{"n"}, Since: []string{"a", "b"}, Quiet: true})
			uncut.wait(t, "recovered", 1)
			crowd := openCrowd(t, s, d, tt.points, tt.streamPoints)
			met := crowd.left()
			p := &publishers{s: s, except: make(map[int]string)}
			last := p.until(t, crowd)
			for _, c := range append(crowd.clients, uncut) {
				c.hears(t, last)
			}
			course, err := newCourse(uncut.all(), p.except)
			if err != nil {
				t.Fatal(err)
			}
			told, lives := 0, 0
			for _, c := range crowd.clients {
				w := newWitness(course, crowd.state[c])
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
			t.Logf("%d points, %d connections in which a client came as far as a connect, %d events, told of gaps %d times", met, lives, len(course.ids), told)
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

// publishers are two that send at the same time, each kind of event by one of them.
type publishers struct {
	s      *server
	rounds int
	except map[int]string // see course
}

// The text of an event begins with its kind and number, and is so long that late points are
// soon met.
var padding = " " + strings.Repeat("x", 200)

// round sends one event of each kind; that which is not for everyone is not for the connection
// except.
func (p *publishers) round(t *testing.T, except string) {
	t.Helper()
	if except != "" {
		p.except[p.rounds] = except
	}
	send := func(kinds string) (err error) {
		for _, kind := range kinds {
			payload := quote(fmt.Sprint(string(kind), p.rounds, padding))
			body := `{"event":"n","payload":` + payload
			if kind == 'x' && except != "" {
				body += `,"except":` + quote(except)
			}
			if kind != '*' {
				body += `,"room":` + quote(strings.Replace(string(kind), "x", "a", 1))
			}
			a, e := p.s.tryPost(body+"}", token(payload))
			if e == nil && a.status != 200 {
				e = fmt.Errorf("status %d: %s", a.status, a.body)
			}
			err = errors.Join(err, e)
			time.Sleep(7 * time.Millisecond)
		}
		return err
	}
	var other error
	var sending sync.WaitGroup
	sending.Go(func() { other = send("b" + string(bait)) })
	err := send("a*x")
	sending.Wait()
	if err = errors.Join(err, other); err != nil {
		t.Fatalf("POST /send: %v", err)
	}
	p.rounds++
}

// until sends until every cutter is through and every client has had some of each kind behind
// that. It returns the number of the last.
func (p *publishers) until(t *testing.T, crowd *cutCrowd) (last int) {
	t.Helper()
	round := func() { p.round(t, crowd.clients[p.rounds%len(crowd.clients)].sid()) }
	before, at := -1, time.Now()
	for left := 1; left > 0; {
		round()
		if left = crowd.left(); left != before {
			before, at = left, time.Now()
		} else if time.Since(at) > patience {
			t.Fatalf("%d points are left, and none was met in %v", left, patience)
		}
	}
	end := time.Now().Add(patience)
	through := p.rounds // is the first of which nobody is cut off any more
	for _, c := range crowd.clients {
		for !c.heard(through) {
			if round(); time.Now().After(end) {
				t.Fatalf("%s has heard nothing for %v since it was cut off last", c.id, patience)
			}
		}
	}
	p.round(t, "")
	return p.rounds - 1
}

// sid is by what the server knows a client as far as it knows itself; empty if it does not.
func (c *client) sid() string {
	c.d.mu.Lock()
	defer c.d.mu.Unlock()
	for _, r := range slices.Backward(c.reports) {
		if r.Saw == "connect" {
			return r.SID
		}
	}
	return ""
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
	seen := make(map[byte]bool)
	for _, r := range c.reports[max(0, len(c.reports)-200):] {
		if r.Saw != "event" {
			continue
		}
		if kind, n, _, err := readEvent(r.Text); err == nil && n >= from {
			seen[kind] = true
		}
	}
	return len(seen) == len(eventKinds)
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
