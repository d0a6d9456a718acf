package websocket

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"poosh/server/loop"
)

// watchful counts signs of life.
type watchful struct {
	peerHandler
	alive chan struct{}
}

func (h *watchful) Alive(*Conn) { h.alive <- struct{}{} }

func TestWatcherHearsPingsAndPongs(t *testing.T) {
	l, err := loop.New(loop.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	sockets := NewServer(l, Config{})
	h := &watchful{peerHandler{closed: make(chan error, 1)}, make(chan struct{}, 10)}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, err := sockets.Accept(w, r, Options{MaxMessage: 1000}, h); err == nil {
			c.Push(PingFrame())
			c.Start()
		}
	}))
	defer srv.Close()
	ws, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(srv.URL, "http"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	pongs := make(chan string, 1)
	ws.SetPongHandler(func(text string) error { pongs <- text; return nil })
	go ws.ReadMessage() // answers the ping; ends with ws
	receive(t, h.alive, "the pong")
	if err := ws.WriteControl(websocket.PingMessage, []byte("x"), time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	receive(t, h.alive, "the ping")
	if got := receive(t, pongs, "the answer to the ping"); got != "x" {
		t.Errorf("pong says %q", got)
	}
}
