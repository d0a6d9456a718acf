package passing

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"poosh/server/http1/http1test"
	"poosh/server/loop"
	"poosh/server/socketio"
)

// upgrade opens a WebSocket here for a session of anywhere.
func (s *site) upgrade(query string) (*websocket.Conn, *http.Response, error) {
	d := websocket.Dialer{HandshakeTimeout: patience}
	c, resp, err := d.Dial("ws://"+s.http.Addr+socketio.Path+"?transport=websocket&"+query, http.Header{"Origin": {"https://example.com"}})
	if err == nil {
		_ = c.SetReadDeadline(time.Now().Add(patience))
		s.Cleanup(func() { _ = c.Close() })
	}
	return c, resp, err
}

// moved is a client that has moved to a WebSocket here.
func (s *site) moved(query string) *websocket.Conn {
	s.Helper()
	c, _, err := s.upgrade(query)
	if err != nil {
		s.Fatal(err)
	}
	s.say(c, "2probe")
	s.hears(c, "3probe")
	s.say(c, "5")
	return c
}

func (s *site) say(c *websocket.Conn, text string) {
	s.Helper()
	if err := c.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		s.Fatal(err)
	}
}

func (s *site) hears(c *websocket.Conn, want string) {
	s.Helper()
	_ = c.SetReadDeadline(time.Now().Add(patience)) // of each by itself
	if _, got, err := c.ReadMessage(); err != nil || string(got) != want {
		s.Fatalf("heard %.100q, %v, want %.100q", got, err, want)
	}
}

// TestUpgrade: a client moves to a WebSocket by way of another node, and hears and says everything in
// order; who closes is noticed at the other end.
func TestUpgrade(t *testing.T) {
	a, b := pair(t)
	for round, end := range []string{"the client", "the client's connection", "the server"} {
		query, session := b.open()
		session.Deliver(event("before"))
		c := a.moved(query)
		a.hears(c, `42["e","before"]`)
		for i := range 100 {
			text := fmt.Sprint(i) + strings.Repeat("z", i*100)
			session.Deliver(event(text))
			a.hears(c, `42["e","`+text+`"]`)
			a.say(c, `42["`+text+`"]`)
			if e := take(t, b.events, "the event"); e != text {
				t.Fatalf("heard %.100q", e)
			}
		}
		if got := a.node.reading("cluster_passed_websockets", ""); got != 1 {
			t.Errorf("%v are carried", got)
		}
		switch end {
		case "the client":
			_ = c.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1000, ""), time.Now().Add(patience))
		case "the client's connection":
			_ = c.UnderlyingConn().(*net.TCPConn).SetLinger(0)
			_ = c.UnderlyingConn().Close()
		default:
			session.Leave()
			if _, _, err := c.ReadMessage(); err == nil {
				t.Error("it goes on")
			}
			_ = c.UnderlyingConn().Close()
		}
		take(t, b.closed, "the end")
		eventually(t, "nothing is carried", func() bool { return a.node.reading("cluster_passed_websockets", "") == 0 })
		if got := a.node.reading("cluster_passed_requests_total", "upgraded"); got != float64(round+1) {
			t.Errorf("%v were upgraded", got)
		}
	}
}

// TestUpgradeHandshake: the answer is that of the session's node, and so is a refusal, behind which
// nothing more is carried.
func TestUpgradeHandshake(t *testing.T) {
	a, b := pair(t)
	var query string
	var got [2]http.Header
	for i, s := range []*site{a, b} {
		query, _ = b.open()
		_, resp, err := s.upgrade(query)
		if err != nil || resp.StatusCode != 101 {
			t.Fatal(err)
		}
		resp.Header.Del("Sec-Websocket-Accept") // of a key that differs
		got[i] = resp.Header
	}
	if fmt.Sprint(got[0]) != fmt.Sprint(got[1]) {
		t.Errorf("%v, there %v", got[0], got[1])
	}
	gone := strings.Replace(query, "sid=nodeBB", "sid=nodeBBxx", 1)
	nc := dialTo(t, a.http.Addr)
	fmt.Fprintf(nc, "GET %s?transport=websocket&%s HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"+
		"GET %[1]s?transport=polling&EIO=4 HTTP/1.1\r\nHost: h\r\n\r\n", socketio.Path, gone)
	text := readAll(t, nc)
	if !strings.HasPrefix(text, "HTTP/1.1 400 ") || !strings.Contains(text, "Session ID unknown") || strings.Count(text, "HTTP/1.1") != 1 {
		t.Errorf("got %q", text)
	}
}

// TestUpgradeSlow: what a client does not read is held back at its session's node, and all of it
// comes in the end.
func TestUpgradeSlow(t *testing.T) {
	a, b := pair(t)
	query, session := b.open()
	c := a.moved(query)
	const n, size = 800, 50_000 // several times of what a pipe and the kernel hold
	sent := make(chan struct{})
	go func() { // ends when all is sent
		defer close(sent)
		for i := range n {
			for session.Waiting() > 500_000 {
				time.Sleep(time.Millisecond)
			}
			session.Deliver(event(fmt.Sprint(i, strings.Repeat("w", size))))
		}
	}()
	eventually(t, "it is held back", func() bool { return session.Waiting() > 500_000 })
	for i := range n {
		a.hears(c, `42["e","`+fmt.Sprint(i, strings.Repeat("w", size))+`"]`)
	}
	take(t, sent, "the end of it")
	a.say(c, `42["still there"]`)
	take(t, b.events, "the event")
}

// TestUpgradeFails: where the session's node is out of reach the client is told, and stays on polling;
// where that goes, the client's connection closes.
func TestUpgradeFails(t *testing.T) {
	a, b := pair(t)
	query, _ := b.open()
	c := a.moved(query)
	a.node.opt.Nodes.(*table).set("nodeBB", dead(t))
	if _, resp, err := a.upgrade(query); err == nil || resp == nil || resp.StatusCode != http.StatusBadGateway {
		t.Errorf("got %v, %v", resp, err)
	}
	a.node.opt.Nodes.(*table).set("nodeBB", "")
	if _, resp, err := a.upgrade(query); err == nil || resp == nil || resp.StatusCode != http.StatusBadRequest {
		t.Errorf("got %v, %v", resp, err)
	}
	if _, _, err := c.ReadMessage(); err == nil {
		t.Error("it goes on without the node")
	}
	take(t, b.closed, "the end")
}

// TestUpgradeOnGoroutines: where there is no epoll, or TLS, the client's connection is carried all the
// same.
func TestUpgradeOnGoroutines(t *testing.T) {
	nodes := newTable()
	a := serve(t, "nodeAA", nodes, func(o *Options) { o.Sockets = http1test.SocketsOn(t, loop.Config{Goroutines: true}) })
	b := serve(t, "nodeBB", nodes)
	query, session := b.open()
	waits := a.waiting(t.Context(), query)
	session.Deliver(event("while it waits"))
	if got := take(t, waits, "the answer"); !strings.Contains(got.body, "while it waits") {
		t.Errorf("got %d %q", got.status, got.body)
	}
	c := a.moved(query)
	for i := range 100 {
		text := fmt.Sprint(i) + strings.Repeat("z", i*1000)
		session.Deliver(event(text))
		a.hears(c, `42["e","`+text+`"]`)
	}
}
