package sends

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"poosh/server/respond"
)

const (
	// pace is the least time between two writes to a watcher: so much is gathered, and
	// what a flood has beyond a queue in that time is dropped.
	pace = 100 * time.Millisecond
	// keepAlive is how often a watcher is written to, sends or none: proxies cut what is
	// silent.
	keepAlive = 15 * time.Second
	// patience is how long one write may take.
	patience = 10 * time.Second
)

// line is a [Send] as watchers over HTTP read it.
type line struct {
	ID       string          `json:"id"`
	At       string          `json:"at"` // RFC 3339, UTC
	Dialect  string          `json:"dialect"`
	App      string          `json:"app,omitempty"`
	Room     *string         `json:"room,omitempty"` // there unless it is for everyone
	Everyone bool            `json:"everyone,omitempty"`
	Event    string          `json:"event"`
	Size     int             `json:"size"`
	Handed   int             `json:"handed"`
	Payload  json.RawMessage `json:"payload,omitempty"`
}

func (s *Send) line() line {
	l := line{ID: s.ID, At: s.At.UTC().Format("2006-01-02T15:04:05.000000Z"), Dialect: s.Dialect, App: s.App,
		Everyone: s.Everyone, Event: s.Event, Size: s.Size, Handed: s.Handed, Payload: s.Payload}
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
	q := r.URL.Query()
	watcher, err := f.Watch(Filter{
		Dialect: q.Get("dialect"), App: q.Get("app"),
		Room: q.Get("room"), InRoom: q.Has("room"), Payload: q.Get("payload") == "1",
	})
	if err != nil {
		w.Header().Set("Retry-After", "5")
		respond.Go.Error(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	defer watcher.Stop()
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Accel-Buffering", "no") // nginx hands on what there is
	if r.Method == http.MethodHead {
		return
	}
	out := stream{w: w, control: http.NewResponseController(w)}
	// A server's time for a request is none for this one: net/http would take its end for
	// that of the client.
	_ = out.control.SetReadDeadline(time.Time{})
	if out.write([]byte(": watching\n\n")) {
		out.follow(watcher, r.Context().Done())
	}
}

// A stream is an answer that goes on.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

// follow writes what a watcher is told until one of both ends.
func (s *stream) follow(w *Watcher, gone <-chan struct{}) {
	idle, gather := time.NewTicker(keepAlive), time.NewTicker(pace)
	defer idle.Stop()
	defer gather.Stop()
	for {
		text := []byte(":\n\n")
		select {
		case <-gone:
			return
		case <-w.Over():
			return
		case <-idle.C:
		case <-w.More():
			text = told(w.Take())
		}
		if !s.write(text) {
			return
		}
		select {
		case <-gone:
			return
		case <-w.Over():
			return
		case <-gather.C:
		}
	}
}

// write writes at once, and reports whether the client is there.
func (s *stream) write(text []byte) bool {
	_ = s.control.SetWriteDeadline(time.Now().Add(patience)) // not of every writer
	_, err := s.w.Write(text)
	return err == nil && s.control.Flush() == nil
}

// told is what a watcher took, as events.
func told(list []Send, dropped uint64) (text []byte) {
	for i := range list {
		data, err := json.Marshal(list[i].line())
		if err != nil { // a payload that is no JSON
			l := list[i].line()
			l.Payload = nil
			data, _ = json.Marshal(l)
		}
		text = append(append(append(text, "event: send\ndata: "...), data...), "\n\n"...)
	}
	if dropped > 0 {
		text = append(text, "event: dropped\ndata: {\"count\":"...)
		text = append(strconv.AppendUint(text, dropped, 10), "}\n\n"...)
	}
	return text
}
