//go:build unix

package server

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"poosh/auth"
	"poosh/server/cluster/redistest"
	"poosh/server/pushsocket/store/postgrestest"
)

// socktopus joins as an id.
func (r *running) socktopus(t *testing.T, token string) *websocket.Conn {
	t.Helper()
	ws, _, err := websocket.DefaultDialer.Dial("ws://"+r.Addrs()["SOCKTOPUS_PORT"].String()+"/recieve?token="+url.QueryEscape(token), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ws.Close() })
	_ = ws.SetReadDeadline(time.Now().Add(patience))
	return ws
}

// sayAndHear says something, unless it is empty, and waits for what comes.
func sayAndHear(t *testing.T, ws *websocket.Conn, say, want string) {
	t.Helper()
	if say != "" {
		if err := ws.WriteMessage(websocket.TextMessage, []byte(say)); err != nil {
			t.Fatal(err)
		}
	}
	for {
		_, text, err := ws.ReadMessage()
		if err != nil {
			t.Fatalf("no %q: %v", want, err)
		}
		if strings.Contains(string(text), want) {
			return
		}
	}
}

// Socktopus on two nodes: an id is one connection's, wherever messages and kicks come in.
func TestSocktopusOnTwoNodes(t *testing.T) {
	redis := redistest.Start(t)
	more := []string{"A_SOCKTOPUS_SECRET", "0123456789-secret", "SOCKTOPUS_PORT", "0", "CLUSTER_TIMEOUT", "1s"}
	a, b := node(t, redis.Addr, more...), node(t, redis.Addr, more...)
	token := func() string { return auth.NewSocktopus("a", "0123456789-secret", "id", time.Now()) }
	call := func(r *running, path, rest string) (int, string, string) {
		res, text := post(t, "http://"+r.Addrs()["SOCKTOPUS_PORT"].String()+path, `{"secretName":"a","secret":"0123456789-secret",`+rest+`}`, nil)
		return res.StatusCode, text, res.Header.Get("Retry-After")
	}
	send := func(r *running, content string) string {
		_, text, _ := call(r, "/send", `"messages":[{"recipient":"id","content":"`+content+`"}]`)
		succeeded, _, _ := strings.Cut(text, `"failed"`)
		return strconv.FormatBool(strings.Contains(succeeded, "recipient"))
	}
	first := a.socktopus(t, token())
	sayAndHear(t, first, "PING", "PONG")
	if got := send(b, "one"); got != "true" {
		t.Error("not succeeded")
	}
	sayAndHear(t, first, "", "DATA:one")
	old := token()
	second := b.socktopus(t, old)
	sayAndHear(t, second, "PING", "PONG")
	sayAndHear(t, first, "", "CLOSE")
	send(a, "two")
	sayAndHear(t, second, "", "DATA:two")
	time.Sleep(2 * time.Millisecond)
	if status, text, _ := call(a, "/kick", `"connections":["id"]`); status != 200 || text != "200" {
		t.Errorf("kick: %d %s", status, text)
	}
	sayAndHear(t, second, "", "CLOSE")
	sayAndHear(t, a.socktopus(t, old), "", "CLOSE")
	if got := send(b, "three"); got != "false" {
		t.Error("a message to who was kicked has succeeded")
	}
	time.Sleep(2 * time.Millisecond)
	third := a.socktopus(t, token())
	sayAndHear(t, third, "PING", "PONG")
	redis.Kill()
	redistest.Until(t, "senders are told", func() bool {
		status, text, after := call(b, "/send", `"messages":[{"recipient":"id","content":"x"}]`)
		return status == 503 && after != "" && strings.HasPrefix(text, `{"code":503,`)
	})
	sayAndHear(t, third, "PING", "PONG")
	redis.Run()
	redistest.Until(t, "the id is found again", func() bool { return send(b, "back") == "true" })
	sayAndHear(t, third, "", "DATA:back")
}

// Push Socket on two nodes: what one stores goes to the newest connection, which the other has.
func TestPushSocketOnTwoNodes(t *testing.T) {
	redis := redistest.Start(t)
	more := []string{"PUSH_SOCKET_PORT", "0", "PUSH_SOCKET_DB", postgrestest.Start(t, "fsync=off").Schema(t)}
	a, b := node(t, redis.Addr, more...), node(t, redis.Addr, more...)
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	at := func(r *running) *pushDevice {
		return &pushDevice{"http://" + r.Addrs()["PUSH_SOCKET_PORT"].String(), base64.StdEncoding.EncodeToString(public) + "|1", private}
	}
	if status, text := at(a).ask(t, "POST", "/api/v1/key/initial", `{"lastResortKey":{},"prekeys":[{}]}`, ""); status != 200 {
		t.Fatal(status, text)
	}
	connect := func(r *running) *websocket.Conn {
		ws, _, err := websocket.DefaultDialer.Dial("ws://"+r.Addrs()["PUSH_SOCKET_PORT"].String()+"/socket.io/?EIO=3&transport=websocket", nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = ws.Close() })
		_ = ws.SetReadDeadline(time.Now().Add(patience))
		digits := strconv.FormatInt(time.Now().UnixMilli(), 10)
		sayAndHear(t, ws, fmt.Sprintf(`42["authentication",{"username":%q,"password":%q}]`, at(r).username,
			digits+"|"+base64.StdEncoding.EncodeToString(ed25519.Sign(private, []byte(digits)))), `"authorized"`)
		return ws
	}
	mail := func(r *running, body string) {
		if status, text := at(r).ask(t, "POST", "/api/v1/message", fmt.Sprintf(`{"messages":[{"headers":[{"recipient":%q}],"body":%q}]}`, at(r).username, body), ""); status != 200 {
			t.Error(status, text)
		}
	}
	c := connect(a)
	began := time.Now()
	mail(b, "rings")
	sayAndHear(t, c, "", "rings")
	if took := time.Since(began); took > 20*time.Second { // a look is later than 30 s
		t.Errorf("it took %s", took)
	}
	d := connect(b)
	sayAndHear(t, d, "", "rings") // which is not confirmed
	mail(a, "to the newest")
	sayAndHear(t, d, "", "to the newest")
	_ = d.Close()
	sayAndHear(t, c, "", "to the newest")
}
