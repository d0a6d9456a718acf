package pusher_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"poosh/auth"
	"poosh/test/process"
)

// TestRestart kills the server and starts it again: every version comes back, and
// back into its channels.
func TestRestart(t *testing.T) {
	s := start(t)
	d := drive(t, s)
	var clients []*client
	for _, w := range ways {
		c := d.dial(s, w, w.name, "1")
		c.join("news", "private-a", "presence-a")
		clients = append(clients, c)
	}
	s.crash()
	s.launch()
	for _, c := range clients {
		c.connections(2)
		for _, channel := range []string{"news", "private-a", "presence-a"} {
			d.wait(c.id, "channel", "pusher:subscription_succeeded", channel, 2)
		}
	}
	d.call("trigger", "news", "again", "x")
	for _, c := range clients {
		c.events("news", "again", 1)
	}
}

// TestDrain ends the server as a service manager does: clients are sent away with
// 4200, and what was accepted arrives before.
func TestDrain(t *testing.T) {
	s := start(t)
	d := drive(t, s)
	c := d.dial(s, ways[2], "a", "1")
	c.join("news")
	p := dialRaw(t, s, "?protocol=7")
	p.join("news")
	d.call("trigger", "news", "last", "x")
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	if got := p.read(); got != `{"event":"last","channel":"news","data":"x"}` {
		t.Errorf("received %s", got)
	}
	if code := p.closed(); code != 4200 {
		t.Errorf("closed with %d", code)
	}
	<-s.exited
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d:\n%s", code, s.log)
	}
	c.events("news", "last", 1)
}

// TestNextServer has a server end over DRAIN_TIME: clients of every version come back
// through their balancer to the next one, and into their channels. They have heard all that
// was accepted before, and hear what is sent at the next.
func TestNextServer(t *testing.T) {
	old, next := start(t, "DRAIN_DELAY=3s", "DRAIN_TIME=2s"), start(t)
	balancer := process.Balance(t, old.port)
	first, second := drive(t, old), drive(t, next)
	var clients []*client
	for _, w := range ways {
		c := first.open(old, w, w.name, "1", map[string]any{"wsPort": balancer.Port, "httpPort": balancer.Port})
		c.connections(1)
		c.join("news")
		clients = append(clients, c)
	}
	for i := range 5 {
		first.call("trigger", "news", "before", fmt.Sprint(i))
	}
	_ = old.cmd.Process.Signal(syscall.SIGTERM)
	balancer.Choose(next.port)
	first.call("trigger", "news", "during", "x") // in DRAIN_DELAY
	for _, c := range clients {
		c.connections(2)
		first.wait(c.id, "channel", "pusher:subscription_succeeded", "news", 2)
	}
	<-old.exited
	if code := old.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d:\n%s", code, old.log)
	}
	second.call("trigger", "news", "after", "x")
	for _, c := range clients {
		c.events("news", "before", 5)
		c.events("news", "during", 1)
		c.events("news", "after", 1)
	}
}

// TestNewcomersAtTheEnd has clients come back to a process that has not ended yet, those that
// are told 4100 again and again: none gives up, and all are in their channel once the next
// process is there.
func TestNewcomersAtTheEnd(t *testing.T) {
	s := start(t, "SERVER_SECRET="+pooshKey, "SHUTDOWN_TIMEOUT=20s")
	d := drive(t, s)
	var clients []*client
	for _, w := range ways {
		c := d.dial(s, w, w.name, "1")
		c.join("news")
		clients = append(clients, c)
	}
	// The end waits for a client that polls, and has yet to fetch the answer to its ping.
	polling := fmt.Sprintf("http://127.0.0.1:%d/socket.io/?EIO=3&transport=polling", s.client)
	sid := regexp.MustCompile(`"sid":"([^"]+)"`).FindStringSubmatch(fetch(t, http.MethodGet, polling, ""))
	if sid == nil {
		t.Fatal("no session")
	}
	polling += "&sid=" + url.QueryEscape(sid[1])
	fetch(t, http.MethodPost, polling, "1:2")
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	log := s.log
	eventually(t, "an old client to be answered 503, and one of two others to be told 4100 again", func() bool {
		return log.Count("status=503") > 0 && log.Count("code=4100") > 2
	})
	fetch(t, http.MethodGet, polling, "")
	<-s.exited
	s.launch()
	for _, c := range clients {
		c.connections(2)
		d.wait(c.id, "channel", "pusher:subscription_succeeded", "news", 2)
	}
	d.call("trigger", "news", "again", "x")
	for _, c := range clients {
		c.events("news", "again", 1)
	}
}

