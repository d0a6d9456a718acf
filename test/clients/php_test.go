package clients_test

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// elephant.io 3, a PHP client for servers of 1.x and 2.x. It decodes what follows
// the first brace of the handshake's answer as JSON, to the end; its key for the
// WebSocket is of 20 bytes; it upgrades without a probe.
func TestElephantIO(t *testing.T) {
	t.Parallel()
	for _, eio := range []string{"2", "3"} {
		t.Run("EIO "+eio, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			// PHP's file_get_contents speaks HTTP/1.0.
			handshake := once(t, s, "GET /socket.io/?use_b64=0&EIO="+eio+"&transport=polling HTTP/1.0\r\nHost: "+s.Addr()+"\r\nConnection: close\r\n\r\n")
			_, text, _ := strings.Cut(handshake, "{")
			var open struct {
				SID      string
				Upgrades []string
			}
			if err := json.Unmarshal([]byte("{"+text), &open); err != nil {
				t.Errorf("the handshake was answered %q: %v", handshake, err)
				open.SID = between(handshake, `"sid":"`, `"`) // for the rest
			}
			key := base64.StdEncoding.EncodeToString([]byte("a key of twenty byte"))
			ws := dial(t, s.Addr(), "GET /socket.io/?transport=websocket&sid="+open.SID+"&EIO="+eio+"&use_b64=0 HTTP/1.1\r\n"+
				"Host: 127.0.0.1\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: "+key+"\r\n"+
				"Sec-WebSocket-Version: 13\r\nOrigin: *\r\n\r\n")
			if got, want := ws.header.Get("Sec-WebSocket-Accept"), acceptOf(key); got != want {
				t.Errorf("Sec-WebSocket-Accept %q, want %q", got, want)
			}
			ws.say("5")
			ws.hear("40")
			// The arguments of an emit are one list, written by json_encode.
			ws.say(`42["room",["\u043a\u043e\u043c\u043d\u0430\u0442\u0430"]]`)
			s.waitRoom(t, "комната", 1)
			ws.takes(s, "комната")
			ws.say("1")
			_ = ws.Close()
			s.waitEnd(t)
		})
	}
}

// once sends a request on a connection of its own, reads the answer, which must be
// 200, and closes.
func once(t *testing.T, s *server, request string) string {
	t.Helper()
	conn, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%.60q was answered %s %s %v", request, resp.Status, text, err)
	}
	return string(text)
}

// between is what stands in a text between two others; empty if they are not there.
func between(text, before, after string) string {
	_, rest, _ := strings.Cut(text, before)
	found, _, _ := strings.Cut(rest, after)
	return found
}

// acceptOf is RFC 6455, section 4.2.2, for any key.
func acceptOf(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}
