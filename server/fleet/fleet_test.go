package fleet

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"poosh/server/http1/http1test"
	"poosh/server/passing"
	"poosh/server/sends"
)

// patience is how long something may take that takes a moment. By idleTail all would be over by itself.
const patience = 20 * time.Second

// town is where nodes are.
type town struct {
	mu    sync.Mutex // guards nodes
	nodes []Node
}

func (t *town) Addr(name string) (string, bool) {
	for _, n := range t.all() {
		if n.Name == name {
			return n.Addr, true
		}
	}
	return "", false
}

func (t *town) all() []Node {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]Node(nil), t.nodes...)
}

// A site is a node with its operators' port.
type site struct {
	*Fleet
	link    *passing.Node
	feed    *sends.Feed
	drained chan string // who has asked for the end
	ended   chan error
	port    *httptest.Server
}

// serve starts a node, which ends with the test. One that is older knows nothing of all this.
func serve(t *testing.T, town *town, name string, kicks int, older, trusted bool) *site {
	t.Helper()
	link := passing.New(passing.Options{Name: name, Nodes: town, Secret: func() string { return "the secret of all nodes" },
		Sockets: http1test.NewSockets(t), Timeout: 2 * time.Second, Log: slog.New(slog.DiscardHandler)})
	s := &site{link: link, feed: sends.New(), drained: make(chan string, 1)}
	if !older {
		s.Fleet = New(Config{
			Name: name, Nodes: town.all, Link: link, Feed: s.feed, Trusted: trusted, Log: slog.New(slog.DiscardHandler),
			Whom: func(q url.Values) error {
				if !q.Has("id") {
					return errors.New("want an id")
				}
				return nil
			},
			Kick:  func(q url.Values, _ string) (int, error) { return kicks, nil },
			Drain: func(from string) Draining { s.drained <- from; return Draining{Status: "draining", Open: kicks} },
		})
		mux := http.NewServeMux()
		mux.HandleFunc("/api/kick", s.ServeKick)
		mux.HandleFunc("/api/tail", s.ServeTail)
		mux.HandleFunc("/api/drain", s.ServeDrain)
		s.port = httptest.NewServer(mux)
		t.Cleanup(s.port.Close)
		t.Cleanup(s.feed.Close)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	town.mu.Lock()
	town.nodes = append(town.nodes, Node{Name: name, Addr: ln.Addr().String()})
	town.mu.Unlock()
	s.ended = make(chan error, 1)
	ended := s.ended
	go func() { ended <- link.Serve(ln) }() // ends with Close
	t.Cleanup(func() { s.end(t) })
	return s
}

// end ends the links of a node, once.
func (s *site) end(t *testing.T) {
	if s.ended == nil {
		return
	}
	if s.Fleet != nil {
		s.Fleet.Close()
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // at once
	_ = s.link.Close(ctx)
	if err := <-s.ended; err != nil {
		t.Error(err)
	}
	s.ended = nil
}

func (s *site) ask(t *testing.T, path string) (int, string) {
	t.Helper()
	res, err := http.Post(s.port.URL+path, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// Each node is asked, and who cannot answer is named.
func TestKick(t *testing.T) {
	town := &town{}
	a, b := serve(t, town, "nodeAA", 1, false, true), serve(t, town, "nodeBB", 2, false, false)
	serve(t, town, "nodeCC", 4, true, true)
	town.nodes = append(town.nodes, Node{Name: "nodeDD", Addr: "127.0.0.1:1"}, Node{Name: "nodeEE", Addr: ""})
	older, away := passing.ErrUnknown.Error(), passing.ErrUnreachable.Error()
	for _, row := range []struct {
		at          *site
		query, want string
		status      int
	}{
		{a, "id=1", `{"kicked":3,"nodes":[{"node":"nodeAA","kicked":1},{"node":"nodeBB","kicked":2},{"node":"nodeCC","kicked":0,"error":"` + older + `"},` +
			`{"node":"nodeDD","kicked":0,"error":"` + away + `"},{"node":"nodeEE","kicked":0,"error":"` + away + `"}]}`, 200},
		{a, "id=1&node=nodeBB", `{"kicked":2,"nodes":[{"node":"nodeBB","kicked":2}]}`, 200},
		{a, "id=1&node=127.0.0.1:1", `{"kicked":0,"nodes":[{"node":"nodeDD","kicked":0,"error":"` + away + `"}]}`, 200},
		{b, "id=1&node=this", `{"kicked":2,"nodes":[{"node":"nodeBB","kicked":2}]}`, 200},
		{b, "id=1&node=nodeAA", `{"kicked":0,"nodes":[{"node":"nodeAA","kicked":0,"error":"` + errNoToken.Error() + `"}]}`, 200},
		{a, "id=1&node=nobody", "is not there", 404},
		{a, "id=1&node=", "is not there", 404},
		{a, "room=x", "want an id", 400},
	} {
		status, text := row.at.ask(t, "/api/kick?"+row.query)
		if row.status == 200 && text != row.want || status != row.status || !strings.Contains(text, row.want) {
			t.Errorf("%s: %d %s, want %s", row.query, status, text, row.want)
		}
	}
}

// One node ends, and none but that.
func TestDrain(t *testing.T) {
	town := &town{}
	a, b := serve(t, town, "nodeAA", 1, false, true), serve(t, town, "nodeBB", 2, false, true)
	serve(t, town, "nodeCC", 4, true, true)
	if status, text := a.ask(t, "/api/drain?node=nodeBB"); status != 202 || !strings.HasPrefix(text, `{"status":"draining","node":"nodeBB",`) || <-b.drained != "node nodeAA" {
		t.Errorf("%d %s", status, text)
	}
	if status, text := a.ask(t, "/api/drain?node=nodeCC"); status != 501 || !strings.Contains(text, "node nodeCC "+passing.ErrUnknown.Error()) {
		t.Errorf("an older one: %d %s", status, text)
	}
	if status, text := a.ask(t, "/api/drain?node=nodeDD"); status != 404 {
		t.Errorf("nobody: %d %s", status, text)
	}
	if len(a.drained)+len(b.drained) > 0 {
		t.Error("somebody else was asked")
	}
	if status, text := a.ask(t, "/api/drain"); status != 202 || !strings.Contains(text, `"node":"nodeAA"`) || len(a.drained) != 1 {
		t.Errorf("itself: %d %s", status, text)
	}
}

// A stream is what somebody reads who watches.
type stream struct {
	t     *testing.T
	lines *bufio.Scanner
}

// tail watches at a node until the test ends.
func (s *site) tail(t *testing.T, query string) *stream {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience) // a whole test
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.port.URL+"/api/tail?"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil || res.StatusCode != 200 {
		t.Fatal(res, err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 4<<20)
	return &stream{t, lines}
}

// next reads an event.
func (s *stream) next() (name, data string) {
	s.t.Helper()
	for s.lines.Scan() {
		if text, ok := strings.CutPrefix(s.lines.Text(), "event: "); ok {
			name = text
		}
		if text, ok := strings.CutPrefix(s.lines.Text(), "data: "); ok {
			return name, text
		}
	}
	s.t.Fatalf("the stream has ended: %v", s.lines.Err())
	return "", ""
}

// wants reads events and looks whether they are these, in any order.
func (s *stream) wants(want ...string) {
	s.t.Helper()
	left := make(map[string]bool)
	for _, w := range want {
		left[w] = true
	}
	for range want {
		name, data := s.next()
		if !left[name+" "+data] {
			s.t.Fatalf("%s %s, want %v", name, data, left)
		}
		delete(left, name+" "+data)
	}
}

// What all nodes take is told, as far as it is asked for; an older node is named, and who goes.
func TestTail(t *testing.T) {
	town := &town{}
	a, b := serve(t, town, "nodeAA", 1, false, true), serve(t, town, "nodeBB", 2, false, true)
	c := serve(t, town, "nodeCC", 4, true, true)
	s := a.tail(t, "room=r")
	s.wants(`node {"node":"nodeAA","state":"watched"}`, `node {"node":"nodeBB","state":"watched"}`,
		`node {"node":"nodeCC","state":"lost","why":"`+passing.ErrUnknown.Error()+`"}`)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	line := func(node, id string) string {
		return `send {"node":"` + node + `","id":"` + id + `","at":"2026-01-02T03:04:05.000000Z","dialect":"d","room":"r","event":"e","size":1,"handed":2}`
	}
	for _, of := range []struct {
		feed *sends.Feed
		id   string
	}{{a.feed, "1"}, {b.feed, "2"}} {
		of.feed.Report(sends.Send{ID: "no", Dialect: "d", Room: "other", At: at})
		of.feed.Report(sends.Send{ID: of.id, Dialect: "d", Room: "r", Event: "e", Size: 1, Handed: 2, At: at, Payload: json.RawMessage(`1`)})
	}
	s.wants(line("nodeAA", "1"), line("nodeBB", "2"))
	town.mu.Lock()
	town.nodes = town.nodes[:1]
	town.mu.Unlock()
	for name, other := range map[string]*site{"nodeBB": b, "nodeCC": c} { // which are there while a link is open
		other.end(t)
		gone := `{"node":"` + name + `","state":"gone"}`
		for name, data := s.next(); data != gone; name, data = s.next() {
			if name != "node" || !strings.Contains(data, `"state":"lost"`) {
				t.Fatalf("%s %s, want %s", name, data, gone)
			}
		}
	}
	until(t, "the other node to be watched no more", func() bool { return !b.feed.Watched() })
}

// until waits for something.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not within ", patience, ": ", what)
		}
	}
}

// Whoever watches and does not read holds no node up, and is told how much he has missed of each.
func TestSlowWatcher(t *testing.T) {
	town := &town{}
	a, b := serve(t, town, "nodeAA", 1, false, true), serve(t, town, "nodeBB", 2, false, true)
	s := a.tail(t, "payload=1")
	s.wants(`node {"node":"nodeAA","state":"watched"}`, `node {"node":"nodeBB","state":"watched"}`)
	const many = 60_000
	payload := json.RawMessage(`"` + strings.Repeat("x", 4000) + `"`) // more than all buffers on the way
	for i := range many {
		b.feed.Report(sends.Send{ID: fmt.Sprint(i), Dialect: "d", Room: "r", Event: "e", Payload: payload}) // waits for nobody
	}
	until(t, "the last to be queued or dropped", func() bool {
		b.feed.Report(sends.Send{ID: "last", Dialect: "d", Room: "r", Event: "e"})
		time.Sleep(20 * time.Millisecond)
		name, data := s.next()
		for name != "dropped" {
			name, data = s.next()
		}
		return strings.HasPrefix(data, `{"node":"nodeBB","count":`)
	})
	s.t.Log("the watcher was told that it has missed some")
}

// An end is told to who watches elsewhere, and whoever asks for sends without end is bounded.
func TestWatchesEnd(t *testing.T) {
	town := &town{}
	a, b := serve(t, town, "nodeAA", 1, false, true), serve(t, town, "nodeBB", 2, false, true)
	s := a.tail(t, "")
	s.wants(`node {"node":"nodeAA","state":"watched"}`, `node {"node":"nodeBB","state":"watched"}`)
	ctx := context.Background()
	for i := range sends.MaxWatchers + 5 {
		var got tailed
		err := a.Fleet.ask(ctx, patience, "nodeBB", pathTail, url.Values{"watch": {fmt.Sprint(i)}, "begin": {"1"}}, &got)
		if full := i >= sends.MaxWatchers-1; (err != nil) != full || full && !strings.Contains(err.Error(), sends.ErrTooMany.Error()) {
			t.Errorf("watcher %d: %v", i, err)
		}
	}
	var got tailed
	for name, q := range map[string]url.Values{"a long name": {"watch": {strings.Repeat("x", 65)}, "begin": {"1"}}, "none": {}, "unknown": {"watch": {"x"}}} {
		if err := a.Fleet.ask(ctx, patience, "nodeBB", pathTail, q, &got); err == nil {
			t.Errorf("%s is answered", name)
		}
	}
	if err := a.Fleet.ask(ctx, patience, "nodeBB", "/other", nil, &got); !errors.Is(err, passing.ErrUnknown) {
		t.Errorf("what there is not: %v", err)
	}
	b.Fleet.Close()
	if name, data := s.next(); name != "node" || !strings.HasPrefix(data, `{"node":"nodeBB","state":"lost",`) || !strings.Contains(data, sends.ErrClosed.Error()) {
		t.Errorf("%s %s", name, data)
	}
	until(t, "all watchers to be gone", func() bool { return !b.feed.Watched() })
}
