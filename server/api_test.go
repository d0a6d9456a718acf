package server

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"poosh/auth"
	"poosh/server/admin"
	"poosh/server/cluster/redistest"
	"poosh/server/inspect"
	"poosh/server/metric"
	"poosh/server/overview"
)

const operatorsToken = "admin-token-of-operators"

// operated runs a server with all dialects and the operators' port.
func operated(t *testing.T, more map[string]string) *operator {
	t.Helper()
	env := map[string]string{"ADMIN_PORT": "0", "ADMIN_TOKEN": operatorsToken, "SHUTDOWN_TIMEOUT": "2s",
		"PUSHER_PORT": "0", "PUSHER_APP_ID": "1", "PUSHER_APP_KEY": pusherKey, "PUSHER_APP_SECRET": pusherSecret,
		"SOCKTOPUS_PORT": "0", "DEMO_SOCKTOPUS_SECRET": testSecret,
		"ECHO_PORT": "0", "ECHO_REDIS": "redis://" + redistest.Start(t).Addr, "ECHO_KEYS": "one:" + testSecret + "-1,two:" + testSecret + "-2",
		"PUSH_SOCKET_PORT": "0", "PUSH_SOCKET_DB": filepath.Join(t.TempDir(), "x.db")}
	maps.Copy(env, more)
	o := &operator{running: run(t, env, nil), answers: make(map[string]bool), compiler: jsonschema.NewCompiler()}
	t.Cleanup(func() { o.end(t) }) // the next one has the flight recorder of the process
	o.compiler.AssertFormat()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(admin.OpenAPI)))
	if err != nil {
		t.Fatal(err)
	}
	if err := o.compiler.AddResource("openapi.json", doc); err != nil {
		t.Fatal(err)
	}
	return o
}

// An operator asks the API, and holds each answer against its description.
type operator struct {
	*running
	compiler *jsonschema.Compiler
	answers  map[string]bool // that were held, such as "get /api/top 200"
	over     bool
}

// end ends the server.
func (o *operator) end(t *testing.T) {
	t.Helper()
	if o.over {
		return
	}
	o.over = true
	o.stop()
	if err := o.wait(t); err != nil {
		t.Error(err)
	}
}

// pathOf is what openapi.json calls a path.
func pathOf(path string) string {
	if strings.HasPrefix(path, "/api/connections/") {
		return "/api/connections/{id}"
	}
	return path
}

func (o *operator) open(t *testing.T, method, path, body string) *http.Response {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, method, "http://"+o.Addrs()["ADMIN_PORT"].String()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	req.SetBasicAuth("operator", operatorsToken)
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	return res
}

// ask asks and reads the answer into something.
func (o *operator) ask(t *testing.T, method, path, body string, into any) int {
	t.Helper()
	res := o.open(t, method, path, body)
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.Header.Get("Cache-Control") != "no-store" || res.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%s: %v", path, res.Header)
	}
	bare, _, _ := strings.Cut(path, "?")
	o.hold(t, method, pathOf(bare), res.StatusCode, text)
	if into != nil {
		if err := json.Unmarshal(text, into); err != nil {
			t.Fatalf("%s: %v in %s", path, err, text)
		}
	}
	return res.StatusCode
}

// hold compares an answer with its description.
func (o *operator) hold(t *testing.T, method, path string, status int, text []byte) {
	t.Helper()
	method = strings.ToLower(method)
	at := fmt.Sprintf("%s %s %d", method, path, status)
	o.answers[at] = true
	var doc struct {
		Paths map[string]map[string]struct {
			Responses map[string]struct {
				Ref string `json:"$ref"`
			}
		}
	}
	if err := json.Unmarshal(admin.OpenAPI, &doc); err != nil {
		t.Fatal(err)
	}
	response, there := doc.Paths[path][method].Responses[fmt.Sprint(status)]
	if !there {
		t.Errorf("%s is not described: %s", at, text)
		return
	}
	pointer := response.Ref
	if pointer == "" {
		pointer = "#/paths/" + strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D").Replace(path) + "/" + method + "/responses/" + fmt.Sprint(status)
	}
	o.valid(t, at, pointer+"/content/application~1json/schema", text)
}

