package server

import (
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"poosh/auth"
	"poosh/server/dialect"
)

// kick asks the operators' port.
func (r *running) kick(t *testing.T, query string) (int, string) {
	t.Helper()
	res, body := post(t, "http://"+r.Addrs()["ADMIN_PORT"].String()+"/api/kick?"+query, "", nil)
	return res.StatusCode, body
}

// ends reads a WebSocket to its end, and returns what it was told and the code.
func ends(t *testing.T, ws *websocket.Conn) (texts []string, code int) {
	t.Helper()
	_ = ws.SetReadDeadline(time.Now().Add(patience))
	for {
		_, text, err := ws.ReadMessage()
		if err == nil {
			texts = append(texts, string(text))
			continue
		}
		if end, ok := err.(*websocket.CloseError); ok {
			return texts, end.Code
		}
		t.Fatalf("%q, and then no close: %v", texts, err)
	}
}

// dialed opens a WebSocket.
func dialed(t *testing.T, url string) *websocket.Conn {
	t.Helper()
	ws, _, err := websocket.DefaultDialer.Dial(url, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ws.Close() })
	_ = ws.SetReadDeadline(time.Now().Add(patience))
	return ws
}

// everybody is a server of all dialects.
func everybody(t *testing.T) *running {
	t.Helper()
	r := run(t, map[string]string{"ADMIN_PORT": "0",
		"PUSHER_PORT": "0", "PUSHER_APP_ID": "1", "PUSHER_APP_KEY": pusherKey, "PUSHER_APP_SECRET": pusherSecret,
		"SOCKTOPUS_PORT": "0", "A_SOCKTOPUS_SECRET": testSecret, "PUSH_SOCKET_PORT": "0", "PUSH_SOCKET_DB": t.TempDir() + "/x.db",
	}, nil)
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		r.stop()
		if err := r.wait(t); err != nil {
			t.Error(err)
		}
	})
	return r
}

// Each dialect has its own word for a client that is not wanted, and counts it as kicked.
func TestKick(t *testing.T) {
	r := everybody(t)
	socktopus := func(id string) *websocket.Conn {
		ws := dialed(t, "ws://"+r.Addrs()["SOCKTOPUS_PORT"].String()+"/recieve?token="+auth.NewSocktopus("a", testSecret, id, time.Now()))
		if err := ws.WriteMessage(websocket.TextMessage, []byte("PING")); err != nil {
			t.Fatal(err)
		}
		r.hear(t, ws, "PONG")
		return ws
	}
	pushSocket := func() (*websocket.Conn, string) {
		ws := dialed(t, "ws://"+r.Addrs()["PUSH_SOCKET_PORT"].String()+"/socket.io/?EIO=4&transport=websocket")
		r.hear(t, ws, "0{")
		if err := ws.WriteMessage(websocket.TextMessage, []byte("40")); err != nil {
			t.Fatal(err)
		}
		_, text, err := ws.ReadMessage()
		if err != nil {
			t.Fatal(err)
		}
		return ws, strings.TrimSuffix(strings.TrimPrefix(string(text), `40{"sid":"`), `"}`)
	}
	wants := func(name string, ws *websocket.Conn, word string, code int) {
		t.Helper()
		texts, got := ends(t, ws)
		if got != code || len(texts) == 0 || !strings.HasPrefix(texts[len(texts)-1], word) {
			t.Errorf("%s: told %q and closed with %d, want %q and %d", name, texts, got, word, code)
		}
	}
	kicked := func(name, query, want string) {
		t.Helper()
		if status, body := r.kick(t, query); status != 200 || strings.TrimSpace(body) != want {
			t.Errorf("%s: %d %s, want %s", name, status, body, want)
		}
	}

	inNews, inOther := r.four(t, "news"), r.four(t, "other")
	inChannel, socketID := r.subscribe(t, "news")
	stays, _ := r.subscribe(t, "elsewhere")
	kicked("a room of both", "room=news", `{"kicked":2}`)
	wants("socket.io", inNews, "41", websocket.CloseNormalClosure)
	wants("Pusher", inChannel, `{"event":"pusher:error","data":{"code":4009`, 4009)
	kicked("who is gone", "id="+url.QueryEscape(socketID), `{"kicked":0}`)
	kicked("another dialect's", "room=other&dialect=pusher", `{"kicked":0}`)
	kicked("another app's", "room=elsewhere&app=2", `{"kicked":0}`)
	kicked("of one dialect and app", "room=other&dialect=socket.io&app=poosh", `{"kicked":1}`)
	wants("socket.io", inOther, "41", websocket.CloseNormalClosure)

	ten := socktopus("10")
	kicked("by its id", "id=10", `{"kicked":1}`)
	wants("Socktopus", ten, "CLOSE", websocket.CloseNormalClosure)
	again := socktopus("10") // nobody keeps it out
	device, id := pushSocket()
	kicked("a device's connection", "id="+url.QueryEscape(id), `{"kicked":1}`)
	wants("Push Socket", device, "41", websocket.CloseNormalClosure)

	last, _ := pushSocket()
	four := r.four(t, "last")
	kicked("another address", "address=192.0.2.1", `{"kicked":0}`)
	kicked("another network", "address=2001:db8::/32", `{"kicked":0}`)
	// As a person writes it who reads addresses off a socket of IPv6.
	kicked("all of this machine", "address=::ffff:127.0.0.0/104", `{"kicked":4}`)
	kicked("who goes", "address=127.0.0.0/8", `{"kicked":0}`)
	wants("Push Socket", last, "41", websocket.CloseNormalClosure)
	wants("socket.io", four, "41", websocket.CloseNormalClosure)
	wants("Socktopus", again, "CLOSE", websocket.CloseNormalClosure)
	wants("Pusher", stays, `{"event":"pusher:error"`, 4009)

	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		s := r.scrape(t)
		got := s.sum("poosh_closed_total", `reason="kicked"`)
		if got == 9 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%v count as kicked, want 9", got)
		}
	}
}

