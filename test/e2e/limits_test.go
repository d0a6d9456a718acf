package e2e

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// A connection is in so many rooms and no more, and names are so long and no
// longer.
func TestRoomsHaveBounds(t *testing.T) {
	s := start(t, "MAX_ROOMS=10", "MAX_ROOM_NAME_BYTES=64")
	by := standBy(t, s)
	ws, err := joinSocket(s.clientPort, 3, "room 0", "")
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	for i := 1; i < 10; i++ {
		ws.say(fmt.Sprintf(`42["room","room %d"]`, i))
	}
	s.waitRoom(t, "room 9", 1)
	ws.say(`42["room","room 3"]`, `42["room","one more"]`, "2")
	// Whether the connection lives on or not: nobody is in the room.
	ws.hear(patience, "a pong or the end", func(m string) bool { return m == "3" })
	if n := s.send(t, "one more", "e", "1"); n != 0 {
		t.Errorf("a connection is in more rooms than it may be, MAX_ROOMS is 10")
	}
	by.check(t)

	other, err := joinSocket(s.clientPort, 3, strings.Repeat("x", 64), "")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	s.waitRoom(t, strings.Repeat("x", 64), 1)
	other.say(`42["room","`+strings.Repeat("y", 65)+`"]`, "2")
	other.hear(patience, "a pong or the end", func(m string) bool { return m == "3" })
	if a := s.post(t, body(strings.Repeat("y", 65), "e", "1"), token("1")); a.status == 200 && a.header.Get("X-Poosh-Delivered") != "0" {
		t.Errorf("a name of 65 bytes was joined, MAX_ROOM_NAME_BYTES is 64")
	}
	by.check(t)
}

// Connections have bounds too, in all and for an address; a request that does
// not come holds its connection for so long and no longer.
func TestConnectionsHaveBounds(t *testing.T) {
	s := start(t, "MAX_CONNECTIONS_PER_ADDRESS=5", "HEADER_TIMEOUT=1s", "BODY_TIMEOUT=1s",
		"IDLE_TIMEOUT=1s", "MAX_CONNECTIONS=8")
	var open []*rawSocket
	add := func(from string) error {
		ws, err := joinSocket(s.clientPort, 3, "bounded", from)
		if err == nil {
			t.Cleanup(func() { ws.Close() })
			open = append(open, ws)
		}
		return err
	}
	for range 5 {
		if err := add("127.0.0.2"); err != nil {
			t.Fatal(err)
		}
	}
	if err := add("127.0.0.2"); err == nil {
		t.Error("a sixth connection of an address was let in, the bound is 5")
	}
	for range 3 {
		if err := add("127.0.0.3"); err != nil {
			t.Fatalf("another address: %v", err)
		}
	}
	if err := add("127.0.0.4"); err == nil {
		t.Error("a ninth connection was let in, MAX_CONNECTIONS is 8")
	}
	for _, ws := range open {
		ws.Close()
	}
	s.waitIdle(t)
	if err := add("127.0.0.2"); err != nil {
		t.Errorf("after the others left: %v", err)
	}

	p := poll(t, s, "EIO=3")
	for name, c := range map[string]struct {
		port int
		text string
	}{
		"a head, of a client":            {s.clientPort, "GET /socket.io/?EIO=3 HTTP/1.1\r\nHost: e2e\r\n"},
		"a head, of a sender":            {s.serverPort, "POST /send HTTP/1.1\r\nHost: e2e\r\n"},
		"a body, of a session's packets": {s.clientPort, "POST " + strings.TrimPrefix(p.url, s.clientURL()) + " HTTP/1.1\r\nHost: e2e\r\nContent-Type: text/plain\r\nContent-Length: 500\r\n\r\n4:"},
		"a body, of a client":            {s.clientPort, "POST /elsewhere HTTP/1.1\r\nHost: e2e\r\nContent-Length: 500\r\n\r\n{"},
		"a body, of a sender":            {s.serverPort, "POST /send HTTP/1.1\r\nHost: e2e\r\nContent-Type: application/json\r\nAuthorization: " + token("1") + "\r\nContent-Length: 500\r\n\r\n{"},
		"a body, of a stranger":          {s.serverPort, "POST /send HTTP/1.1\r\nHost: e2e\r\nContent-Length: 500\r\n\r\n{"},
	} {
		conn, err := net.Dial("tcp", addr(c.port))
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(conn, c.text)
		conn.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.Copy(io.Discard, conn); err != nil && !strings.Contains(err.Error(), "reset") {
			t.Errorf("%s that does not come: %v", name, err)
		}
		conn.Close()
	}
}