// valid holds a text against a schema.
func (o *operator) valid(t *testing.T, what, pointer string, text []byte) {
	t.Helper()
	schema, err := o.compiler.Compile("openapi.json" + pointer)
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
	if err != nil {
		t.Fatalf("%s: %v in %s", what, err, text)
	}
	if err := schema.Validate(value); err != nil {
		t.Errorf("%s: %v in %s", what, err, text)
	}
}

// event reads a stream until an event of a name, and returns its data.
func event(t *testing.T, lines *bufio.Scanner, name string) string {
	t.Helper()
	for at := ""; lines.Scan(); {
		if found, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
			at = found
		}
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok && at == name {
			return data
		}
	}
	t.Fatalf("the stream ends without %s: %v", name, lines.Err())
	return ""
}

// joinSocktopus connects a client under an id.
func (o *operator) joinSocktopus(t *testing.T, id string) *websocket.Conn {
	t.Helper()
	token := auth.NewSocktopus("demo", testSecret, id, time.Now())
	ws, _, err := websocket.DefaultDialer.Dial("ws://"+o.Addrs()["SOCKTOPUS_PORT"].String()+"/recieve?token="+url.QueryEscape(token), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ws.Close() })
	return ws
}

// until asks again until something is so.
func until(t *testing.T, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !so(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not in time", what)
		}
	}
}

