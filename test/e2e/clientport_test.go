package e2e

import (
	"encoding/json"
	"strings"
	"testing"
)

// What the port for clients says to everyone who is no client, and to clients
// that ask for what there is not.
func TestAnswersOnTheClientPort(t *testing.T) {
	s := start(t)
	const notAClient = `{"message":"You're not a websocket client!"}`
	for _, c := range []struct {
		method, path string
		status       int
		body         string // JSON with the same tokens; empty for any
	}{
		{"GET", "/", 200, notAClient},
		{"GET", "/any/path?x=1", 200, notAClient},
		{"GET", "/socket.io", 200, notAClient},
		{"HEAD", "/", 200, ""},
		{"POST", "/", 404, ""},
		{"DELETE", "/socket.iox", 404, ""},
		{"GET", "/socket.io/", 400, `{"code":0,"message":"Transport unknown"}`},
		{"GET", "/socket.io/?transport=", 400, `{"code":0,"message":"Transport unknown"}`},
		{"GET", "/socket.io/?transport=Polling", 400, `{"code":0,"message":"Transport unknown"}`},
		{"GET", "/socket.io/?transport=polling&transport=polling", 400, `{"code":0,"message":"Transport unknown"}`},
		{"GET", "/socket.io/?transport=flashsocket", 400, `{"code":0,"message":"Transport unknown"}`},
		{"GET", "/socket.io/?transport=polling&sid=nobody", 400, `{"code":1,"message":"Session ID unknown"}`},
		{"GET", "/socket.io/?transport=polling&sid=__proto__", 400, `{"code":1,"message":"Session ID unknown"}`},
		{"POST", "/socket.io/?transport=polling", 400, `{"code":2,"message":"Bad handshake method"}`},
		{"PUT", "/socket.io/?transport=polling", 400, `{"code":2,"message":"Bad handshake method"}`},
		{"GET", "/socket.io/?transport=websocket", 400, `{"code":3,"message":"Bad request"}`},
	} {
		a := ask(t, c.method, s.clientURL()+c.path, "")
		if a.status != c.status || c.body != "" && canonical(a.body) != canonical(c.body) {
			t.Errorf("%s %s: status %d %q, want %d %s", c.method, c.path, a.status, a.body, c.status, c.body)
		}
		if c.body != "" && !strings.HasPrefix(a.header.Get("Content-Type"), "application/json") {
			t.Errorf("%s %s: Content-Type %q", c.method, c.path, a.header.Get("Content-Type"))
		}
		if a.header.Get("X-Powered-By") != "" {
			t.Errorf("%s %s: X-Powered-By %q", c.method, c.path, a.header.Get("X-Powered-By"))
		}
	}
}

// The open packet says what a client of the original was told, and the answer
// to the older ones carries the cookie that some proxies keep clients apart by.
func TestHandshakeSaysWhatItSaid(t *testing.T) {
	s := start(t)
	for _, c := range []struct {
		query    string
		upgrades int
	}{{"EIO=3", 1}, {"EIO=2", 1}, {"EIO=4", 1}, {"EIO=3&j=0", 1}} {
		p := poll(t, s, c.query)
		if got := p.first.header.Get("Set-Cookie"); p.eio != 4 && got != "io="+p.sid && !strings.HasPrefix(got, "io="+p.sid+";") {
			t.Errorf("%s: Set-Cookie %q, want io=%s", c.query, got, p.sid)
		}
		packets := p.packets(p.first)
		var open struct {
			SID                       string
			Upgrades                  []string
			PingInterval, PingTimeout int
		}
		if err := json.Unmarshal([]byte(packets[0][1:]), &open); err != nil {
			t.Fatal(err)
		}
		if len(open.SID) != 20 || len(open.Upgrades) != c.upgrades || open.PingInterval != 25000 || open.PingTimeout != 60000 {
			t.Errorf("%s: open packet %s", c.query, packets[0])
		}
	}
	a := ask(t, "POST", poll(t, s, "EIO=3").url, "1:2", "Content-Type: text/plain;charset=UTF-8")
	if a.body != "ok" || !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
		t.Errorf("a POST is answered %q as %s", a.body, a.header.Get("Content-Type"))
	}
}

