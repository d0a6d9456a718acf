package emitter

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"poosh/server/cluster/redistest"
	"poosh/test/process"
)

// A stream is a client of GET /events.
type stream struct {
	t    *testing.T
	end  context.CancelFunc
	done chan struct{}

	mu   sync.Mutex // guards what follows
	list []string   // events with their data
	last string     // the last id
	told string     // of poosh:connected
}

// follow connects one, that goes on from behind a position unless that is empty.
func follow(t *testing.T, n *node, query, last string) *stream {
	t.Helper()
	ctx, end := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "GET", n.URL()+"/events?"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	if last != "" {
		req.Header.Set("Last-Event-ID", last)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK {
		t.Fatal(res.Status)
	}
	s := &stream{t: t, end: end, done: make(chan struct{})}
	go func() { // ends with the stream
		defer close(s.done)
		defer res.Body.Close()
		s.read(res.Body)
	}()
	t.Cleanup(s.close)
	redistest.Until(t, "the stream is connected", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.told != "" })
	return s
}

func (s *stream) read(from io.Reader) {
	event := ""
	for lines := bufio.NewScanner(from); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		s.mu.Lock()
		switch {
		case name == "event":
			event = value
		case name == "id":
			s.last = value
		case name == "data" && event == "poosh:connected":
			s.told = value
		case name == "data":
			s.list = append(s.list, event+" "+value)
		}
		s.mu.Unlock()
	}
}

// close ends the stream.
func (s *stream) close() { s.end(); <-s.done }

func (s *stream) has(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.list, text)
}

// sees waits for the last of some events, and wants them to be all there are.
func (s *stream) sees(want ...string) {
	s.t.Helper()
	redistest.Until(s.t, "the stream has "+want[len(want)-1], func() bool { return s.has(want[len(want)-1]) })
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(s.list, want) {
		s.t.Errorf("a stream has\n%s\nwant\n%s", strings.Join(s.list, "\n"), strings.Join(want, "\n"))
	}
	s.list = nil
}

// whole wants it to have been told that nothing is missing.
func (s *stream) whole() {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !strings.Contains(s.told, `"recovered":true`) {
		s.t.Errorf("a stream that came back was told %s", s.told)
	}
}

// Streams have an event's one argument, or a list of them, with buffers as texts; each event once.
func TestStreams(t *testing.T) {
	redis := redistest.Start(t)
	n := start(t, redis)
	s := follow(t, n, "room=a&room=b", "")
	var id struct{ Session string }
	if err := json.Unmarshal([]byte(s.told), &id); err != nil || id.Session == "" {
		t.Fatal(s.told, err)
	}
	for _, e := range []emitter{emitters[1], emitters[5], emitters[6]} {
		list := []emission{
			{to(), to(), []any{"one", object{"z": 1}}},
			{to("a"), to(), []any{"none"}},
			{to("a", "b"), to(), []any{"several", 1, "b"}},
			{to("b"), to(), []any{"bin", object{"$buffer": "010203fe"}}},
			{to("c"), to(), []any{"elsewhere"}},
			{to(id.Session), to(), []any{"own", nil}},
		}
		want := []string{`one {"z":1}`, `none []`, `several [1,"b"]`, `bin "AQID/g=="`, `own null`, `end []`}
		if e.except {
			list = append(list, emission{to("a"), to(id.Session), []any{"but this"}}, emission{to(), to("b"), []any{"but b"}})
		}
		e.emit(t, redis, append(list, emission{to(), to(), []any{"end"}})...)
		s.sees(want...)
	}
}