// Every answer of the API is as it is described, with clients of every dialect there, and
// says what they know themselves.
func TestAPI(t *testing.T) {
	o := operated(t, nil)
	o.listen(t, "news")
	o.four(t, "news")
	o.poller(t, "news")
	_, id := o.subscribe(t, "news")
	o.joinSocktopus(t, "5")
	until(t, "all are there", func() bool { n, _ := o.hub.Count("", "news"); return n == 3 })

	stream := bufio.NewScanner(o.open(t, "GET", "/api/stream", "").Body)
	tail := bufio.NewScanner(o.open(t, "GET", "/api/tail", "").Body)
	o.pooshSend(t, "", "news", "hello", `{"a":1}`)
	o.pooshSend(t, "", "*", "hello", `1`)
	o.pusherCall(t, "/events", `{"name":"e","channels":["news"],"data":"xyz"}`)

	o.valid(t, "tail", "#/components/schemas/Send", []byte(event(t, tail, "send")))
	var now overview.Overview
	for now.Traffic.Sends.Total < 3 {
		text := event(t, stream, "overview")
		o.valid(t, "stream", "#/components/schemas/Overview", []byte(text))
		if err := json.Unmarshal([]byte(text), &now); err != nil {
			t.Fatal(err)
		}
	}
	want := []overview.Kind{{Dialect: "pusher", Transport: "websocket", Version: "protocol 7", Count: 1}, {Dialect: "socket.io", Transport: "websocket", Version: "EIO3", Count: 1},
		{Dialect: "socket.io", Transport: "polling", Version: "EIO3", Count: 1}, {Dialect: "socket.io", Transport: "websocket", Version: "EIO4", Count: 1},
		{Dialect: "socktopus", Transport: "websocket", Count: 1}}
	by := slices.Clone(now.Connections.By)
	sortKinds := func(list []overview.Kind) {
		slices.SortFunc(list, func(a, b overview.Kind) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	}
	sortKinds(by)
	sortKinds(want)
	if !slices.Equal(by, want) {
		t.Errorf("kinds are %v, want %v", by, want)
	}
	if now.Traffic.Deliveries.Total != 7 || now.Process.Heap == 0 || now.Process.Goroutines == 0 || now.Connections.Clients.Limit == 0 || now.Waiting.Limit == 0 || now.Webhooks == nil {
		t.Errorf("%+v", now)
	}
	if now.Process.OpenFiles != nil && (*now.Process.OpenFiles < 5 || *now.Process.OpenFiles != openFiles() && *now.Process.OpenFiles > openFiles()+20) {
		t.Errorf("%d files are open", *now.Process.OpenFiles)
	}
	if len(now.Connections.Apps) != 5 {
		t.Errorf("apps are %v", now.Connections.Apps)
	}

	o.ask(t, "GET", "/api/overview", "", &now)
	var series struct{ Series []struct{ Name string } }
	o.ask(t, "GET", "/api/series", "", &series)
	known := make(map[string]bool)
	csv, err := o.series.CSV()
	if err != nil {
		t.Fatal(err)
	}
	for name := range strings.SplitSeq(strings.SplitN(string(csv), "\n", 2)[0], ",") {
		known[name] = true
	}
	for _, s := range series.Series {
		if !known[s.Name] {
			t.Errorf("the series %s is shown and never kept", s.Name)
		}
	}
	o.ask(t, "GET", "/api/series?step=60&names=published", "", nil)
	o.readsWhatThereIs(t)

	var top inspect.Top
	o.ask(t, "GET", "/api/top?limit=3", "", &top)
	if len(top.Rooms) != 3 || len(top.Senders) != 2 || top.Senders[0].Sender != "127.0.0.1" || top.Senders[0].App != "poosh" || top.Senders[0].Sends != 2 {
		t.Errorf("%+v", top)
	}

	var rooms inspect.Rooms
	o.ask(t, "GET", "/api/rooms?search=ew", "", &rooms)
	if fmt.Sprint(rooms.Rooms) != "[{pusher 1 news 1 0} {socket.io poosh news 3 0}]" || !rooms.Whole || rooms.Next != nil {
		t.Errorf("%+v", rooms)
	}
	o.ask(t, "GET", "/api/rooms?own=1&limit=2", "", &rooms)
	if len(rooms.Rooms) != 2 || rooms.Next == nil {
		t.Fatalf("%+v", rooms)
	}
	seen := rooms.Rooms
	for rooms.Next != nil {
		o.ask(t, "GET", "/api/rooms?own=1&limit=2&after="+*rooms.Next, "", &rooms)
		seen = append(seen, rooms.Rooms...)
	}
	if len(seen) != 6 { // twice news, three of sessions' own, one of Socktopus
		t.Errorf("pages have %v", seen)
	}

	var one inspect.OneRoom
	o.ask(t, "GET", "/api/rooms/one?dialect=socket.io&app=poosh&room=news", "", &one)
	if one.Connections != 3 || len(one.Members) != 3 || len(one.Sends) != 1 || one.Sends[0].Event != "hello" || one.Sends[0].Handed != 3 {
		t.Errorf("%+v", one)
	}
	for _, m := range one.Members {
		if m.ID == "" || m.Transport == "" || !strings.HasPrefix(m.Version, "EIO") || !strings.HasPrefix(m.Remote, "127.0.0.1:") || time.Since(m.Since) > patience || time.Since(m.Since) < 0 {
			t.Errorf("%+v", m)
		}
	}
	ids := []string{id, "5"}
	for _, m := range one.Members {
		ids = append(ids, m.ID)
	}
	for _, id := range ids {
		var c inspect.Connection
		if status := o.ask(t, "GET", "/api/connections/"+url.PathEscape(id), "", &c); status != 200 || len(c.Open) != 1 || c.Open[0].ID != id || c.Open[0].RoomCount < 1 || len(c.Left) != 0 {
			t.Errorf("%s: %d %+v", id, status, c)
		}
	}
	o.ask(t, "GET", "/api/slow", "", nil)
	o.ask(t, "GET", "/api/openapi.json", "", nil)
	for path, status := range map[string]int{
		"/api/rooms/one?dialect=pusher&app=1&room=nobody": 404, "/api/rooms/one?dialect=nobody&app=1&room=news": 404, "/api/rooms/one?dialect=pusher&app=1": 400,
		"/api/connections/nobody": 404, "/api/rooms?after=%25": 400, "/api/rooms?sort=size": 400, "/api/rooms?sort=connections&after=YQ": 400,
		"/api/rooms?limit=0": 400, "/api/rooms?limit=1000": 400, "/api/rooms?search=" + strings.Repeat("a", 201): 400,
		"/api/left?reason=nonsense": 400, "/api/left?limit=x": 400, "/api/slow?limit=51": 400, "/api/top?limit=-1": 400, "/api/series?step=3": 400,
		"/api/overview?verbose=1": 400,
	} {
		if got := o.ask(t, "GET", path, "", nil); got != status {
			t.Errorf("%s: %d, want %d", path, got, status)
		}
	}
	o.sendsFromTheForm(t)
	var kicked struct{ Kicked int }
	if status := o.ask(t, "POST", "/api/kick?room=news&dialect=pusher", "", &kicked); status != 200 || kicked.Kicked != 1 {
		t.Errorf("a kick: %d %+v", status, kicked)
	}
	if status := o.ask(t, "POST", "/api/kick", "", nil); status != 400 {
		t.Errorf("a kick of nobody: %d", status)
	}
	for _, query := range []string{"?dry-run=1", ""} {
		var reloaded Reloaded
		if status := o.ask(t, "POST", "/api/reload"+query, "", &reloaded); status != 200 || reloaded.DryRun != (query != "") || len(reloaded.Changed)+len(reloaded.Errors) > 0 {
			t.Errorf("a reload: %d %+v", status, reloaded)
		}
	}
	if status := o.ask(t, "POST", "/api/reload?dry-run=yes", "", nil); status != 400 {
		t.Errorf("a reload of nonsense: %d", status)
	}

	var paths struct{ Paths map[string]map[string]any }
	if err := json.Unmarshal(admin.OpenAPI, &paths); err != nil {
		t.Fatal(err)
	}
	streams := []string{"/api/stream", "/api/tail", "/api/bundle", "/api/left", "/api/drain"} // held above, or in other tests
	for path, methods := range paths.Paths {
		for method := range methods {
			if strings.HasPrefix(path, "/api/") && !slices.Contains(streams, path) && !o.answers[method+" "+path+" 200"] {
				t.Errorf("no good answer of %s %s was held against its description", method, path)
			}
		}
	}
}

// readsWhatThereIs holds the names that the overview is made of against the readings that
// it is told of.
func (o *operator) readsWhatThereIs(t *testing.T) {
	t.Helper()
	readings := o.seconds()
	// What a system does not tell is told in /metrics to be unknown, or nowhere.
	readings = append(readings, filesReading(openFiles()), metric.Reading{Key: "resident_bytes"}, metric.Reading{Key: "cpu_seconds"})
	for _, name := range overview.Names() {
		if !slices.ContainsFunc(readings, func(r metric.Reading) bool { return r.Name == name || r.Name == "" && r.Key == name }) {
			t.Errorf("the overview reads %s, which there is not", name)
		}
	}
}

// Where nobody names series, those are shown that this system can tell of.
func TestUsualSeries(t *testing.T) {
	if got := usual([]metric.Reading{metric.Gauge("goroutines", "", "", 1), metric.Gauge("", "open_files_limit", "", 1), metric.Counter("", "sent_bytes_total", "", 1)}); !slices.Equal(got, []string{"sent_bytes_total", "goroutines"}) {
		t.Errorf("of a system that tells little %v are shown", got)
	}
	got := usual([]metric.Reading{metric.Gauge("fds", "open_files", "", 1)})
	if !slices.Equal(got, []string{"fds"}) {
		t.Errorf("of one that tells of files %v are", got)
	}
}

// Without a token nobody is told of a send to one client: its room is the client's id.
func TestTailWithoutToken(t *testing.T) {
	o := operated(t, map[string]string{"ADMIN_TOKEN": ""})
	sid := o.poller(t, "news")
	_, sid, _ = strings.Cut(sid, "&sid=")
	tail := bufio.NewScanner(o.open(t, "GET", "/api/tail", "").Body)
	o.pooshSend(t, "", sid, "hidden", `1`)
	o.pooshSend(t, "", "news", "shown", `1`)
	if got := event(t, tail, "send"); !strings.Contains(got, `"shown"`) || strings.Contains(got, sid) {
		t.Errorf("%s", got)
	}
}

// A session of the Push Socket Protocol is among the slowest too, though the hub knows
// mailboxes alone: here the packet that says it is connected waits for it.
func TestSlowestOfPushSocket(t *testing.T) {
	o := operated(t, nil)
	res, err := http.Get("http://" + o.Addrs()["PUSH_SOCKET_PORT"].String() + "/socket.io/?EIO=3&transport=polling&b64=1")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	var slow inspect.Slow
	until(t, "the slow one is found", func() bool {
		o.ask(t, "GET", "/api/slow", "", &slow)
		return len(slow.Clients) > 0
	})
	c := slow.Clients[0]
	if c.Dialect != "push socket" || c.App != "pushsocket" || c.Transport != "polling" || c.Version != "EIO3" || c.Waiting == 0 || c.ID == "" || !strings.Contains(string(body), c.ID) {
		t.Errorf("%+v, of %s", c, body)
	}
	var one inspect.Connection
	if status := o.ask(t, "GET", "/api/connections/"+c.ID, "", &one); status != 200 || len(one.Open) != 1 || one.Open[0].ID != c.ID {
		t.Errorf("%d %+v", status, one)
	}
}

// Who does not read is found among the slowest, with what waits, and who has left with the
// reason for it.
func TestAPITellsOfTheSlowAndTheGone(t *testing.T) {
	o := operated(t, map[string]string{"OUTBOX_BYTES": "1MiB", "ECHO_MAX_MESSAGE_BYTES": "64KiB"})
	o.poller(t, "polls") // it has not fetched what comes now
	o.subscribe(t, "news")
	for range 20 {
		o.pooshSend(t, "", "polls", "e", `"`+strings.Repeat("x", 1000)+`"`)
	}
	var slow inspect.Slow
	until(t, "the slow one is found", func() bool {
		o.ask(t, "GET", "/api/slow?limit=5", "", &slow)
		return len(slow.Clients) > 0
	})
	if c := slow.Clients[0]; c.Transport != "polling" || c.Version != "EIO3" || c.Waiting < 15_000 || c.ID == "" {
		t.Errorf("%+v", c)
	}
	_, gone := o.subscribe(t, "other")
	for a := range o.hub.Subscribers("pusher:1") {
		if a.ID() == gone {
			a.Receiver().(interface {
				Guard(func())
			}).Guard(func() { panic("a bug") })
		}
	}
	var c inspect.Connection
	until(t, "the other one has left", func() bool {
		c = inspect.Connection{}
		return o.ask(t, "GET", "/api/connections/"+gone, "", &c) == 200 && len(c.Left) == 1
	})
	if l := c.Left[0]; len(c.Open) != 0 || l.Reason != "handler panic" || l.Dialect != "pusher" || l.App != "1" || l.Network != "127.0.0.1" || time.Since(l.At) > patience {
		t.Errorf("%+v", c)
	}
	var left struct{ Left []inspect.Left }
	for query, want := range map[string]int{"": 1, "?reason=handler+panic": 1, "?reason=kicked": 0, "?dialect=pusher&limit=1": 1, "?dialect=socktopus": 0} {
		if o.ask(t, "GET", "/api/left"+query, "", &left); len(left.Left) != want {
			t.Errorf("%s: %+v", query, left)
		}
	}
}

// The stream says that the server ends before it does.
func TestStreamOfAServerThatEnds(t *testing.T) {
	o := operated(t, nil)
	stream := bufio.NewScanner(o.open(t, "GET", "/api/stream", "").Body)
	event(t, stream, "overview")
	o.stop()
	event(t, stream, "end")
	o.end(t)
}

// The series stop with the server, and nobody is told of anything without the port.
func TestWithoutOperatorsNothingIsKept(t *testing.T) {
	r := run(t, nil, nil)
	r.listen(t, "news")
	r.pooshSend(t, "", "news", "e", "1")
	if rooms, _, _ := r.sends.Top(1); r.series != nil || r.live != nil || r.sends.Watched() || rooms != nil {
		t.Error("something is kept that nobody can ask for")
	}
}
