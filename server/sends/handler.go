package sends

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"poosh/server/eventstream"
)

const (
	// pace is the least time between two writes to a watcher: so much is gathered. The first
	// send after a pause is told at once.
	pace = 250 * time.Millisecond
	// steady is that time while sends come all the while: each write is a system call, and
	// has somebody's page awake.
	steady = 500 * time.Millisecond
	// each is the least time for each of the sends that were written: a thousand a second
	// are more than anybody reads. What a flood has beyond a queue in that time is dropped.
	each = time.Millisecond
	// keepAlive is how often a watcher is written to, sends or none: proxies cut what is
	// silent.
	keepAlive = 15 * time.Second
)

// line is a [Send] as watchers over HTTP read it.
type line struct {
	ID       string  `json:"id"`
	At       string  `json:"at"` // RFC 3339, UTC
	Dialect  string  `json:"dialect"`
	App      string  `json:"app,omitempty"`
	Room     *string `json:"room,omitempty"` // there unless it is for everyone
	Everyone bool    `json:"everyone,omitempty"`
	Event    string  `json:"event"`
	Size     int     `json:"size"`
	Handed   int     `json:"handed"`
	// Uncounted stands there where Handed is none of those who got it.
	Uncounted bool            `json:"uncounted,omitempty"`
	Payload   json.RawMessage `json:"payload,omitempty"`
}

func (s *Send) line() line {
	l := line{ID: s.ID, At: s.At.UTC().Format("2006-01-02T15:04:05.000000Z"), Dialect: s.Dialect, App: s.App,
		Everyone: s.Everyone, Event: s.Event, Size: s.Size, Handed: s.Handed, Uncounted: s.Uncounted, Payload: s.Payload}
	if !s.Everyone {
		l.Room = &s.Room
	}
	return l
}

// Stream answers GET with sends as they happen, as Server-Sent Events. The parameters
// dialect, app and room choose, and payload=1 asks for payloads. Each send is an event
// "send", whose data is an object; "dropped", with {"count": n}, says that so many found
// no room. It answers 503 to one watcher too many, and while the server goes away.
//
// It asks for no token: who mounts it does. It ends when its client goes or does not
// read, with the context of its request, or with the feed.
func (f *Feed) Stream(w http.ResponseWriter, r *http.Request) {
	watcher, err := f.Watch(FilterOf(r.URL.Query()))
	if err == nil {
		defer watcher.Stop()
	}
	s := eventstream.Begin(w, r, err)
	if s == nil {
		return
	}
	s.Comment("watching")
	if s.Flush() {
		follow(s, watcher, r.Context().Done())
	}
}

// FilterOf is what the parameters of [Feed.Stream] ask for.
func FilterOf(q url.Values) Filter {
	return Filter{
		Dialect: q.Get("dialect"), App: q.Get("app"),
		Room: q.Get("room"), InRoom: q.Has("room"), Payload: q.Get("payload") == "1",
	}
}

// Lines is [Watcher.Take] of the objects that [Feed.Stream] tells, one a line and none with a line
// break in it. They are shared: read only. all has those too that are hidden; see [Feed.Hide].
func (w *Watcher) Lines(all bool) (list [][]byte, dropped uint64) {
	taken, dropped := w.take()
	for _, t := range taken {
		if all || !w.feed.hidden(t) {
			list = append(list, t.json())
		}
	}
	return list, dropped
}

// follow writes what a watcher is told until one of both ends.
func follow(s *eventstream.Stream, w *Watcher, gone <-chan struct{}) {
	idle, gather := time.NewTicker(keepAlive), time.NewTimer(0)
	defer idle.Stop()
	defer gather.Stop()
	least := pace
	for {
		told := 0
		select {
		case <-gone:
			return
		case <-w.Over():
			return
		case <-idle.C:
			s.Comment("")
			told = tell(s, w) // what was dropped last wakes nobody
		case <-w.More():
			told = tell(s, w)
		}
		if !s.Flush() {
			return
		}
		gather.Reset(max(least, time.Duration(told)*each))
		select {
		case <-gone:
			return
		case <-w.Over():
			return
		case <-gather.C:
		}
		least = pace
		if len(w.More()) > 0 {
			least = steady
		}
	}
}

// tell adds what a watcher takes, as events, and returns how many.
func tell(s *eventstream.Stream, w *Watcher) int {
	list, dropped := w.take()
	for _, t := range list {
		if !w.feed.hidden(t) {
			s.Event("send", t.json())
		}
	}
	if dropped > 0 {
		s.Event("dropped", fmt.Appendf(nil, `{"count":%d}`, dropped))
	}
	return len(list)
}
