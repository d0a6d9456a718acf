package pusher_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"poosh/auth"
	"poosh/test/process"
)

// points is at how many places connections are cut where all is kept.
var points = flag.Int("points", 500, "places at which clients of Pusher are cut off, spread over their versions")

// handshake is how many bytes of a life are the request for a WebSocket and its answer, and span
// how many there are up to where what was missed in the second that pusher-js is away is nearly
// over.
const handshake, span = 450, 9000

// shaken is one of how many clients is cut off within its handshake, once: outside a browser it
// takes 15 seconds to see that, which are as long as this many other points.
const shaken, shakenPoints = 4, 6

// pusher-js gives its transport up after two connections that ended without a word sooner than
// two of its activity_timeout after they began, and it has no other one here. So it has a
// short one, and no connection is cut sooner than hold: at the same byte, but later.
const (
	activity = 40 * time.Millisecond
	hold     = 250 * time.Millisecond
)

// inBrowser is how many clients stand in a page of a browser, which lets few WebSockets at a time
// begin, and later ones wait that follow on such as were cut off.
const inBrowser = 3

// A page is a client behind a cutter of its own, and those that stood in its place before they
// gave up.
type page struct {
	*client
	cutter *process.Cutter
	way    way
	host   string // the page of the browser that it stands in
	former []*client
}

// A publishing sends events of each kind to the channels of an app.
type publishing struct {
	s *server
	d *driver
	*course
	rounds int
	http   *http.Client
}

func newPublishing(s *server, d *driver) *publishing {
	return &publishing{s: s, d: d, course: newCourse(), http: &http.Client{Timeout: patience}}
}

// padding is behind the kind and number of an event, so that late points are soon met.
var padding = " " + strings.Repeat("x", 150)

// round sends one event of each kind, by two publishers at the same time, and says what was
// not accepted. That which is not for everyone is not for the connection except.
func (p *publishing) round(except string) error {
	n := p.rounds
	p.rounds++
	if except != "" {
		p.except[n] = except
	}
	var other error
	var sending sync.WaitGroup
	sending.Go(func() {
		_ = p.post(`{"name":"bait","channel":"c","data":"c"}`)
		other = p.send('b', n, "")
	})
	err := errors.Join(p.send('a', n, ""), p.send('x', n, except))
	sending.Wait()
	return errors.Join(err, other)
}

// send sends one event. It owns what the course has of its kind.
func (p *publishing) send(kind byte, n int, except string) error {
	sent := p.sent[kind]
	sent.begun = append(sent.begun, time.Now())
	event := map[string]any{"name": "e", "channel": channelOf[kind], "data": fmt.Sprint(string(kind), n, padding)}
	if except != "" {
		event["socket_id"] = except
	}
	err := p.post(marshal(event))
	if err != nil {
		sent.unsure[n] = err.Error()
	}
	time.Sleep(15 * time.Millisecond)
	return err
}

func (p *publishing) post(body string) error {
	path := "/apps/" + appID + "/events"
	query := auth.SignPusherQuery(appKey, appSecret, "POST", path, []byte(body), time.Now())
	resp, err := p.http.Post(fmt.Sprintf("http://127.0.0.1:%d%s?%s", p.s.port, path, query), "application/json", bytes.NewReader([]byte(body)))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != 200 {
		return fmt.Errorf("status %d: %s", resp.StatusCode, text)
	}
	return nil
}

// all is what a client saw so far.
func (c *client) all() []report { return c.seen(c.id, "", "", "") }

// heard reports whether a client has had an event of each kind with that number or a later one.
func (c *client) heard(from int) bool {
	seen := make(map[byte]bool)
	for _, r := range c.seen(c.id, "channel", "e", "") {
		var kind byte
		var n int
		if _, err := fmt.Sscanf(r.Text, `"%c%d`, &kind, &n); err == nil && n >= from {
			seen[kind] = true
		}
	}
	return len(seen) == len(eventKinds)
}

// story is what a client saw last, but for events.
func (c *client) story() (text string) {
	for _, r := range c.all() {
		if r.Name != "e" {
			text += fmt.Sprintf("\n  %s %s %s %s %.200s", r.at.Format("05.000"), r.Saw, r.Name, r.Channel, r.Text)
		}
	}
	return text[max(0, len(text)-3000):]
}

// socket is the id of its connection as far as it knows; empty if it has had none.
func (c *client) socket() string {
	all := c.seen(c.id, "connected", "", "")
	if len(all) == 0 {
		return ""
	}
	return all[len(all)-1].Name
}

