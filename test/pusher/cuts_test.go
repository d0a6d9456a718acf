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

// points is at how many places connections are cut where all is kept, or a few less. A thousand
// take a minute or two.
var points = flag.Int("points", 500, "places at which clients of Pusher are cut off, spread over their versions")

// established begins what the server says first. pusher-js takes a connection for one from there
// on, and span is how many bytes come behind it up to where what was missed in the second that
// pusher-js is away is nearly over.
const established, span = "connection_established", 8500

// handshake is how many bytes a connection takes up to there, or more. One of so many clients in
// Node is cut off within them, once, which takes it 15 seconds to see, and the next time twice as
// long. They are as long as that many other points.
const handshake, shaken, shakenPoints = 450, 4, 6

// pusher-js gives its transport up after two connections that ended without a word sooner than
// two of its activity_timeout after they began, and it has no other one here. So it has a
// short one, and no connection is cut sooner than hold: at the same byte, but later.
const (
	activity = 40 * time.Millisecond
	hold     = 250 * time.Millisecond
)

// inBrowser is how many clients stand in a page of a browser, which lets few WebSockets at a time
// begin, and later ones wait that follow on such as were cut off. So they have few points each.
const inBrowser, browserPoints = 3, 4

// alone is how many clients of a version are a member of their own; all others of it are one.
const alone = 2

// A publishing sends events of each kind to the channels of an app.
type publishing struct {
	s *server
	d *driver
	*course
	rounds int
	http   *http.Client
	steady *page // is never cut off, and says how fast all can be sent
}

// ahead is how many rounds may be sent that have not been seen yet: on a busy machine the process
// of all clients is slow.
const ahead = 20

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
		other = errors.Join(p.send('b', n, ""), p.send('p', n, ""))
	})
	err := errors.Join(p.send('a', n, ""), p.send('x', n, except))
	sending.Wait()
	return errors.Join(err, other)
}