// fetch makes a request, and returns the body of the answer.
func fetch(t *testing.T, method, url, body string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d %s %v", method, res.StatusCode, text, err)
	}
	return string(text)
}

// TestReconnectAtOnce has a client told to come back, with the code of a drain.
func TestReconnectAtOnce(t *testing.T) {
	s := start(t)
	d := drive(t, s)
	for _, w := range ways[1:] {
		c := d.dial(s, w, w.name, w.name)
		c.op("signin")
		c.wait("event", "pusher:signin_success", 1)
		begin := time.Now()
		d.call("post", map[string]any{"path": "/users/" + url.PathEscape(w.name) + "/force_reconnect", "body": map[string]any{}})
		c.connections(2)
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("%s came back after %s", w.name, took)
		}
	}
}

// TestPings has a server that asks for a sign of life after a second. pusher-js
// gives it, a socket that is silent is closed.
func TestPings(t *testing.T) {
	s := start(t, "PUSHER_ACTIVITY_TIMEOUT=1s", "PUSHER_PONG_TIMEOUT=5s") // a browser that starts leaves others little of the machine
	d := drive(t, s)
	var clients []*client
	for _, w := range ways {
		clients = append(clients, d.dial(s, w, w.name, "1"))
	}
	p := dialRaw(t, s, "")
	p.ws.SetPingHandler(func(string) error { return nil })
	begin := time.Now()
	if code := p.closed(); code != 4201 || time.Since(begin) < 5500*time.Millisecond {
		t.Errorf("closed with %d after %s", code, time.Since(begin))
	}
	for _, c := range clients { // which were there before it
		if n := len(c.connections(1)); n != 1 {
			t.Errorf("%s connected %d times", c.id, n)
		}
	}
}

// TestClientLosesServer has the network go silent, which no close frame tells of:
// pusher-js asks, waits, and connects anew.
func TestClientLosesServer(t *testing.T) {
	s := start(t)
	d := drive(t, s)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	// The way to the server is cut for the first connection alone.
	cut, whole := make(chan struct{}), make(chan struct{})
	go func() { // ends with l
		for n := 0; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			up, err := net.Dial("tcp", fmt.Sprint("127.0.0.1:", s.port))
			if err != nil {
				_ = c.Close()
				continue
			}
			until := whole
			if n == 0 {
				until = cut
			}
			go pipe(c, up, until)
			go pipe(up, c, until)
		}
	}()
	c := d.open(s, ways[2], "a", "1", map[string]any{"wsPort": l.Addr().(*net.TCPAddr).Port, "activityTimeout": 1000, "pongTimeout": 1000})
	c.connections(1)
	c.join("news")
	close(cut)
	c.connections(2)
	d.wait("a", "channel", "pusher:subscription_succeeded", "news", 2)
	d.call("trigger", "news", "e", "x")
	c.events("news", "e", 1)
}

// pipe copies until one end is closed; once cut, it swallows.
func pipe(from, to net.Conn, cut chan struct{}) {
	defer from.Close()
	defer to.Close()
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		select {
		case <-cut:
		default:
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
	}
}

// TestRefusals looks at what pusher-js makes of a refusal: it stays away from an
// app that is not there, and from one that has all the connections it may have.
func TestRefusals(t *testing.T) {
	s := start(t, "PUSHER_MAX_CONNECTIONS=1")
	d := drive(t, s)
	d.dial(s, ways[2], "first", "1")
	for _, row := range []struct{ id, version, key, code string }{
		{"full 7", "7", appKey, "4004"}, {"full 8", "8", appKey, "4004"}, {"stranger 4", "4", "unknown", "4001"}, {"stranger 8", "8", "unknown", "4001"},
	} {
		d.do(map[string]any{"op": "open", "id": row.id, "version": row.version, "key": row.key, "options": map[string]any{
			"wsHost": "127.0.0.1", "wsPort": s.port, "forceTLS": false, "enabledTransports": []string{"ws"}, "disableStats": true, "cluster": "mt1"}})
		if r := d.wait(row.id, "error", "", "", 1)[0]; !strings.Contains(r.Text, row.code) {
			t.Errorf("%s is told %s", row.id, r.Text)
		}
		d.wait(row.id, "state", "disconnected", "", 1)
	}
	time.Sleep(1500 * time.Millisecond) // longer than the second of a retry
	for _, id := range []string{"full 7", "full 8", "stranger 4", "stranger 8"} {
		if n := len(d.seen(id, "state", "connecting", "")); n != 0 {
			t.Errorf("%s tried %d times more", id, n)
		}
	}
}