// A client that polls is told by the poll that waits, or by the next one.
func TestKickOfPollingClients(t *testing.T) {
	r := everybody(t)
	for _, waits := range []bool{true, false} {
		url := r.poller(t, "polled")
		answer := make(chan string, 1)
		poll := func() { // ends with the answer
			res, err := http.Get(url)
			if err != nil {
				answer <- err.Error()
				return
			}
			defer res.Body.Close()
			text, _ := io.ReadAll(res.Body)
			answer <- string(text)
		}
		if waits {
			go poll()
			time.Sleep(100 * time.Millisecond) // it may come first or second: it is told all the same
		}
		if status, body := r.kick(t, "room=polled"); status != 200 || !strings.Contains(body, `{"kicked":1}`) {
			t.Fatalf("%d %s", status, body)
		}
		if !waits {
			go poll()
		}
		if got := <-answer; !strings.Contains(got, "2:41") {
			t.Errorf("waits %v: the poll says %q, want the packet 41 in it", waits, got)
		}
	}
}

// Who does not say clearly whom is meant is refused, and nobody is closed.
func TestKickMistakes(t *testing.T) {
	r := everybody(t)
	r.four(t, "news")
	for query, want := range map[string]string{
		"": "want one of id, room and address", "id=1&room=news": "want one of", "dialect=pusher": "want one of", "app=1": "want one of",
		"id=": "id is empty", "address=": "address is empty", "id=1&dialect=": "dialect is empty", "id=1&id=2": "id is there twice",
		"rooms=news": "is no parameter", "room=news&dialects=pusher": "is no parameter", "room=news&dialect=sockets": "is none that is on",
		"address=1.2.3": "want an address", "address=example.com": "want an address", "address=fe80::1%25eth0": "want an address", "room=%zz": "broken escape",
	} {
		if status, body := r.kick(t, query); status != 400 || !strings.Contains(body, want) {
			t.Errorf("%q: %d %s, want 400 and %q", query, status, body, want)
		}
	}
	if status, body := get(t, r.Addrs()["ADMIN_PORT"].String(), "/api/kick?room=news"); status != 405 {
		t.Errorf("GET: %d %s", status, body)
	}
	if n, _ := r.hub.Count("", "news"); n != 1 {
		t.Errorf("%d are in the room, want 1", n)
	}
}

func TestWhom(t *testing.T) {
	in := func(room string) bool { return room == "a" }
	room := func(name string) *string { return &name }
	for _, row := range []struct {
		whom dialect.Whom
		want bool
	}{
		{dialect.Whom{}, true},
		{dialect.Whom{ID: "1"}, true}, {dialect.Whom{ID: "2"}, false},
		{dialect.Whom{Room: room("a")}, true}, {dialect.Whom{Room: room("b")}, false}, {dialect.Whom{ID: "1", Room: room("b")}, false},
		{dialect.Whom{Address: netip.MustParsePrefix("192.0.2.7/32")}, true}, {dialect.Whom{Address: netip.MustParsePrefix("192.0.2.0/24")}, true},
		{dialect.Whom{Address: netip.MustParsePrefix("192.0.2.8/32")}, false}, {dialect.Whom{Address: netip.MustParsePrefix("::/0")}, false},
	} {
		for _, remote := range []string{"192.0.2.7:80", "[::ffff:192.0.2.7]:80"} {
			if row.whom.Is("1", remote, in) != row.want {
				t.Errorf("%+v from %s: %v", row.whom, remote, !row.want)
			}
		}
	}
	if (&dialect.Whom{Address: netip.MustParsePrefix("::/0")}).Is("1", "nowhere", in) {
		t.Error("who is from nowhere is from everywhere")
	}
}
