package client

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"poosh/server/closed"
	"poosh/server/http1"
	"poosh/server/http1/http1test"
	"poosh/server/hub"
	"poosh/server/loop"
	"poosh/server/pusher/answer"
	"poosh/server/pusher/app"
	"poosh/server/pusher/tally"
	sockets "poosh/server/websocket"
)

// TestEndedBeforeItBegan has a connection end between its handshake and its place in
// the app, while the server goes away: it gets no place, and is told of the end as the
// others are.
func TestEndedBeforeItBegan(t *testing.T) {
	w := answer.Writer{Count: func(tally.Thing, int) {}, Log: slog.New(slog.DiscardHandler)}
	apps, err := app.NewList([]app.Config{{ID: "3", Key: "key", Secret: "not-so-secret"}},
		&app.Shared{Hub: hub.New(), Count: w.Count, Log: w.Log})
	if err != nil {
		t.Fatal(err)
	}
	a, on := apps.ID("3"), http1test.NewSockets(t)
	s := New(Config{}, apps, on, w)
	site := http1test.Serve(t, on, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := s.newClient(a)
		for range 2 { // what is given back by the test, and by the loop
			s.open.Enter()
			a.Admit()
		}
		conn, err := on.Accept(w, r, sockets.Options{MaxMessage: 10_000}, c)
		if err != nil {
			t.Error(err)
			return
		}
		c.Closed(conn, loop.ErrReset)
		c.attach(conn, app.NewSocketID())
		if n := a.Len(); n != 0 {
			t.Errorf("%d connections are in the app", n)
		}
		if c.Expel(closed.Shutdown, 4200, goingAway) {
			t.Error("who has ended is said to be ended again")
		}
		conn.Start()
	}), func(*http.Request) http1.Where { return http1.Here })
	ws, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(site.URL, "http"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	_ = ws.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, data, err := ws.ReadMessage(); err != nil || !strings.Contains(string(data), "4200") {
		t.Errorf("told %s, %v", data, err)
	}
	_ = ws.Close()
	for end := time.Now().Add(10 * time.Second); s.Len() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d connections are left", s.Len())
		}
	}
	if err := apps.Check(); err != nil {
		t.Error(err)
	}
}
