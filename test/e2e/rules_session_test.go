package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// EIO 2 and 3 are told that they are in the namespace without asking, right
// after the open packet; EIO 4 asks, and is told its id only then.
func TestWhoConnectsTheNamespace(t *testing.T) {
	s := start(t)
	for eio := 2; eio <= 3; eio++ {
		p := poll(t, s, fmt.Sprintf("EIO=%d", eio))
		p.hear("40")
		ws, err := dialSocket(s.clientPort, fmt.Sprintf("EIO=%d&transport=websocket", eio), "")
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"0{", "40"} {
			if _, got, err := ws.next(); err != nil || !strings.HasPrefix(got, want) {
				t.Errorf("EIO %d, websocket: first %q, %v; want %s", eio, got, err, want)
			}
		}
		ws.Close()
	}

	ws, err := dialSocket(s.clientPort, "EIO=4&transport=websocket", "")
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	if _, got, err := ws.next(); err != nil || !strings.HasPrefix(got, "0{") || !strings.Contains(got, "maxPayload") {
		t.Errorf("EIO 4: first %q, %v; want an open packet with maxPayload", got, err)
	}
	if err := ws.say("40"); err != nil {
		t.Fatal(err)
	}
	if _, got, err := ws.next(); err != nil || !strings.HasPrefix(got, `40{"sid":"`) {
		t.Errorf(`EIO 4: after 40 came %q, %v; want 40{"sid":"..."}`, got, err)
	}

	// EIO 4 that has not asked is in no room, not even with everyone.
	before := s.broadcast(t, "e", "1")
	silent, err := dialSocket(s.clientPort, "EIO=4&transport=websocket", "")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	if _, err := silent.hearPrefix("0{"); err != nil {
		t.Fatal(err)
	}
	if n := s.broadcast(t, "e", "2"); n != before {
		t.Errorf("a broadcast was handed to %d connections, %d are in the namespace", n, before)
	}
	silent.say("40")
	if _, got, err := silent.next(); err != nil || !strings.HasPrefix(got, "40{") {
		t.Errorf("EIO 4, late: first packet after 40 is %q, %v; want 40{...", got, err)
	}
}

// Only the default namespace exists; whoever asks for another is told so in the
// form its version reads, and stays.
func TestUnknownNamespace(t *testing.T) {
	s := start(t)
	for eio, want := range map[int]string{
		2: `44/foo,"Invalid namespace"`, 3: `44/foo,"Invalid namespace"`, 4: `44/foo,{"message":"Invalid namespace"}`,
	} {
		ws, err := joinSocket(s.clientPort, eio, "r", "")
		if err != nil {
			t.Fatal(err)
		}
		defer ws.Close()
		ws.say("40/foo,")
		if got, err := ws.hearPrefix("44"); err != nil || got != want {
			t.Errorf("EIO %d: %q, %v; want %s", eio, got, err, want)
		}
	}
	s.waitRoom(t, "r", 3)
}

// The client pings in EIO 2 and 3, the server in EIO 4. Who does not is gone
// after interval and timeout, who does stays.
func TestHeartbeatEachWay(t *testing.T) {
	s := start(t, "PING_INTERVAL=1s", "PING_TIMEOUT=2s")
	three, err := joinSocket(s.clientPort, 3, "r", "")
	if err != nil {
		t.Fatal(err)
	}
	defer three.Close()
	silent3, err := joinSocket(s.clientPort, 3, "silent", "")
	if err != nil {
		t.Fatal(err)
	}
	defer silent3.Close()
	four, err := joinSocket(s.clientPort, 4, "r", "")
	if err != nil {
		t.Fatal(err)
	}
	defer four.Close()
	silent4, err := joinSocket(s.clientPort, 4, "silent", "")
	if err != nil {
		t.Fatal(err)
	}
	defer silent4.Close()
	pollers := map[string]*poller{"EIO 3": poll(t, s, "EIO=3"), "EIO 4": poll(t, s, "EIO=4")}
	for _, p := range pollers {
		p.join("silent")
	}

	began := time.Now()
	for round := 1; round <= 6; round++ { // six intervals, twice what the silent have
		three.say("2")
		if got, err := three.hearPrefix("3"); err != nil || got != "3" {
			t.Fatalf("EIO 3, ping %d: %q, %v; want 3", round, got, err)
		}
		if got, err := four.hear(patience, "a ping", func(m string) bool { return m == "2" }); err != nil {
			t.Fatalf("EIO 4, ping %d: %q, %v", round, got, err)
		}
		four.say("3")
	}
	if took := time.Since(began); took < 4500*time.Millisecond {
		t.Errorf("six pings of the server came within %v, the interval is 1s", took)
	}
	for name, ws := range map[string]*rawSocket{"EIO 3": silent3, "EIO 4": silent4} {
		heard, _, err := ws.hearEnd(patience)
		if err != nil {
			t.Errorf("%s that answers nothing: %v", name, err)
		}
		if name == "EIO 3" {
			for _, m := range heard {
				if m == "2" {
					t.Errorf("%s was pinged by the server", name)
				}
			}
		}
	}
	s.waitRoom(t, "silent", 0)
	for name, p := range pollers {
		if a := ask(t, "GET", p.url, ""); a.status != 400 {
			t.Errorf("%s over polling that said nothing: status %d, want 400", name, a.status)
		}
	}
	s.waitRoom(t, "r", 2)
}

// Any ping is answered, whatever text it has: with it a client tries whether a
// connection works.
func TestPingWithText(t *testing.T) {
	s := start(t)
	ws, err := joinSocket(s.clientPort, 3, "r", "")
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	for _, ping := range []string{"2", "2probe", "2other"} {
		ws.say(ping)
		if _, err := ws.hearPrefix("3"); err != nil {
			t.Errorf("%s: %v", ping, err)
		}
	}
}

// A browser asks before it posts a binary payload, and before any request with
// headers of the page's own.
func TestPreflight(t *testing.T) {
	s := start(t)
	p := poll(t, s, "EIO=3")
	for name, url := range map[string]string{
		"with a session":            p.url,
		"without a session":         s.clientURL() + "/socket.io/?EIO=3&transport=polling&t=1-0",
		"without a session, EIO 4":  s.clientURL() + "/socket.io/?EIO=4&transport=polling",
		"with a session that ended": s.clientURL() + "/socket.io/?EIO=4&transport=polling&sid=aaaaaaaaaaaaaaaaaaaa",
	} {
		a := ask(t, "OPTIONS", url, "", "Origin: http://page.example", "Access-Control-Request-Method: POST",
			"Access-Control-Request-Headers: content-type,x-page-header")
		if a.status != 200 {
			t.Errorf("%s: status %d %q, want 200", name, a.status, a.body)
		}
		allowed := strings.ToLower(a.header.Get("Access-Control-Allow-Headers"))
		for _, want := range []string{"content-type", "x-page-header"} {
			if !strings.Contains(allowed, want) {
				t.Errorf("%s: Access-Control-Allow-Headers is %q, want %s in it", name, allowed, want)
			}
		}
	}
	a := ask(t, "OPTIONS", p.url, "", "Origin: http://page.example", "Access-Control-Request-Method: POST")
	if !strings.Contains(strings.ToLower(a.header.Get("Access-Control-Allow-Headers")), "content-type") {
		t.Errorf("nothing asked for: Access-Control-Allow-Headers is %q, want Content-Type", a.header.Get("Access-Control-Allow-Headers"))
	}
}