// missed are events that a client in a and b is to get when it comes back, and want is as a stream has them;
// wantB is for one in b alone.
var (
	missed = []emission{
		{to("a", "b"), to(), []any{"union", 1}},
		{to("a", "b", "c"), to("x"), []any{"three", 2}},
		{to("a", "c"), to("b"), []any{"but b", 3}},
		{to("b"), to(), []any{"room", 4}},
		{to("c", "d"), to(), []any{"elsewhere", 5}},
		{to(), to("x"), []any{"all but x", 6}},
		{to(), to("a"), []any{"all but a", 7}},
		{to("a", "b"), to(), []any{"union", object{"$buffer": "00"}}},
	}
	want  = []string{`union 1`, `three 2`, `room 4`, `all but x 6`, `union "AA=="`}
	wantB = []string{`union 1`, `three 2`, `room 4`, `all but x 6`, `all but a 7`, `union "AA=="`}
	wantX = []string{`union 1`, `room 4`, `union "AA=="`}
)

// comeBack has streams come back to a node behind a position.
func comeBack(t *testing.T, n *node, last string) {
	t.Helper()
	for query, want := range map[string][]string{"room=a&room=b": want, "room=b": wantB, "room=b&room=a&room=x": wantX} {
		s := follow(t, n, query, last)
		s.sees(want...)
		s.whole()
		s.close()
	}
}

// Who comes back gets what emitters sent meanwhile: an event for several of its rooms once, and none that was
// not for one of them; from the next process too.
func TestComesBack(t *testing.T) {
	redis := redistest.Start(t)
	n := start(t, redis, "HISTORY=5m", "HISTORY_FILE="+filepath.Join(t.TempDir(), "history"))
	s := follow(t, n, "room=a&room=b", "")
	publish(redis, "a", "here")
	s.sees("here []")
	s.close()
	emitters[5].emit(t, redis, missed...)
	redistest.Until(t, "all is taken", func() bool { return n.metric(t, "poosh_emitter_redis_taken_total") == 1+len(missed) })
	comeBack(t, n, s.last)
	n.Terminate()
	n.Restart()
	n.reads(t)
	comeBack(t, n, s.last)
}

// A node that starts later has events for several rooms from the cluster's engine, and gives each once.
func TestComesBackToALaterNode(t *testing.T) {
	redis := redistest.Start(t)
	more := []string{"CLUSTER_REDIS=redis://" + redis.Addr, "CLUSTER_LEASE=4s", "CLUSTER_TIMEOUT=1s", "HISTORY=5m"}
	nodes := []*node{start(t, redis, more...), start(t, redis, more...)}
	s := follow(t, nodes[0], "room=a&room=b", "")
	redistest.Until(t, "the cluster publishes", func() bool { publish(redis, "a", "here"); return s.has("here []") })
	other := follow(t, nodes[1], "room=a&room=b", "")
	publish(redis, "b", "begin")
	redistest.Until(t, "all have begun", func() bool { return s.has("begin []") && other.has("begin []") })
	s.close()
	emitters[5].emit(t, redis, missed...)
	redistest.Until(t, "all is published", func() bool { return other.has(`union "AA=="`) })
	later := start(t, redis, more...)
	comeBack(t, later, s.last)
	comeBack(t, nodes[1], s.last)
}

// A real client of connection state recovery is who it was, and gets what it missed with its buffers.
func TestRecovery(t *testing.T) {
	redis := redistest.Start(t)
	n := start(t, redis, "HISTORY=5m", "SOCKETIO_RECOVERY=asked")
	cmd := exec.Command("node", "recover.js", n.URL(), `["a","b"]`)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	defer func() { in.Close(); _ = cmd.Wait() }()
	next := func() string {
		if !lines.Scan() {
			t.Fatal("the client has ended: ", lines.Err())
		}
		return lines.Text()
	}
	until := func(begins string) string {
		for {
			if line := next(); strings.HasPrefix(line, begins) {
				return line
			}
		}
	}
	until(`{"connected":`)
	// It has a position once it has an event, and is in its rooms once it has one of each.
	for _, room := range []string{"a", "b"} {
		for seen := false; !seen; {
			publish(redis, room, "probe "+room)
			publish(redis, "", "tick")
			for line := ""; !strings.HasPrefix(line, `{"args":["tick"`); line = next() {
				seen = seen || strings.HasPrefix(line, `{"args":["probe `+room)
			}
		}
	}
	witness := follow(t, n, "room=a&room=b", "")
	fmt.Fprintln(in, "go")
	until(`{"away":`)
	emitters[5].emit(t, redis, missed...)
	publish(redis, "", "end")
	redistest.Until(t, "all is published while it is away", func() bool { return witness.has("end []") })
	fmt.Fprintln(in, "back")
	if line := until(`{"connected":`); !strings.Contains(line, `"recovered":true`) {
		t.Error(line)
	}
	var got []string
	for {
		var said struct{ Args []any }
		if err := json.Unmarshal([]byte(next()), &said); err != nil {
			t.Fatal(err)
		}
		if len(said.Args) == 0 {
			continue
		}
		if said.Args[0] == "end" {
			break
		}
		got = append(got, fmt.Sprintf("%v %v", said.Args[0], said.Args[1])) // behind these stands the position
	}
	if all := []string{"union 1", "three 2", "room 4", "all but x 6", "union 00"}; !slices.Equal(got, all) {
		t.Errorf("got %q, want %q", got, all)
	}
}

