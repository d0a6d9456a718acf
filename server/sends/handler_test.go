package sends_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"poosh/server/http1"
	"poosh/server/http1/http1test"
	"poosh/server/sends"
)

const patience = 30 * time.Second

// A tail is a client of the stream.
type tail struct {
	t    *testing.T
	res  *http.Response
	text *bufio.Reader
	stop context.CancelFunc
}

// serve serves a feed on the HTTP stack that ships.
func serve(t *testing.T) (*sends.Feed, *http1test.Server) {
	t.Helper()
	f := sends.New()
	server := http1test.Serve(t, http1test.NewSockets(t), http.HandlerFunc(f.Stream), func(*http.Request) http1.Where { return http1.Elsewhere })
	t.Cleanup(f.Close) // before the server, which waits for its handlers
	return f, server
}

func open(t *testing.T, s *http1test.Server, query string) *tail {
	t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), patience)
	t.Cleanup(stop)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/?"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	tl := &tail{t, res, bufio.NewReader(res.Body), stop}
	if res.StatusCode == http.StatusOK {
		if got := tl.event(); got != ": watching" {
			t.Fatalf("it begins with %q", got)
		}
	}
	return tl
}

// event reads up to the next empty line.
func (tl *tail) event() string {
	tl.t.Helper()
	var lines []string
	for {
		line, err := tl.text.ReadString('\n')
		if err != nil {
			tl.t.Fatalf("reading: %v behind %q", err, lines)
		}
		if line == "\n" {
			return strings.Join(lines, "\n")
		}
		lines = append(lines, strings.TrimSuffix(line, "\n"))
	}
}

func (tl *tail) want(events ...string) {
	tl.t.Helper()
	for _, want := range events {
		if got := tl.event(); got != want {
			tl.t.Fatalf("%s\nwant %s", got, want)
		}
	}
}

var noon = time.Date(2026, 1, 2, 12, 0, 0, 5000, time.UTC)

func TestStream(t *testing.T) {
	f, s := serve(t)
	all, room, with := open(t, s, ""), open(t, s, "room=news&dialect=pusher&app=1"), open(t, s, "payload=1")
	if h := all.res.Header; h.Get("Content-Type") != "text/event-stream" || h.Get("Cache-Control") != "no-store" {
		t.Errorf("headers %v", h)
	}
	f.Report(sends.Send{ID: "a-1", At: noon, Dialect: "socket.io", Everyone: true, Event: "e\n", Size: 3, Handed: 2, Payload: json.RawMessage(`{"a":[1.50,"\u2028"]}`)})
	f.Report(sends.Send{ID: "a-2", At: noon, Dialect: "pusher", App: "1", Room: "news", Event: "e", Size: 4, Payload: json.RawMessage("no JSON\n\n")})
	const first = `"id":"a-1","at":"2026-01-02T12:00:00.000005Z","dialect":"socket.io","everyone":true,"event":"e\n","size":3,"handed":2`
	const second = `"id":"a-2","at":"2026-01-02T12:00:00.000005Z","dialect":"pusher","app":"1","room":"news","event":"e","size":4,"handed":0`
	all.want("event: send\ndata: {"+first+"}", "event: send\ndata: {"+second+"}")
	room.want("event: send\ndata: {" + second + "}")
	with.want("event: send\ndata: {"+first+`,"payload":{"a":[1.50,"\u2028"]}}`, "event: send\ndata: {"+second+"}")
}

// The end of the feed is that of its streams, and nobody watches any more.
func TestStreamEnds(t *testing.T) {
	f, s := serve(t)
	gone, stays := open(t, s, ""), open(t, s, "")
	gone.stop()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		// Who is gone makes place for another.
		var list []*sends.Watcher
		for w, err := f.Watch(sends.Filter{}); err == nil; w, err = f.Watch(sends.Filter{}) {
			list = append(list, w)
		}
		for _, w := range list {
			w.Stop()
		}
		if len(list) == sends.MaxWatchers-1 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("there is place for %d", len(list))
		}
	}
	f.Close()
	if rest, err := io.ReadAll(stays.text); err != nil || len(rest) > 0 {
		t.Errorf("%q, %v", rest, err)
	}
	if f.Watched() {
		t.Error("somebody watches")
	}
	if late := open(t, s, ""); late.res.StatusCode != http.StatusServiceUnavailable || late.res.Header.Get("Retry-After") == "" {
		t.Errorf("after the end: %d", late.res.StatusCode)
	}
}

func TestOneWatcherTooMany(t *testing.T) {
	_, s := serve(t)
	for range sends.MaxWatchers {
		open(t, s, "")
	}
	over := open(t, s, "")
	body, err := io.ReadAll(over.text)
	if err != nil || over.res.StatusCode != http.StatusServiceUnavailable || string(body) != `{"error":"`+sends.ErrTooMany.Error()+`"}` {
		t.Errorf("%d %s %v", over.res.StatusCode, body, err)
	}
}

// HEAD has the headers, and ends.
func TestStreamHead(t *testing.T) {
	f, s := serve(t)
	res, err := s.Client().Head(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "text/event-stream" || f.Watched() {
		t.Errorf("%d %v, watched %v", res.StatusCode, res.Header, f.Watched())
	}
}

// A flood is told of in part, with how much is missing, and who does not read a stream
// holds up neither senders nor who does.
func TestFlood(t *testing.T) {
	f, s := serve(t)
	stuck, err := net.Dial("tcp", s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer stuck.Close()
	fmt.Fprint(stuck, "GET /?payload=1 HTTP/1.1\r\nHost: h\r\n\r\n")
	reads := open(t, s, "")
	payload := json.RawMessage(`"` + strings.Repeat("x", 10_000) + `"`)
	const n = 50_000
	began := time.Now()
	for range n {
		f.Report(sends.Send{ID: f.Next(), Room: "r", Event: "e", Payload: payload})
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("%d sends took %v", n, took)
	}
	last := f.Next()
	told, dropped := 0, 0
	for told+dropped < n {
		var name string
		var data struct{ Count int }
		name, text, _ := strings.Cut(reads.event(), "\n")
		if err := json.Unmarshal([]byte(strings.TrimPrefix(text, "data: ")), &data); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if name == "event: dropped" {
			dropped += data.Count
		} else {
			told++
		}
	}
	if told < 256 || dropped == 0 || told+dropped != n {
		t.Errorf("told of %d, %d dropped, of %d", told, dropped, n)
	}
	f.Report(sends.Send{ID: last})
	if got := reads.event(); !strings.Contains(got, last) {
		t.Errorf("behind the flood: %s", got)
	}
}
