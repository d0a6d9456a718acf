package clients_test

import (
	"strings"
	"testing"
)

// A library for ESP8266 and Arduino: a handshake over polling that names no protocol
// and asks for text, a TCP connection for each request, then a WebSocket whose key is
// the id of the session, 20 characters that are no base64 of 16 bytes, and an upgrade
// packet with a digit too many, with or without a probe before it.
func TestESP8266(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, polling, websocket string
		probes                   bool
	}{
		{"as published", "/socket.io/1/?transport=polling&b64=true", "/socket.io/1/websocket/?transport=websocket&b64=true&sid=", false},
		{"a fork that probes", "/socket.io/?transport=polling&b64=true", "/socket.io/?transport=websocket&b64=true&sid=", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			handshake := strings.TrimPrefix(once(t, s, "GET "+c.polling+" HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: Arduino\r\n\r\n"), "97:")
			sid := between(handshake, `sid":"`, `"`)
			if sid == "" {
				t.Fatalf("the handshake was answered %.300q", handshake)
			}
			ws := dial(t, s.Addr(), "GET "+c.websocket+sid+" HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: ArduinoSocketIOClient\r\n"+
				"Sec-WebSocket-Key: "+sid+"\r\nSec-WebSocket-Version: 13\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
			if got, want := ws.header.Get("Sec-WebSocket-Accept"), acceptOf(sid); got != want {
				t.Errorf("Sec-WebSocket-Accept %q, want %q", got, want)
			}
			if c.probes {
				ws.say("2probe")
				ws.hear("3probe")
			}
			ws.say("52")
			ws.hear("40")
			ws.say(`42["room","` + plainRoom + `"]`)
			s.waitRoom(t, plainRoom, 1)
			ws.takes(s, plainRoom)
			ws.pings()
			_ = ws.Close() // it has no other way to end
			s.waitEnd(t)
		})
	}
}