// next sends a round when what was sent before has been seen.
func (p *publishing) next(t *testing.T, except string) {
	t.Helper()
	eventually(t, "who is never cut off to keep up", func() bool {
		p.d.lives()
		return p.rounds < ahead || p.steady.heard(p.rounds-ahead)
	})
	if err := p.round(except); err != nil {
		t.Fatal(err)
	}
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
	sent.done = append(sent.done, time.Now())
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

// openPages opens so many clients of each version in Node, every other one with Echo, and some in
// one page of a browser, and spreads points over them; shake has some cut off in a handshake.
func openPages(t *testing.T, s *server, d *driver, each, points int, shake bool) (pages []*page, all int) {
	t.Helper()
	for _, w := range ways {
		for i := range each {
			if !w.browser || i < inBrowser {
				user := fmt.Sprint(w.name, " ", min(i, alone)) // some are alone, and come and leave
				pages = append(pages, &page{way: w, echo: !w.browser && i%2 == 0, user: user})
			}
		}
	}
	n := (points - inBrowser*browserPoints + len(pages) - inBrowser - 1) / (len(pages) - inBrowser)
	host := ""
	for i, p := range pages {
		var list []process.CutPoint
		switch {
		case p.way.browser:
			p.host = host
			list = behind(browserPoints, i, len(pages))
		case shake && i%shaken == 0:
			list = process.CutPoints(handshake, 1, i, len(pages))
			list = append(list, behind(n-min(n-1, shakenPoints), i, len(pages))...)
		default:
			list = behind(n, i, len(pages))
		}
		p.cutter = process.Cut(t, s.port, list, hold)
		p.port = p.cutter.Port
		all += len(list)
		p.enter(s, d)
		if p.way.browser && host == "" {
			host = p.id
		}
	}
	return pages, all
}

// behind is where one of the clients is cut off once its connections are established.
func behind(n, client, clients int) []process.CutPoint {
	list := process.CutPoints(span, n, client, clients)
	for i := range list {
		list[i].Behind = established
	}
	return list
}

// Stock pusher-js of three versions, Laravel Echo on top of it, and pusher-js in a browser, with
// the plugin of examples/pusher, is cut off at each of hundreds of points, from the first byte of
// its handshake to what it missed, while two publishers send events to a public channel, a private
// one and one with members, to all but one connection, and to a channel that is none of theirs.
// What each page saw of a channel is complete, in order and without repeats, or it was told that
// something is missing; and who it takes for the members were there.
func TestCutAtEachPoint(t *testing.T) {
	for _, tt := range []struct {
		name         string
		each, points int
		keep         string
		gaps         bool
	}{
		{"all is kept", 18, *points, "1000000", false},
		{"little is kept", 6, max(60, *points/8), "3", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t, "LOG_LEVEL=info", "PUSHER_HISTORY=1h", "PUSHER_HISTORY_EVENTS="+tt.keep, "OUTBOX_BYTES=32MiB")
			d := drive(t, s)
			pages, all := openPages(t, s, d, tt.each, tt.points, !tt.gaps)
			p := newPublishing(s, d)
			p.steady = &page{way: ways[2], port: s.port, user: "steady"}
			p.steady.enter(s, d)
			eventually(t, "who is never cut off to be in its channels", func() bool {
				return len(d.seen(p.steady.id, "channel", "pusher:subscription_succeeded", "")) == len(channels)
			})
			x := strange(t, s)
			met := all - p.until(t, pages)
			p.through(t, pages)
			x.end(t)
			told, connections, former := 0, 0, 0
			everybody := append(pages, p.steady)
			for _, page := range everybody {
				n, gaps := page.judge(t, p.course, usersOf(everybody))
				if gaps > 0 && (!tt.gaps || page == p.steady) {
					t.Errorf("%s was told %d times that something is missing", page.id, gaps)
				}
				connections, told, former = connections+n, told+gaps, former+len(page.former)
			}
			t.Logf("%d of %d points met by %d clients, %d connections that were established, %d pages had to be loaded anew, %d rounds of events, told of gaps %d times", met, all, len(pages), connections, former, p.rounds, told)
			if tt.gaps && told == 0 {
				t.Error("nobody was told that something is missing")
			}
			if met < tt.points*4/5 || connections < met*2/3 {
				t.Errorf("%d of %d points were met, and %d connections were established", met, all, connections)
			}
		})
	}
}

// until sends until every cutter is through, or for a few minutes, and returns how many
// points are left that nobody met. From then on nobody is cut off.
func (p *publishing) until(t *testing.T, pages []*page) (left int) {
	t.Helper()
	for end := time.Now().Add(3 * patience); ; {
		p.next(t, pages[p.rounds%len(pages)].socket())
		left = 0
		for _, page := range pages {
			if page.gaveUp() {
				page.enter(p.s, p.d)
			}
			left += page.cutter.Left()
		}
		if left == 0 {
			return 0
		}
		if time.Now().After(end) {
			break
		}
	}
	left = 0
	for _, page := range pages {
		if n := page.cutter.Spare(); n > 0 {
			left += n
			t.Logf("%s was not cut off at %d points; it saw%s", page.id, n, page.story())
		}
	}
	return left
}

// through sends, seldom, until every page has had events of each kind that were sent after this
// began, and then those that came last.
func (p *publishing) through(t *testing.T, pages []*page) {
	t.Helper()
	begun := p.rounds
	at := time.Time{}
	for _, page := range pages {
		eventually(t, page.id+" to have heard something since it was cut off last", func() bool {
			p.d.lives()
			if page.gaveUp() {
				page.enter(p.s, p.d)
			}
			if time.Since(at) > time.Second/2 {
				at = time.Now()
				if err := p.round(""); err != nil {
					t.Fatal(err)
				}
			}
			return page.heard(begun)
		})
	}
	last := p.rounds
	if err := p.round(""); err != nil {
		t.Fatal(err)
	}
	for _, page := range pages {
		eventually(t, page.id+" to have the last event", func() bool { return page.heard(last) })
	}
}
