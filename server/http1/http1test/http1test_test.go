package http1test_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"poosh/server/http1"
	"poosh/server/http1/http1test"
	"poosh/server/leaktest"
	ws "poosh/server/websocket"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// An echo says back what it is sent.
type echo struct{}

func (echo) Message(c *ws.Conn, _ bool, data []byte) { c.Push(ws.TextFrame(data)) }
func (echo) Closed(*ws.Conn, error)                  {}

// TestServe finds each request where it is to be: on the loop, where it costs no
// goroutine, or with net/http; and a WebSocket on the loop.
func TestServe(t *testing.T) {
	sockets := http1test.NewSockets(t)
	where := make(chan http1.Where, 1)
	s := http1test.Serve(t, sockets, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ws.IsUpgrade(r) {
			conn, err := sockets.Accept(w, r, ws.Options{MaxMessage: 1000}, echo{})
			if err != nil {
				t.Error(err)
				return
			}
			conn.Start()
			return
		}
		_, _ = io.WriteString(w, r.URL.Path)
	}), func(*http.Request) http1.Where { return <-where })
	for _, tt := range []struct {
		at    http1.Where
		conns int64
	}{{http1.Here, 1}, {http1.Elsewhere, 0}} {
		where <- tt.at
		resp, err := s.Client().Get(s.URL + "/path")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || string(body) != "/path" {
			t.Errorf("%q, %v", body, err)
		}
		if st := sockets.Stats(); st.Conns != tt.conns || st.Goroutines != 0 {
			t.Errorf("where %d: %d connections are the loop's, %d cost goroutines", tt.at, st.Conns, st.Goroutines)
		}
	}
	where <- http1.Here
	client, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(s.URL, "http")+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	_ = client.SetReadDeadline(time.Now().Add(10 * time.Second))
	if err := client.WriteMessage(websocket.TextMessage, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, data, err := client.ReadMessage(); err != nil || string(data) != "hello" {
		t.Errorf("%q, %v", data, err)
	}
	if st := sockets.Stats(); st.Conns != 1 || st.Goroutines != 0 {
		t.Errorf("%d WebSockets are the loop's, %d cost goroutines", st.Conns, st.Goroutines)
	}
}

// TestClose has a server end, once and again.
func TestClose(t *testing.T) {
	sockets := http1test.NewSockets(t)
	s := http1test.Serve(t, sockets, http.NotFoundHandler(), func(*http.Request) http1.Where { return http1.Here })
	s.Close()
	s.Close()
	if _, err := s.Client().Get(s.URL); err == nil {
		t.Error("a server that is closed answers")
	}
}
