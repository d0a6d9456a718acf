package client

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"poosh/server/http1"
	"poosh/server/http1/http1test"
	"poosh/server/hub"
	"poosh/server/pusher/answer"
	"poosh/server/pusher/app"
	"poosh/server/pusher/tally"
	sockets "poosh/server/websocket"
)

// TestWhoIsNotHeardIsNotSilent: the time in which nothing is read from a client is not one in
// which it gave no sign of life.
func TestWhoIsNotHeardIsNotSilent(t *testing.T) {
	w := answer.Writer{Count: func(tally.Thing, int) {}, Log: slog.New(slog.DiscardHandler)}
	apps, err := app.NewList([]app.Config{{ID: "3", Key: "key", Secret: "not-so-secret", ActivityTimeout: app.Duration(time.Second)}},
		&app.Shared{Hub: hub.New(), Count: w.Count, Log: w.Log})
	if err != nil {
		t.Fatal(err)
	}
	on := http1test.NewSockets(t)
	s := New(Config{PongTimeout: 300 * time.Millisecond}, apps, on, w)
	seated := make(chan *client, 1)
	site := http1test.Serve(t, on, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := s.newClient(apps.ID("3"))
		s.open.Enter()
		c.app().Admit()
		conn, err := on.Accept(w, r, sockets.Options{MaxMessage: 10_000, Outbox: 32 << 20}, c)
		if err != nil {
			t.Error(err)
			return
		}
		c.attach(conn, app.NewSocketID())
		conn.Start()
		seated <- c
	}), func(*http.Request) http1.Where { return http1.Here })
	ws, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(site.URL, "http"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	_ = ws.SetReadDeadline(time.Now().Add(20 * time.Second))
	c := <-seated
	if !c.conn.OnLoop() {
		t.Skip("connections with goroutines are always heard")
	}
	event := sockets.TextFrame(make([]byte, 100<<10))
	for c.conn.Waiting() < 4<<20 { // beyond what sockets hold
		if !c.conn.Push(event) {
			t.Fatal("refused")
		}
	}
	c.conn.Owe(1 << 20)
	if err := ws.WriteMessage(websocket.TextMessage, []byte(`{"event":"pusher:ping","data":{}}`)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2500 * time.Millisecond)
	for heard := ""; !strings.Contains(heard, "pusher:pong"); {
		_, data, err := ws.ReadMessage()
		if err != nil {
			t.Fatalf("ended by %v", err)
		}
		heard = string(data)
	}
	// It is silent from then on, but for what the library says.
	ws.SetPingHandler(func(string) error { return nil })
	for {
		if _, _, err := ws.ReadMessage(); err != nil {
			if !websocket.IsCloseError(err, 4201) {
				t.Errorf("ended by %v", err)
			}
			return
		}
	}
}