// An upgrade that cannot be is refused with an answer, so that whoever set up a
// proxy in front learns what is wrong.
func TestUpgradesThatCannotBe(t *testing.T) {
	s := start(t)
	for name, text := range map[string]string{
		"unknown session": upgradeRequest("EIO=3&transport=websocket&sid=aaaaaaaaaaaaaaaaaaaa"),
		"no transport":    upgradeRequest("EIO=3"),
		"another path":    strings.Replace(upgradeRequest("EIO=3&transport=websocket"), "/socket.io/", "/elsewhere/", 1),
		"no key":          strings.Replace(upgradeRequest("EIO=3&transport=websocket"), "Sec-WebSocket-Key", "X-Key", 1),
		"another version": strings.Replace(upgradeRequest("EIO=3&transport=websocket"), "Version: 13", "Version: 7", 1),
		"a POST":          strings.Replace(upgradeRequest("EIO=3&transport=websocket"), "GET", "POST", 1),
		"something else":  strings.Replace(upgradeRequest("EIO=3&transport=websocket"), "Upgrade: websocket", "Upgrade: h2c", 1),
	} {
		a := say(t, s.clientPort, text)
		if a.status < 400 || a.status > 426 {
			if name == "another path" && a.status == 200 {
				continue // it is any page, and the client sees that
			}
			t.Errorf("%s: status %d %q, want a refusal", name, a.status, a.body)
		}
	}
	// A session takes one WebSocket, not a second beside it.
	p := poll(t, s, "EIO=3")
	for range 2 {
		ws, err := dialSocket(s.clientPort, "EIO=3&transport=websocket&sid="+p.sid, "")
		if err != nil {
			return // refused at once is fine
		}
		defer ws.Close()
		ws.say("2probe", "5", "2")
		if _, err := ws.hear(patience, "a pong or the end", func(m string) bool { return m == "3" }); err != nil {
			return
		}
	}
	t.Error("two WebSockets serve the same session")
}

// A send to the id of a connection reaches that one, whatever rooms it is in.
func TestRoomOfOneConnection(t *testing.T) {
	s := start(t)
	d := drive(t, "node.js")
	a := d.open(opening{Version: "1.3.4", Way: "websocket", URL: s.clientURL(), Listen: []string{"e"}})
	b := d.open(opening{Version: "4.8.1", Way: "websocket", URL: s.clientURL(), Listen: []string{"e"}})
	for _, c := range []*client{a, b} {
		sid := c.wait(t, "connect", 1)[0].SID
		if n := s.send(t, sid, "e", `"for one"`); n != 1 {
			t.Errorf("%s: a send to %s was handed to %d connections, want 1", c.id, sid, n)
		}
		c.events(t, "e", 1)
	}
	s.broadcast(t, "e", `"end"`)
	for _, c := range []*client{a, b} {
		if got := c.events(t, "e", 2); got[0] != `["for one"]` || got[1] != `["end"]` {
			t.Errorf("%s heard %q", c.id, got)
		}
	}
}

// silentOnesAreGone connects clients that say nothing more, and returns when the server has
// given them up: whoever was there before and is there still has done something for that.
func (s *server) silentOnesAreGone(t *testing.T) {
	t.Helper()
	var silent []*rawSocket
	for eio := 3; eio <= 4; eio++ {
		ws, err := joinSocket(s.clientPort, eio, "silent", "")
		if err != nil {
			t.Fatal(err)
		}
		defer ws.Close()
		silent = append(silent, ws)
	}
	for _, ws := range silent {
		if _, _, err := ws.hearEnd(patience); err != nil {
			t.Fatal(err)
		}
	}
}

// Clients of every version stay through their heartbeats, whoever pings.
func TestClientsOutliveHeartbeats(t *testing.T) {
	s := start(t, "PING_INTERVAL=1s", "PING_TIMEOUT=4s")
	d := drive(t, "node.js")
	all := openNodes(t, s, d, versions, []string{"polling", "websocket"}, "still")
	s.silentOnesAreGone(t)
	if n := s.send(t, "joined", "still", "1"); n != len(all) {
		t.Errorf("%d of %d clients are left", n, len(all))
	}
	for _, c := range all {
		if gone := c.seen("disconnect"); len(gone) > 0 {
			t.Errorf("%s: disconnect %q", c.id, gone[0].Text)
			continue
		}
		c.events(t, "still", 1)
	}
}
