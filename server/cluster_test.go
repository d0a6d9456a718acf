package server

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"poosh/auth"
	"poosh/server/cluster/redistest"
	"poosh/server/health"
	"poosh/server/metric"
	"poosh/server/poosh"
)

// node is a server in a cluster.
func node(t *testing.T, redis string, more ...string) *running {
	t.Helper()
	env := map[string]string{"CLUSTER_REDIS": "redis://" + redis, "CLUSTER_TIMEOUT": "5s"}
	for i := 0; i < len(more); i += 2 {
		env[more[i]] = more[i+1]
	}
	return run(t, env, nil)
}

// What one node takes reaches the clients of another, and it gives its lease back at the end.
func TestNodesActAsOne(t *testing.T) {
	redis := redistest.Start(t)
	a, b := node(t, redis.Addr), node(t, redis.Addr)
	here, there := a.listen(t, "r"), b.listen(t, "r")
	seated(t, "r", a, b)
	subscribed(t, redis, "r", 2)
	for i, r := range []*running{a, b, a} {
		payload := string(rune('1' + i))
		res := r.send(t, "r", "e", payload)
		if res.StatusCode != 200 || res.Header.Get("X-Poosh-Nodes") != "2" || res.Header["X-Poosh-Delivered"] != nil || res.Header.Get("X-Poosh-Id") == "" {
			t.Fatal(res.Status, res.Header)
		}
		a.hear(t, here, `42["e",`+payload)
		b.hear(t, there, `42["e",`+payload)
	}
	if n := len(a.cluster.Nodes()); n != 2 {
		t.Errorf("%d nodes", n)
	}
	b.stop()
	if err := b.wait(t); err != nil {
		t.Fatal(err)
	}
	redistest.Until(t, "the other node to be gone", func() bool { return len(a.cluster.Nodes()) == 1 })
}

// subscribed waits until so many nodes are subscribed to a room.
func subscribed(t *testing.T, redis *redistest.Server, room string, nodes int) {
	t.Helper()
	const count = `local n = 0
for _, channel in ipairs(redis.call('PUBSUB', 'SHARDCHANNELS')) do
  if channel:sub(-#ARGV[1]) == ARGV[1] then n = n + redis.call('PUBSUB', 'SHARDNUMSUB', channel)[2] end
end
return n`
	redistest.Until(t, "subscriptions", func() bool {
		return redis.Do("EVAL", count, "0", "\x00"+room) == ":"+strconv.Itoa(nodes)
	})
}

// seated waits until each of these has a client in a room: that it is subscribed to is known a
// moment before.
func seated(t *testing.T, room string, nodes ...*running) {
	t.Helper()
	for _, r := range nodes {
		redistest.Until(t, "a seat", func() bool { n, _ := r.hub.Count(poosh.App, room); return n > 0 })
	}
}

// A node does not start alone by mistake, and says why without a password.
func TestNodeWithoutAnEngine(t *testing.T) {
	addr, _ := redistest.FreePort(t)
	cfg := configured(t, map[string]string{"CLUSTER_REDIS": "redis://:hushhush@" + addr, "CLUSTER_TIMEOUT": "200ms", "CLUSTER_LEASE": "3s"})
	s, err := New(cfg, discard)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	err = s.Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "CLUSTER_REDIS") || strings.Contains(err.Error(), "hush") {
		t.Errorf("%v", err)
	}
	if took := time.Since(began); took > patience {
		t.Errorf("it took %v", took)
	}
	if len(s.Addrs()) != 0 {
		t.Errorf("ports are open: %v", s.Addrs())
	}
}

// What is not whole in a cluster is in none.
func TestClusterRefusesDialects(t *testing.T) {
	if errs, _ := findingsOf(t, "SERVER_SECRET="+testSecret+"\nCLUSTER_REDIS=redis://127.0.0.1:1\nPUSH_SOCKET_PORT=18082\n", nil, false); len(errs) != 1 || !strings.HasPrefix(errs[0], "PUSH_SOCKET_DB is a file") {
		t.Errorf("with a file for mail: %q", errs)
	}
	if errs, _ := findingsOf(t, "SERVER_SECRET="+testSecret+"\nCLUSTER_REDIS=redis://127.0.0.1:1\nHISTORY=1m\nHISTORY_FILE=x\n", nil, false); len(errs) != 1 || !strings.HasPrefix(errs[0], "HISTORY_FILE") {
		t.Errorf("with a file: %q", errs)
	}
}

