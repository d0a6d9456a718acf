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

// A reluctant is a client that reads nothing for now, with much waiting for it.
func reluctant(t *testing.T, conf app.Config) (*client, *websocket.Conn) {
	t.Helper()
	w := answer.Writer{Count: func(tally.Thing, int) {}, Log: slog.New(slog.DiscardHandler)}
	conf.ID, conf.Key, conf.Secret = "3", "key", "not-so-secret"
	apps, err := app.NewList([]app.Config{conf}, &app.Shared{Hub: hub.New(), CacheBytes: 1 << 20, Count: w.Count, Log: w.Log})
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
	t.Cleanup(func() { _ = ws.Close() })
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
	return c, ws
}

func say(t *testing.T, ws *websocket.Conn, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if err := ws.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSubscriptionsOweWhatIsToldOfThem: a client that asks for a channel with a large event,
// and does not read it, waits for itself as with any answer.
func TestSubscriptionsOweWhatIsToldOfThem(t *testing.T) {
	c, ws := reluctant(t, app.Config{MaxEventBytes: 100 << 10})
	c.app().Publish("cache-a", "large", []byte(`"`+strings.Repeat("x", 60<<10)+`"`), "")
	c.app().Publish("cache-b", "large", []byte(`"`+strings.Repeat("x", 60<<10)+`"`), "")
	say(t, ws, `{"event":"pusher:subscribe","data":{"channel":"cache-a"}}`, `{"event":"pusher:subscribe","data":{"channel":"cache-b"}}`)
	// What is said once that is owed is heard no more.
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		say(t, ws, `{"event":"pusher:ping","data":{}}`)
		if c.conn.Unheard() {
			break
		}
		if time.Now().After(end) {
			t.Fatal("heard though 120 KB are owed")
		}
	}
}

// TestWhoIsNotHeardIsNotSilent: the time in which nothing is read from a client is not one in
// which it gave no sign of life.
func TestWhoIsNotHeardIsNotSilent(t *testing.T) {
	c, ws := reluctant(t, app.Config{ActivityTimeout: app.Duration(time.Second)})
	c.conn.Owe(1 << 20)
	say(t, ws, `{"event":"pusher:ping","data":{}}`)
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
