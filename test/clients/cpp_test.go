package clients_test

import (
	"testing"
)

// The handshake of socket.io-client-cpp 1.1 to 1.6.1. It says EIO=4 and speaks
// protocol 3: it waits for the server's 40, and it is the one that pings.
const cppHandshake = "GET /socket.io/?EIO=4&transport=websocket&t=1437000000 HTTP/1.1\r\n" +
	"Connection: Upgrade\r\nHost: ADDR\r\nSec-WebSocket-Key: Le0Ih7K+1uVwZ0TS6VCyuQ==\r\n" +
	"Sec-WebSocket-Version: 13\r\nUpgrade: websocket\r\nUser-Agent: WebSocket++/0.5.1\r\n\r\n"

// What such a client does first, beside waiting: some ping at once, and an
// application may emit when the connection is open and not when the namespace is.
func TestCPlusPlus(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, first, answer string
	}{
		{"waits", "", ""},
		{"pings at once", "2", "3"},
		{"emits at once", `42["room","early"]`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			ws := dial(t, s.Addr(), cppHandshake)
			ws.hear("0{")
			if c.first != "" {
				ws.say(c.first)
			}
			ws.hear("40")
			if c.answer != "" {
				ws.hear(c.answer)
			}
			if c.first == `42["room","early"]` {
				s.waitRoom(t, "early", 1)
			}
			ws.say(`42["room",` + quote(awkwardRoom) + `]`)
			s.waitRoom(t, awkwardRoom, 1)
			ws.takes(s, awkwardRoom)
			ws.pings()
			ws.takes(s, awkwardRoom)
			ws.say("41")
			ws.end("\x03\xe8End by user")
			s.waitEnd(t)
		})
	}
}

// Clients that give up and come back at once are a storm if what they do is refused
// each time: an opening that is silent for its first second is a session all the
// same, and not closed.
func TestCPlusPlusIsNotTurnedAway(t *testing.T) {
	t.Parallel()
	s := start(t)
	for range 5 {
		ws := dial(t, s.Addr(), cppHandshake)
		ws.hear("0{")
		ws.say("2")
		ws.hear("3")
	}
	if ends := s.ends(); len(ends) > 0 {
		t.Errorf("sessions ended for %q", ends)
	}
}
