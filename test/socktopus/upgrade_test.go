package socktopus_test

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"poosh/auth"
	"poosh/test/process"
)

// A kick that also has the headers of a WebSocket handshake waits like any other, and
// nobody else does meanwhile.
func TestKickThatLooksLikeAnUpgrade(t *testing.T) {
	t.Parallel()
	p := start(t)
	join := func(id string) *websocket.Conn {
		ws, _, err := websocket.DefaultDialer.Dial("ws://"+p.Addr()+"/recieve?token="+auth.NewSocktopus("MyApp", "s3cret-of-myapp", id, time.Now()), nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ws.Close() })
		_ = ws.SetReadDeadline(time.Now().Add(process.Patience))
		return ws
	}
	ping := func(ws *websocket.Conn) {
		t.Helper()
		began := time.Now()
		if err := ws.WriteMessage(websocket.TextMessage, []byte("PING")); err != nil {
			t.Fatal(err)
		}
		if _, text, err := ws.ReadMessage(); err != nil || string(text) != "PONG" {
			t.Fatalf("%s, %v", text, err)
		}
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("a PONG took %v", took)
		}
	}
	kicked, others := make([]*websocket.Conn, 16), make([]*websocket.Conn, 16)
	for i := range others {
		kicked[i], others[i] = join(fmt.Sprint("kicked", i)), join(fmt.Sprint(i))
		ping(kicked[i])
		ping(others[i])
	}
	for i := range kicked { // enough for every goroutine that reads
		c, err := net.Dial("tcp", p.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		body := fmt.Sprintf(`{"secretName":"myapp","secret":"s3cret-of-myapp","connections":["kicked%d"]}`, i)
		head := []string{"POST /kick HTTP/1.1", "Host: x", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
			"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", fmt.Sprint("Content-Length: ", len(body)), "", body}
		if _, err := c.Write([]byte(strings.Join(head, "\r\n"))); err != nil {
			t.Fatal(err)
		}
	}
	for end := time.Now().Add(time.Second); time.Now().Before(end); {
		for _, ws := range others {
			ping(ws)
		}
	}
}