// TestRateLimit runs into a limit with a real library and looks at the headers.
func TestRateLimit(t *testing.T) {
	s := start(t, "PUSHER_API_RATE_PER_ADDRESS=3/1h", "TRUSTED_PROXIES=none")
	for i := range 5 {
		status, text := callPHP(t, s, nil, "GET", "/channels", nil, "")
		if want := map[bool]int{true: 200, false: 429}[i < 3]; status != want {
			t.Errorf("request %d: %d %s", i, status, text)
		}
	}
	resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/apps/3/channels", s.port))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	h := resp.Header
	if resp.StatusCode != 429 || h.Get("Retry-After") == "" || h.Get("X-RateLimit-Limit") != "3" || h.Get("X-RateLimit-Remaining") != "0" || h.Get("X-RateLimit-Reset") == "" {
		t.Errorf("%s %v", resp.Status, h)
	}
}

// TestBridge joins Poosh and a Pusher app: one event, both kinds of clients, each
// in its form, and nothing private.
func TestBridge(t *testing.T) {
	s := start(t, "SERVER_SECRET="+pooshKey, "BRIDGE="+appID)
	d := drive(t, s)
	a := d.dial(s, ways[2], "a", "1")
	a.join("news", "private-a", "presence-a", "other")

	ws, _, err := websocket.DefaultDialer.Dial(fmt.Sprintf("ws://127.0.0.1:%d/socket.io/?EIO=4&transport=websocket", s.client), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	io := &raw{t: t, ws: ws}
	io.read()
	io.send("40")
	io.read()
	for _, room := range []string{"news", "private-a", "presence-a", "private-encrypted-a", "cache-a"} {
		io.send(`42["room","` + room + `"]`)
	}
	send := func(room, event, payload string) (delivered string) {
		t.Helper()
		body := fmt.Sprintf(`{"room":%q,"event":%q,"payload":%s}`, room, event, payload)
		req, _ := http.NewRequest("POST", fmt.Sprintf("http://127.0.0.1:%d/send", s.sender), strings.NewReader(body))
		req.Header = http.Header{"Content-Type": {"application/json"}, "Authorization": {auth.PooshSign(pooshKey, []byte(payload))}}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode != 200 {
			t.Fatalf("POST /send: %s", resp.Status)
		}
		return resp.Header.Get("X-Poosh-Delivered")
	}
	expect := func(want string) {
		t.Helper()
		for {
			got := io.read()
			if got == "2" { // a ping
				io.send("3")
				continue
			}
			if got != want {
				t.Errorf("the socket.io client received %s, want %s", got, want)
			}
			return
		}
	}
	// The last of the rooms to be joined, which is not bridged.
	eventually(t, "the rooms to be joined", func() bool { return send("cache-a", "probe", "1") == "1" })
	expect(`42["probe",1]`)

	send("news", "from-poosh", `{"a":[1.50,"é"]}`)
	expect(`42["from-poosh",{"a":[1.50,"\u00e9"]}]`)
	send("news", "text", `"plain"`)
	expect(`42["text","plain"]`)
	if got := a.events("news", "from-poosh", 1); got[0] != `{"a":[1.5,"é"]}` {
		t.Errorf("the Pusher client received %s", got)
	}
	if got := a.events("news", "text", 1); got[0] != `"plain"` {
		t.Errorf("the Pusher client received %s", got)
	}
	d.call("trigger", []string{"news", "private-a", "presence-a"}, "from-pusher", map[string]any{"b": 2})
	expect(`42["from-pusher",{"b":2}]`)
	d.call("trigger", "cache-a", "from-pusher", "x")
	d.call("trigger", "news", "words", "not JSON")
	expect(`42["words","not JSON"]`)
	// Names that would hurt one kind of client stay with the other.
	d.call("trigger", "news", "connect_error", "x")
	a.events("news", "connect_error", 1)
	send("news", "pusher:error", `{"code":4001}`)
	expect(`42["pusher:error",{"code":4001}]`)
	for _, room := range []string{"private-a", "presence-a", "private-encrypted-a", "cache-a"} {
		send(room, "not-for-pusher", "1")
		expect(`42["not-for-pusher",1]`)
	}
	send("news", "end", "1")
	expect(`42["end",1]`)
	a.events("news", "end", 1)
	for name, times := range map[string]int{"from-poosh": 1, "text": 1, "from-pusher": 3, "not-for-pusher": 0, "pusher:error": 0} {
		if n := len(d.seen("a", "channel", name, "")); n != times {
			t.Errorf("%s was seen %d times, want %d", name, n, times)
		}
	}
}