// Who is behind a proxy that is trusted counts by the address it names, and
// nobody else can name one.
func TestAddressesBehindAProxy(t *testing.T) {
	for trusted, wantOwn := range map[string]bool{"127.0.0.0/8": true, "none": false} {
		s := start(t, "MAX_CONNECTIONS_PER_ADDRESS=2", "TRUSTED_PROXIES="+trusted)
		let := 0
		for i := range 6 {
			header := fmt.Sprintf("X-Forwarded-For: 203.0.113.%d", i%3)
			ws, err := dialSocket(s.clientPort, "EIO=3&transport=websocket", "", header)
			if err == nil {
				defer ws.Close()
				if _, err = ws.hearPrefix("40"); err == nil {
					let++
				}
			}
		}
		if want := map[bool]int{true: 6, false: 2}[wantOwn]; let != want {
			t.Errorf("TRUSTED_PROXIES=%s: %d of 6 connections of 3 named addresses were let in, want %d", trusted, let, want)
		}
		if ws, err := dialSocket(s.clientPort, "EIO=3&transport=websocket", "", "X-Forwarded-For: 203.0.113.1"); err == nil {
			_, err = ws.hearPrefix("40")
			ws.Close()
			if err == nil {
				t.Errorf("TRUSTED_PROXIES=%s: one more connection than its address may have was let in", trusted)
			}
		}
	}
}

// A session of EIO 4 that never asks for the namespace is not kept.
func TestSessionWithoutANamespaceEnds(t *testing.T) {
	s := start(t, "CONNECT_TIMEOUT=1s")
	ws, err := dialSocket(s.clientPort, "EIO=4&transport=websocket", "")
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	if _, _, err := ws.hearEnd(patience); err != nil {
		t.Error(err)
	}
	eventually(t, patience, "the session to end", func() bool { return s.status(t).sessions == 0 })
}

// A POST of packets beyond the bound ends its session, said in its length or not.
func TestLargePostEndsItsSession(t *testing.T) {
	s := start(t, "MAX_PACKET_BYTES=20000")
	by := standBy(t, s)
	for _, eio := range []int{3, 4} {
		for _, chunked := range []bool{false, true} {
			p := poll(t, s, fmt.Sprintf("EIO=%d", eio))
			p.join("large")
			s.waitRoom(t, "large", 1)
			text := `42["x","` + strings.Repeat("x", 30000) + `"]`
			if eio == 3 {
				text = fmt.Sprintf("%d:%s", len(text), text)
			}
			head := "POST " + strings.TrimPrefix(p.url, s.clientURL()) + " HTTP/1.1\r\nHost: e2e\r\nContent-Type: text/plain;charset=UTF-8\r\n"
			if chunked {
				head += fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n", len(text))
				text += "\r\n0\r\n\r\n"
			} else {
				head += fmt.Sprintf("Content-Length: %d\r\n\r\n", len(text))
			}
			if a := say(t, s.clientPort, head+text); a.status != 413 {
				t.Errorf("EIO %d, chunked %v: status %d %q, want 413", eio, chunked, a.status, a.body)
			}
			s.waitRoom(t, "large", 0)
			by.check(t)
		}
	}
}

// JSON as deep as a body has room for is taken or refused, in one piece.
func TestDeepJSONOfASender(t *testing.T) {
	s := start(t)
	by := standBy(t, s)
	for _, text := range []string{
		strings.Repeat("[", 40000) + strings.Repeat("]", 40000),
		strings.Repeat(`{"a":`, 15000) + "1" + strings.Repeat("}", 15000),
		strings.Repeat("[", 90000),
	} {
		if a := s.post(t, body("r", "e", text), token(text)); a.status != 200 && a.status != 400 {
			t.Errorf("%d bytes of brackets: status %d %q, want 200 or 400", len(text), a.status, a.body)
		}
		by.check(t)
	}
}
