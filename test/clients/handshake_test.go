package clients_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// Before protocol 4 the payload that answers the handshake holds the open packet and
// nothing else, as the original's did: clients written for it read one packet there.
// The namespace is connected in the answer to the next request.
func TestOpenPacketComesAlone(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, query := range []string{"EIO=2", "EIO=3", ""} {
		c := openPoller(t, s, "transport=polling&b64=1&"+query)
		packets := c.split(t, c.first)
		if len(packets) != 1 {
			t.Errorf("%q: the handshake was answered %q, want one packet", query, c.first)
		}
		if got := c.hear(t, "4"); got != "40" {
			t.Errorf("%q: after the open packet came %q, want 40", query, got)
		}
	}
}

// A Python client for servers of 2.x that asks for text payloads: it takes the
// lengths for characters, writes UTF-8 once, pings by POST, and ends by packets.
func TestTextPayloads(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := openPoller(t, s, "EIO=3&transport=polling&b64=1&t=1437000000.5", "User-Agent: python-requests/2.18.4\r\n", "Accept-Encoding: gzip, deflate\r\n")
	if !strings.Contains(c.first, `{"`) || strings.ContainsFunc(c.first, func(r rune) bool { return r == 0 || r == utf8.RuneError }) {
		t.Fatalf("the handshake was answered %q, want text", c.first)
	}
	c.hear(t, "40")
	for _, room := range []string{plainRoom, awkwardRoom, "комната"} {
		packet := `42["room",` + quote(room) + `]`
		body := fmt.Sprintf("%d:%s", utf16Len(packet), packet)
		if got := c.exchange(t, "POST", body); got != "ok" {
			t.Fatalf("POST %s was answered %q", body, got)
		}
		s.waitRoom(t, room, 1)
		for _, p := range payloads {
			s.send(t, room, "news", p.json)
			if got := c.hear(t, `42["news"`); !same(got[2:], `["news",`+p.json+`]`) {
				t.Errorf("%s payload arrived as %.200s", p.name, got)
			}
		}
	}
	for range 7 { // longer than the silence that ends a session
		time.Sleep(pingInterval)
		c.post(t, "2")
		if got := c.hear(t, "3"); got != "3" {
			t.Errorf("a ping was answered %q", got)
		}
	}
	if ends := s.ends(); len(ends) > 0 {
		t.Fatalf("sessions ended for %q", ends)
	}
	c.post(t, "41")
	c.post(t, "1")
	s.waitEnd(t)
}

// utf16Len is the length of a text as JavaScript counts it, and a client that reads
// payloads of characters. A Python client counts a character above U+FFFF once; it
// is not heard of here.
func utf16Len(s string) int {
	n := 0
	for _, r := range s {
		n++
		if r > 0xffff {
			n++
		}
	}
	return n
}

// An upgrade that hangs behind a proxy: after the probe no upgrade packet comes, and
// the client polls on. The original answers such a poll ten times a second, not as
// often as it is asked; and what is sent still arrives at once.
func TestPollsBesideAHangingUpgrade(t *testing.T) {
	t.Parallel()
	for _, eio := range []int{3, 4} {
		t.Run(fmt.Sprint("EIO ", eio), func(t *testing.T) {
			t.Parallel()
			s := start(t, "PING_INTERVAL=1m")
			c := openPoller(t, s, fmt.Sprintf("EIO=%d&transport=polling&b64=1", eio))
			if eio == 4 {
				c.post(t, "40")
			}
			c.hear(t, "40")
			c.post(t, `42["room","`+plainRoom+`"]`)
			s.waitRoom(t, plainRoom, 1)
			ws := dial(t, s.Addr(), strings.NewReplacer("EIO=4", fmt.Sprint("EIO=", eio), "&t=1437000000", "&sid="+between(c.query, "&sid=", "&")).Replace(cppHandshake))
			ws.say("2probe")
			ws.hear("3probe")
			began, asked := time.Now(), 0
			for ; time.Since(began) < time.Second; asked++ {
				conn, in := c.ask(t, "GET", "")
				c.answer(t, conn, in)
			}
			if asked > 20 {
				t.Errorf("%d polls were answered in a second, want about 10", asked)
			}
			s.send(t, plainRoom, "news", `"meanwhile"`)
			if got := c.hear(t, `42["news"`); got != `42["news","meanwhile"]` {
				t.Errorf("heard %s", got)
			}
		})
	}
}

// Of the subprotocols that a client offers the first is taken, as the original
// does: a client that is told of none gives up.
func TestSubprotocol(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, offered := range []string{"first", "first, second", "first,second"} {
		head := strings.Replace(cppHandshake, "Upgrade: websocket", "Upgrade: websocket\r\nSec-WebSocket-Protocol: "+offered, 1)
		ws := dial(t, s.Addr(), head)
		if got := ws.header.Get("Sec-WebSocket-Protocol"); got != "first" {
			t.Errorf("offered %q: answered %q, want first", offered, got)
		}
	}
}