// With a bridge, an event with one argument to one room reaches Pusher's channel of that name.
func TestBridge(t *testing.T) {
	redis := redistest.Start(t)
	port := process.FreePort(t)
	n := start(t, redis, "PUSHER_APP_ID=app", "PUSHER_APP_KEY=key", "PUSHER_APP_SECRET="+secret, "PUSHER_PORT="+strconv.Itoa(port), "BRIDGE=app")
	ws, _, err := websocket.DefaultDialer.Dial("ws://127.0.0.1:"+strconv.Itoa(port)+"/app/key?protocol=7&client=js&version=8.0.0", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	_ = ws.SetReadDeadline(time.Now().Add(process.Patience))
	if err := ws.WriteMessage(websocket.TextMessage, []byte(`{"event":"pusher:subscribe","data":{"channel":"a"}}`)); err != nil {
		t.Fatal(err)
	}
	type frame struct{ Event, Channel, Data string }
	next := func() (f frame) {
		if err := ws.ReadJSON(&f); err != nil {
			t.Fatalf("%v\n%s", err, n.Log())
		}
		return f
	}
	for next().Event != "pusher_internal:subscription_succeeded" {
	}
	emitters[5].emit(t, redis,
		emission{to("a"), to(), []any{"one", object{"b": 1}}},
		emission{to("a"), to(), []any{"two", 1, 2}},
		emission{to("a", "b"), to(), []any{"union", 1}},
		emission{to("a"), to("b"), []any{"except", 1}},
		emission{to(), to(), []any{"all", 1}},
		emission{to("a"), to(), []any{"bin", object{"$buffer": "010203"}}})
	for _, want := range []frame{{"one", "a", `{"b":1}`}, {"bin", "a", `AQID`}} {
		got := next()
		got.Data = strings.Trim(got.Data, `"`)
		if got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
}

// A process that ends publishes what it has read, in order and without a hole, before its clients go.
func TestEnds(t *testing.T) {
	redis := redistest.Start(t)
	n := start(t, redis)
	s := follow(t, n, "room=a&room=b", "")
	publish(redis, "a", "first")
	redistest.Until(t, "the first", func() bool { return s.has("first []") })
	stop, sent := make(chan struct{}), make(chan struct{})
	go func() { // ends with the process
		defer close(sent)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				publish(redis, "a", fmt.Sprint("n", i))
			}
		}
	}()
	redistest.Until(t, "some", func() bool { return s.has("n20 []") })
	n.Terminate()
	close(stop)
	<-sent
	<-s.done
	if len(s.list) < 22 || s.list[len(s.list)-1] != `poosh:closed {"reason":"server shutdown"}` {
		t.Fatalf("the stream ends with %v", s.list[max(0, len(s.list)-3):])
	}
	for i, got := range s.list[1 : len(s.list)-1] {
		if want := fmt.Sprintf("n%d []", i); got != want {
			t.Fatalf("%q, want %q", got, want)
		}
	}
}
