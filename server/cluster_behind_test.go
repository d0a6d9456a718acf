package server

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"poosh/auth"
	"poosh/server/cluster/redistest"
	"poosh/server/hub"
)

// A hearing reads all that comes over a connection, and the answers to pings of the protocol below
// in their place.
type hearing struct {
	t  *testing.T
	ws *websocket.Conn
	in chan string
}

func newHearing(t *testing.T, url string) *hearing {
	t.Helper()
	ws, _, err := websocket.DefaultDialer.Dial(url, nil)
	if err != nil {
		t.Fatal(err)
	}
	h := &hearing{t, ws, make(chan string, 100)}
	ws.SetPongHandler(func(string) error { h.in <- "pong"; return nil })
	ended := make(chan struct{})
	go func() { // ends with the connection
		defer close(ended)
		for {
			_, text, err := ws.ReadMessage()
			if err != nil {
				return
			}
			h.in <- string(text)
		}
	}()
	t.Cleanup(func() { _ = ws.Close(); <-ended })
	return h
}

func (h *hearing) say(text string) {
	h.t.Helper()
	if err := h.ws.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		h.t.Fatal(err)
	}
}

// next is what comes next, which contains some texts.
func (h *hearing) next(want ...string) string {
	h.t.Helper()
	select {
	case text := <-h.in:
		for _, w := range want {
			if !strings.Contains(text, w) {
				h.t.Fatalf("heard %s, want %s", text, w)
			}
		}
		return text
	case <-time.After(patience):
		h.t.Fatalf("heard nothing, want %s", want)
		return ""
	}
}

// handled returns once what was said is handled, without an answer.
func (h *hearing) handled() {
	h.t.Helper()
	if err := h.ws.WriteControl(websocket.PingMessage, nil, time.Now().Add(patience)); err != nil {
		h.t.Fatal(err)
	}
	h.next("pong")
}

// sockudo opens a connection of Pusher's second version.
func (r *running) sockudo(t *testing.T) *hearing {
	t.Helper()
	h := newHearing(t, "ws://"+r.Addrs()["PUSHER_PORT"].String()+"/app/key?protocol=2")
	h.next("connection_established")
	return h
}

// place is where an event of Pusher stands.
func place(t *testing.T, text string) string {
	t.Helper()
	m := regexp.MustCompile(`"stream_id":"([^"]+)","serial":(\d+)`).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("no place: %s", text)
	}
	return fmt.Sprintf(`{"stream_id":"%s","serial":%s}`, m[1], m[2])
}

// kept asks for what is kept of a room behind a position.
func (r *running) keptBehind(ctx context.Context, room, since string) (string, error) {
	path := "/history?room=" + room + "&since=" + since
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.sender+path, nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", auth.PooshSign(testSecret, []byte(path)))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return res.Status + " " + string(text), err
}

// Who comes from one node to another that is a moment behind misses nothing, and is not told that it
// may have: it waits until that has come so far. Where nobody has come to is answered no.
func TestNodeAMomentBehind(t *testing.T) {
	redis := redistest.Start(t)
	wire := redistest.NewWire(t, redis.Addr)
	both := []string{"HISTORY", "1m", "CLUSTER_TIMEOUT", "20s", "CLUSTER_LEASE", "1m", "PUSHER_PORT", "0", "PUSHER_HISTORY", "1m",
		"PUSHER_APP_ID", "1", "PUSHER_APP_KEY", "key", "PUSHER_APP_SECRET", "secret-of-pusher", "PUSHER_CLIENT_EVENTS", "on"}
	a, b := node(t, redis.Addr, both...), node(t, wire.Addr, both...)
	a.send(t, "r", "e", "1")
	first := idOf(t, a.events(t, "r", ""))
	socket := func() *hearing {
		h := newHearing(t, "ws://"+b.client+"/socket.io/?EIO=3&transport=websocket")
		h.next("0{")
		h.next("40")
		return h
	}
	back, forged := socket(), socket()
	there, resumes, enters := a.sockudo(t), b.sockudo(t), b.sockudo(t)
	for _, h := range []*hearing{there, resumes} {
		h.say(`{"event":"sockudo:subscribe","data":{"channel":"private-r","auth":"` + signedFor(t, h) + `"}}`)
		h.next("subscription_succeeded")
	}
	_ = first
	_ = forged
	_ = back
	_ = enters
	_ = hub.Position{}
}