// enter opens the client of a page in its channels, again if it has given up.
func (p *page) enter(s *server, d *driver) {
	id := fmt.Sprintf("%s behind %d", p.way.name, p.cutter.Port)
	if p.client != nil {
		p.former = append(p.former, p.client)
		id += fmt.Sprint(" again ", len(p.former))
	}
	more := map[string]any{
		"resume": true, "quiet": true, "wsPort": p.cutter.Port,
		"activityTimeout": activity.Milliseconds(), "activity_timeout": activity.Milliseconds(),
	}
	if p.host != "" {
		more["page"] = p.host
	}
	p.client = d.open(s, p.way, id, "1", more)
	for _, channel := range []string{channelOf['a'], channelOf['b']} {
		p.op("subscribe", "channel", channel)
	}
}

// gaveUp reports whether pusher-js will not try any more.
func (p *page) gaveUp() bool {
	return len(p.seen(p.id, "state", "failed", "")) > 0
}

// openPages opens so many clients of each version in Node, and some in one page of a browser.
func openPages(t *testing.T, s *server, d *driver, each, points int) (pages []*page) {
	t.Helper()
	var list []way
	for _, w := range ways {
		for range each {
			if list = append(list, w); w.browser && len(list)%each == inBrowser {
				break
			}
		}
	}
	n := (points + len(list) - 1) / len(list)
	host := ""
	for i, w := range list {
		p := &page{way: w, cutter: process.Cut(t, s.port, pointsOf(n, i, len(list)), hold)}
		if w.browser {
			p.host = host
		}
		p.enter(s, d)
		if w.browser && host == "" {
			host = p.id
		}
		pages = append(pages, p)
	}
	return pages
}

// pointsOf is where one of the clients is cut off.
func pointsOf(n, client, clients int) (list []process.CutPoint) {
	if client%shaken == 0 {
		list = process.CutPoints(handshake, 1, client, clients)
		n -= min(n-1, shakenPoints)
	}
	for _, point := range process.CutPoints(span-handshake, n, client, clients) {
		point.After += handshake
		list = append(list, point)
	}
	return list
}

// Stock pusher-js of three versions, and in a browser, with the plugin of examples/pusher is cut
// off at each of a thousand points, from the first byte of its handshake to what it missed, while
// two publishers send events to two channels, to all but one connection, and to a channel that
// is none of theirs. What each page saw of a channel is complete, in order and without repeats,
// or it was told that something is missing.
func TestCutAtEachPoint(t *testing.T) {
	for _, tt := range []struct {
		name         string
		each, points int
		keep         string
		gaps         bool
	}{
		{"all is kept", 18, *points, "1000000", false},
		{"little is kept", 6, max(48, *points/20), "3", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t, "LOG_LEVEL=info", "PUSHER_HISTORY=1h", "PUSHER_HISTORY_EVENTS="+tt.keep, "OUTBOX_BYTES=32MiB")
			d := drive(t, s)
			pages := openPages(t, s, d, tt.each, tt.points)
			p := newPublishing(s, d)
			p.until(t, pages)
			told, met, former := 0, 0, 0
			for _, page := range pages {
				for i, c := range append(page.former, page.client) {
					w := p.see(c.all())
					if i == len(page.former) {
						w.end()
					}
					if len(w.bad) > 0 {
						t.Errorf("%s:\n  %s", c.id, w.faults())
					}
					if w.told > 0 && !tt.gaps {
						t.Errorf("%s was told %d times that something is missing", c.id, w.told)
					}
					told, met = told+w.told, met+len(w.own)
				}
				former += len(page.former)
			}
			t.Logf("%d clients, %d connections that were established, %d pages had to be loaded anew, %d rounds of events, told of gaps %d times", len(pages), met, former, p.rounds, told)
			if tt.gaps && told == 0 {
				t.Error("nobody was told that something is missing")
			}
		})
	}
}

// until sends until every cutter is through and every page has had all.
func (p *publishing) until(t *testing.T, pages []*page) {
	t.Helper()
	before, at := -1, time.Now()
	round := func(except string) {
		if err := p.round(except); err != nil {
			t.Fatal(err)
		}
		for _, page := range pages {
			if page.gaveUp() {
				page.enter(p.s, p.d)
			}
		}
	}
	for left := 1; left > 0; {
		round(pages[p.rounds%len(pages)].socket())
		left = 0
		for _, page := range pages {
			left += page.cutter.Left()
		}
		if left != before {
			before, at = left, time.Now()
		} else if time.Since(at) > patience/2 {
			for _, page := range pages {
				if n := page.cutter.Left(); n > 0 {
					t.Errorf("%s is not cut off at %d points; it saw%s", page.id, n, page.story())
				}
			}
			t.Fatalf("%d points are left, and none was met in %v", left, patience/2)
		}
	}
	end := time.Now().Add(patience)
	for _, page := range pages {
		for through := p.rounds; !page.heard(through); {
			if round(""); time.Now().After(end) {
				t.Fatalf("%s has heard nothing for %v since it was cut off last; it saw%s", page.id, patience, page.story())
			}
		}
	}
	last := p.rounds
	round("")
	for _, page := range pages {
		eventually(t, page.id+" to have the last event", func() bool { return page.heard(last) })
	}
}
