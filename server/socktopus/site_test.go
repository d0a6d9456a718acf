package socktopus

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"poosh/auth"
	"poosh/server/http1/http1test"
	"poosh/server/hub"
	ws "poosh/server/websocket"
)

const patience = 20 * time.Second

// A site is a dialect on the HTTP stack that ships.
type site struct {
	t       testing.TB
	dialect *Dialect
	loop    *ws.Server
	url     string
}

// newSite serves a dialect of cfg, which is given to before first.
func newSite(t testing.TB, cfg Config, before ...func(*Dialect)) *site {
	t.Helper()
	return newSiteOn(t, hub.New(), cfg, before...)
}

// newSiteOn is newSite for a process with a hub of its own.
func newSiteOn(t testing.TB, h *hub.Hub, cfg Config, before ...func(*Dialect)) *site {
	t.Helper()
	if cfg.Secrets == nil {
		cfg.Secrets = map[string]string{"MyApp": "s3cret", "other": "0ther", "EMPTY": ""}
	}
	sockets := http1test.NewSockets(t)
	d, err := New(cfg, h, sockets, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for _, prepare := range before {
		prepare(d)
	}
	server := http1test.Serve(t, sockets, d, Where)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := d.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		server.Close()
		for _, a := range d.rules.Load().apps {
			// Who has just gone leaves the hub a moment later.
			for end := time.Now().Add(patience); d.hub.Len(a.room) != 0 && time.Now().Before(end); time.Sleep(time.Millisecond) {
			}
			if len(a.clients) != 0 || d.hub.Len(a.room) != 0 {
				t.Errorf("%s: %d clients left, %d in the hub", a.name, len(a.clients), d.hub.Len(a.room))
			}
		}
	})
	return &site{t, d, sockets, server.URL}
}

// token makes a token for myapp that was made some time ago.
func token(id string, age time.Duration) string {
	return auth.NewSocktopus("MyApp", "s3cret", id, time.Now().Add(-age))
}

// tryJoin connects with a token; the response is that of the handshake.
func (s *site) tryJoin(token string) (*websocket.Conn, *http.Response, error) {
	dialer := websocket.Dialer{HandshakeTimeout: patience}
	return dialer.Dial("ws"+strings.TrimPrefix(s.url, "http")+"/recieve?token="+url.QueryEscape(token), nil)
}

func (s *site) join(id string) *websocket.Conn { return s.joinAged(id, 0) }

func (s *site) joinAged(id string, age time.Duration) *websocket.Conn {
	s.t.Helper()
	ws, _, err := s.tryJoin(token(id, age))
	if err != nil {
		s.t.Fatalf("%q: %v", id, err)
	}
	s.t.Cleanup(func() { _ = ws.Close() })
	_ = ws.SetReadDeadline(time.Now().Add(patience))
	s.synced(ws)
	return ws
}

// synced waits until the server has seated the client.
func (s *site) synced(ws *websocket.Conn) {
	s.t.Helper()
	write(s.t, ws, "PING")
	want(s.t, ws, "PONG")
}

func write(t testing.TB, ws *websocket.Conn, text string) {
	t.Helper()
	if err := ws.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

// want reads the next frames, which must be these texts.
func want(t testing.TB, ws *websocket.Conn, texts ...string) {
	t.Helper()
	for _, text := range texts {
		kind, got, err := ws.ReadMessage()
		if err != nil || kind != websocket.TextMessage || string(got) != text {
			t.Fatalf("got %q (%v), want %q", got, err, text)
		}
	}
}

// wantClosed reads CLOSE unless told is false, and then a close frame.
func wantClosed(t testing.TB, ws *websocket.Conn, told bool, code int) {
	t.Helper()
	if told {
		want(t, ws, "CLOSE")
	}
	if kind, got, err := ws.ReadMessage(); !websocket.IsCloseError(err, code) {
		t.Fatalf("got %d %q, %v, want close code %d", kind, got, err, code)
	}
}

// request returns the status, the body and the headers of an answer.
func (s *site) request(method, path, body string) (int, string, http.Header) {
	s.t.Helper()
	req, err := http.NewRequest(method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return res.StatusCode, string(answer), res.Header
}

// quote writes a Go string as JSON.
func quote(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// send posts messages and returns how many succeeded and failed.
func (s *site) send(messages ...message) (succeeded, failed int) {
	s.t.Helper()
	status, body, _ := s.request("POST", "/send", fmt.Sprintf(`{"secretName":"myapp","secret":"s3cret","messages":%s}`, quote(messages)))
	var answer sendAnswer
	if err := json.Unmarshal([]byte(body), &answer); err != nil || status != 200 {
		s.t.Fatalf("%d %s", status, body)
	}
	return len(answer.Succeeded), len(answer.Failed)
}

// kick posts ids and returns how long the answer took.
func (s *site) kick(ids ...string) time.Duration {
	s.t.Helper()
	start := time.Now()
	status, body, _ := s.request("POST", "/kick", fmt.Sprintf(`{"secretName":"MYAPP","secret":"s3cret","connections":%s}`, quote(ids)))
	if status != 200 || body != "200" {
		s.t.Errorf("kick: %d %q", status, body)
	}
	return time.Since(start)
}

// waitFor waits until something is so.
func waitFor(t testing.TB, so func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not come to be")
		}
	}
}