// While the engine is away senders are told so, clients stay, and all goes on when it is back.
func TestEngineAwayAndBack(t *testing.T) {
	redis := redistest.Start(t)
	a, b := node(t, redis.Addr, "CLUSTER_TIMEOUT", "500ms"), node(t, redis.Addr, "CLUSTER_TIMEOUT", "500ms")
	here, there := a.listen(t, "r"), b.listen(t, "r")
	seated(t, "r", a, b)
	subscribed(t, redis, "r", 2)
	redis.Kill()
	redistest.Until(t, "a refusal", func() bool { return a.send(t, "r", "e", "0").StatusCode != 200 })
	redistest.Until(t, "the node to know", func() bool { return !a.cluster.Up() && !b.cluster.Up() })
	req, err := http.NewRequest(http.MethodPost, "http://"+a.sender+"/send", strings.NewReader(`{"room":"r","event":"e","payload":0}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", auth.PooshSign(testSecret, []byte("0")))
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if res.StatusCode != 503 || res.Header.Get("Retry-After") != "1" || !strings.HasPrefix(res.Header.Get("Content-Type"), "application/json") || !strings.Contains(string(body), `{"error":"the other nodes`) {
		t.Errorf("%s %v %s", res.Status, res.Header, body)
	}
	if report := a.health.Ready(t.Context()); report.Status != health.NotReady || !strings.Contains(fmt.Sprint(report.Faults), "cluster") {
		t.Errorf("ready: %+v", report)
	}
	redis.Run()
	subscribed(t, redis, "r", 2)
	redistest.Until(t, "a send", func() bool { return b.send(t, "r", "e", "1").StatusCode == 200 })
	a.hear(t, here, `42["e",1`)
	b.hear(t, there, `42["e",1`)
	redistest.Until(t, "the node to be ready", func() bool { return a.health.Ready(t.Context()).Status == health.OK })
}

// An engine that is there and takes nothing, since its memory is full, keeps a node from being ready.
func TestEngineIsFull(t *testing.T) {
	redis := redistest.Start(t)
	a := node(t, redis.Addr, "CLUSTER_TIMEOUT", "1s", "CLUSTER_LEASE", "3s")
	is := func(status string, up float64) {
		t.Helper()
		redistest.Until(t, fmt.Sprintf("the node to be %s, and the gauge %v", status, up), func() bool {
			return a.health.Ready(t.Context()).Status == status && slices.ContainsFunc(a.cluster.Readings(), func(r metric.Reading) bool {
				return r.Name == "cluster_engine_up" && r.Samples[0].Value == up
			})
		})
	}
	is(health.OK, 1)
	redis.Do("CONFIG", "SET", "maxmemory", "1")
	is(health.NotReady, 0)
	redistest.Until(t, "it to be said why", func() bool {
		return slices.ContainsFunc(a.health.Ready(t.Context()).Faults, func(f health.Fault) bool { return f.Part == "cluster" && f.Why == "Redis is there, and takes nothing" })
	})
	redis.Do("CONFIG", "SET", "maxmemory", "0")
	is(health.OK, 1)
}

// With local a send reaches the clients of the node that takes it.
func TestEngineAwayLocal(t *testing.T) {
	redis := redistest.Start(t)
	a := node(t, redis.Addr, "CLUSTER_TIMEOUT", "300ms", "CLUSTER_LEASE", "3s", "CLUSTER_WHEN_DOWN", "local")
	here := a.listen(t, "r")
	seated(t, "r", a)
	subscribed(t, redis, "r", 1)
	redis.Kill()
	redistest.Until(t, "the node to know", func() bool { return !a.cluster.Up() })
	redistest.Until(t, "a send", func() bool { return a.send(t, "r", "e", "1").StatusCode == 200 })
	a.hear(t, here, `42["e",1`)
	if report := a.health.Ready(t.Context()); report.Status != health.Degraded || !strings.Contains(fmt.Sprint(report.Faults), "this node alone") {
		t.Errorf("ready: %+v", report)
	}
}

// What is kept is kept by every node, at the same positions: who was cut off from one goes on at
// another, and at one that has just started, after all others have gone too.
func TestHistoryAcrossNodes(t *testing.T) {
	redis := redistest.Start(t)
	a, b := node(t, redis.Addr, "HISTORY", "1m"), node(t, redis.Addr, "HISTORY", "1m")
	first := a.events(t, "r", "")
	if !strings.Contains(first, `"recovered":null`) {
		t.Fatal(first)
	}
	at := idOf(t, first)
	for i, r := range []*running{a, b, a} {
		if res := r.send(t, "r", "e", string(rune('1'+i))); res.StatusCode != 200 {
			t.Fatal(res.Status)
		}
	}
	late := node(t, redis.Addr, "HISTORY", "1m")
	for name, r := range map[string]*running{"where it was": a, "elsewhere": b, "one that came later": late} {
		got := r.events(t, "r", at)
		if !strings.Contains(got, `"recovered":true,"missed":3`) || strings.Count(got, "event: e\n") != 3 ||
			strings.Index(got, "data: 1") > strings.Index(got, "data: 2") || strings.Index(got, "data: 2") > strings.Index(got, "data: 3") {
			t.Errorf("%s: %s", name, got)
		}
	}
	before := at
	// A position of a node where nothing has come is known to the others.
	at = idOf(t, late.events(t, "r", ""))
	if got := b.events(t, "r", at); !strings.Contains(got, `"recovered":true,"missed":0`) {
		t.Errorf("from one to the next: %s", got)
	}
	for _, r := range []*running{a, b, late} {
		r.stop()
		if err := r.wait(t); err != nil {
			t.Fatal(err)
		}
	}
	again := node(t, redis.Addr, "HISTORY", "1m")
	for from, missed := range map[string]int{before: 3, at: 0} {
		if got := again.events(t, "r", from); !strings.Contains(got, fmt.Sprintf(`"recovered":true,"missed":%d`, missed)) {
			t.Errorf("after all have ended, want %d: %s", missed, got)
		}
	}
	if n := again.cluster.Readings(); !slices.ContainsFunc(n, func(r metric.Reading) bool { return r.Name == "cluster_history_filled_events" }) {
		t.Error("no metric tells of what was read")
	}
}

// events is a stream up to where it says that it is there.
func (r *running) events(t *testing.T, room, after string) string {
	t.Helper()
	text, err := r.streamed(t.Context(), room, after)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return text
}

// streamed is events for who is on another goroutine.
func (r *running) streamed(ctx context.Context, room, after string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.client+"/events?room="+room, nil)
	if err != nil {
		return "", err
	}
	if after != "" {
		req.Header.Set("Last-Event-ID", after)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	var all strings.Builder
	lines := bufio.NewScanner(res.Body)
	for ended := false; lines.Scan(); {
		all.WriteString(lines.Text() + "\n")
		ended = ended || strings.HasPrefix(lines.Text(), "event: poosh:connected")
		if ended && lines.Text() == "" {
			return all.String(), nil
		}
	}
	return all.String(), fmt.Errorf("the stream ended: %w", lines.Err())
}

// idOf is the last id in a stream.
func idOf(t *testing.T, text string) string {
	t.Helper()
	_, id, found := strings.Cut(text[strings.LastIndex(text, "id:"):], "id:")
	if !found {
		t.Fatal(text)
	}
	id, _, _ = strings.Cut(id, "\n")
	return strings.TrimSpace(id)
}

// Where rooms are hangs on whose events are kept, so a node that says otherwise than those that are there
// does not start: they would not hear each other. With nobody there it may be changed.
func TestNodesKeepTheSame(t *testing.T) {
	redis := redistest.Start(t)
	env := map[string]string{"CLUSTER_REDIS": "redis://" + redis.Addr}
	pusher := map[string]string{"PUSHER_APP_ID": "1", "PUSHER_APP_KEY": "key", "PUSHER_APP_SECRET": "secret-of-pusher", "PUSHER_PORT": "0"}
	refused := func(more ...map[string]string) {
		t.Helper()
		all := maps.Clone(env)
		for _, m := range more {
			maps.Copy(all, m)
		}
		s, err := New(configured(t, all), discard)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if err := s.Run(ctx); err == nil || !strings.Contains(err.Error(), "HISTORY, PUSHER_HISTORY: differ") {
			t.Errorf("%v: %v", more, err)
		}
	}
	a := node(t, redis.Addr, "HISTORY", "1m")
	refused()
	refused(map[string]string{"HISTORY": "1m", "PUSHER_HISTORY": "1m"}, pusher)
	a.stop()
	if err := a.wait(t); err != nil {
		t.Fatal(err)
	}
	b := node(t, redis.Addr)
	refused(map[string]string{"HISTORY": "1m"})
	here := b.listen(t, "r")
	seated(t, "r", b)
	if res := b.send(t, "r", "e", "1"); res.StatusCode != 200 {
		t.Error(res.Status)
	}
	b.hear(t, here, `42["e",1`)
}

// Who is let into a room while its node alone is cut off gets what was sent meanwhile, as those do who were
// in theirs before; or is closed, where the engine does not have it any more.
func TestSeatedWhileCutOff(t *testing.T) {
	for backlog, heard := range map[string]bool{"4MiB": true, "off": false} {
		redis := redistest.Start(t)
		wire := redistest.NewWire(t, redis.Addr)
		a := node(t, wire.Addr, "CLUSTER_TIMEOUT", "500ms", "CLUSTER_BACKLOG", backlog)
		b := node(t, redis.Addr, "CLUSTER_TIMEOUT", "500ms", "CLUSTER_BACKLOG", backlog)
		old := a.listen(t, "old")
		seated(t, "old", a)
		wire.Cut()
		redistest.Until(t, "the node to know", func() bool { return !a.cluster.Up() })
		late := a.listen(t, "new")
		seated(t, "new", a)
		for _, room := range []string{"old", "new"} {
			if res := b.send(t, room, "e", `"missed"`); res.StatusCode != 200 {
				t.Fatal(res.Status)
			}
		}
		wire.Heal()
		for room, ws := range map[string]*websocket.Conn{"old": old, "new": late} {
			if heard {
				a.hear(t, ws, `42["e","missed"`)
				continue
			}
			_ = ws.SetReadDeadline(time.Now().Add(patience))
			for err := error(nil); err == nil; {
				var text []byte
				if _, text, err = ws.ReadMessage(); strings.Contains(string(text), "missed\"") || os.IsTimeout(err) {
					t.Errorf("in %s: %q, %v; want the end", room, text, err)
				}
			}
		}
	}
}

// A client gets what is sent to its id by whatever node as soon as it knows that, however far the engine is:
// nothing has to be subscribed to first. Others may be in a room of that name, on any node.
func TestOwnRoomAtOnce(t *testing.T) {
	redis := redistest.Start(t)
	wire := redistest.NewWire(t, redis.Addr)
	a, b := node(t, wire.Addr), node(t, redis.Addr)
	wire.Slow(20 * time.Millisecond)
	for n := range 5 {
		ws, _, err := websocket.DefaultDialer.Dial("ws://"+a.client+"/socket.io/?EIO=3&transport=websocket", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer ws.Close()
		_, text, err := ws.ReadMessage()
		if err != nil {
			t.Fatal(err)
		}
		_, id, _ := strings.Cut(string(text), `"sid":"`)
		id, _, _ = strings.Cut(id, `"`)
		a.hear(t, ws, "40")
		want := `42["e",` + strconv.Itoa(n)
		if n == 4 {
			beside, elsewhere := a.listen(t, id), b.listen(t, id)
			redistest.Until(t, "seats", func() bool {
				here, _ := a.hub.Count(poosh.App, id)
				there, _ := b.hub.Count(poosh.App, id)
				return here == 2 && there == 1
			})
			defer func() {
				a.hear(t, beside, want)
				b.hear(t, elsewhere, want)
			}()
		}
		res := b.send(t, id, "e", strconv.Itoa(n))
		if nodes := res.Header.Get("X-Poosh-Nodes"); res.StatusCode != 200 || nodes != strconv.Itoa(1+n/4) {
			t.Errorf("%s, %s nodes", res.Status, nodes)
		}
		a.hear(t, ws, want)
	}
}
