package server

import (
	"context"
	"maps"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"poosh/auth"
	"poosh/server/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

const (
	patience = 30 * time.Second
)

// running is a server under test, its ports and how it ended.
type running struct {
	*Server
	client, sender string
	stop           context.CancelFunc
	ended          chan error
}

// configured is what these settings mean, beside those of Poosh on ports of the
// system's choice.
func configured(t testing.TB, more map[string]string) *Config {
	t.Helper()
	env := map[string]string{"HOST": "127.0.0.1", "SERVER_SECRET": testSecret, "CLIENT_PORT": "0", "SERVER_PORT": "0"}
	maps.Copy(env, more)
	cfg, err := withNames(env)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// run starts a server with settings beside those of Poosh, on ports of the system's
// choice, changed.
func run(t testing.TB, env map[string]string, change func(*Config)) *running {
	t.Helper()
	cfg := configured(t, env)
	if change != nil {
		change(cfg)
	}
	s, err := New(cfg, discard)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &running{Server: s, stop: stop, ended: make(chan error, 1)}
	go func() { r.ended <- s.Run(ctx) }() // ends with stop
	t.Cleanup(func() { stop() })
	for end := time.Now().Add(patience); len(s.Addrs()) < 2; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the ports did not open")
		}
	}
	r.client, r.sender = s.Addrs()["CLIENT_PORT"].String(), s.Addrs()["SERVER_PORT"].String()
	return r
}

// wait returns how Run ended.
func (r *running) wait(t *testing.T) error {
	t.Helper()
	select {
	case err := <-r.ended:
		return err
	case <-time.After(2 * patience):
		t.Fatal("the server did not end")
		return nil
	}
}

// listen connects a client that joins a room and has been heard.
func (r *running) listen(t *testing.T, room string) *websocket.Conn {
	t.Helper()
	ws, _, err := websocket.DefaultDialer.Dial("ws://"+r.client+"/socket.io/?EIO=3&transport=websocket", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ws.Close() })
	_ = ws.SetReadDeadline(time.Now().Add(patience))
	r.hear(t, ws, "0{")
	r.hear(t, ws, "40")
	if err := ws.WriteMessage(websocket.TextMessage, []byte(`42["room","`+room+`"]`)); err != nil {
		t.Fatal(err)
	}
	// The answer to a ping comes after the join was handled.
	if err := ws.WriteMessage(websocket.TextMessage, []byte("2")); err != nil {
		t.Fatal(err)
	}
	r.hear(t, ws, "3")
	return ws
}

func (r *running) hear(t *testing.T, ws *websocket.Conn, prefix string) {
	t.Helper()
	if _, got, err := ws.ReadMessage(); err != nil || !strings.HasPrefix(string(got), prefix) {
		t.Fatalf("heard %q, %v; want %s", got, err, prefix)
	}
}

func (r *running) send(t *testing.T, room, event, payload string) *http.Response {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, "http://"+r.sender+"/send",
		strings.NewReader(`{"room":"`+room+`","event":"`+event+`","payload":`+payload+`}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", auth.PooshSign(testSecret, []byte(payload)))
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	return res
}

func TestSendReachesARoom(t *testing.T) {
	r := run(t, nil, nil)
	in, out := r.listen(t, "r"), r.listen(t, "other")
	res := r.send(t, "r", "e", `{"n":12345678901234567890}`)
	if res.StatusCode != http.StatusOK || res.Header.Get("X-Poosh-Delivered") != "1" {
		t.Errorf("status %d, delivered %s", res.StatusCode, res.Header.Get("X-Poosh-Delivered"))
	}
	r.hear(t, in, `42["e",{"n":12345678901234567890}]`)
	r.send(t, "other", "e", `1`)
	r.hear(t, out, `42["e",1]`)
	r.stop()
	// Without a close frame, as when the Node server had gone.
	if _, _, err := in.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseAbnormalClosure) {
		t.Errorf("a client saw the end as %v", err)
	}
	if err := r.wait(t); err != nil {
		t.Errorf("Run ended with %v", err)
	}
}

func TestPortsOpenAllOrNone(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	s, err := New(configured(t, map[string]string{"SERVER_PORT": port}), discard)
	if err != nil {
		t.Fatal(err)
	}
	err = s.Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "SERVER_PORT") || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("Run ended with %v", err)
	}
	if len(s.Addrs()) != 0 {
		t.Errorf("it says it listens on %v", s.Addrs())
	}
}

func TestSendIsRefusedWhenTooMuchWaits(t *testing.T) {
	r := run(t, nil, func(c *Config) { c.Network.BacklogBytes = -1 })
	res := r.send(t, "r", "e", `1`)
	if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" {
		t.Errorf("status %d, Retry-After %q", res.StatusCode, res.Header.Get("Retry-After"))
	}
	r.stop()
	if err := r.wait(t); err != nil {
		t.Error(err)
	}
}
