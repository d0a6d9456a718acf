package socktopus_test

import (
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"poosh/auth"
	"poosh/test/process"
)

// Behind a proxy, connections count for the network that the proxy saw.
func TestBoundBehindAProxy(t *testing.T) {
	t.Parallel()
	p := start(t, "MAX_CONNECTIONS_PER_ADDRESS=2")
	join := func(id, from string) (*websocket.Conn, int, string) {
		t.Helper()
		token := auth.NewSocktopus("MyApp", "s3cret-of-myapp", id, time.Now())
		ws, res, err := websocket.DefaultDialer.Dial("ws://"+p.Addr()+"/recieve?token="+token, http.Header{"X-Forwarded-For": {from}})
		if res == nil {
			t.Fatal(err)
		}
		if err != nil {
			body, _ := io.ReadAll(res.Body)
			return nil, res.StatusCode, string(body)
		}
		t.Cleanup(func() { ws.Close() })
		return ws, res.StatusCode, ""
	}
	first, status, _ := join("1", "2001:db8:1:2::1")
	if status != 101 {
		t.Fatal(status)
	}
	for i, test := range []struct {
		from   string
		status int
	}{
		{"2001:db8:1:2::2", 101},
		{"2001:db8:1:2:ffff::3", 429}, // the same /64
		{"2001:db8:1:2::1%eth0", 429},
		{"2001:db8:1:3::1", 101},
		{"192.0.2.1", 101},
		{"192.0.2.1", 101},
		{"::ffff:192.0.2.1", 429},
		{"192.0.2.2", 101},
	} {
		_, status, body := join(string(rune('a'+i)), test.from)
		if status != test.status || status == 429 && body != `{"code":429,"message":"Too many connections"}` {
			t.Errorf("%s: %d %s, want %d", test.from, status, body, test.status)
		}
	}
	_ = first.Close()
	for end := time.Now().Add(process.Patience); ; time.Sleep(20 * time.Millisecond) {
		if _, status, _ := join("again", "2001:db8:1:2::9"); status == 101 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("a place was not given back")
		}
	}
}
