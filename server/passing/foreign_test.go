package passing

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"poosh/server/http1/http1test"
	"poosh/server/socketio"
)

// Tests of what comes to a node by way of net/http, which takes more than package http1 does.

// raw sends the head of a request and returns the status of its answer.
func (s *site) raw(head string) int {
	s.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(s.sent(head)), nil)
	if err != nil {
		s.Fatalf("%.60q: %v", head, err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

func (s *site) sent(text string) net.Conn {
	s.Helper()
	nc := dialTo(s, s.http.Addr)
	if _, err := io.WriteString(nc, text); err != nil {
		s.Fatal(err)
	}
	return nc
}

const upgradeLines = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"

func manyLines(n int) string { return strings.Repeat("X: y\r\n", n) }

// TestForeign: whatever one client says, what others wait for is not touched, and what has a form
// between nodes is answered as it is there.
func TestForeign(t *testing.T) {
	a, b := pair(t)
	victim, session := b.open()
	waits := a.waiting(t.Context(), victim)
	path := socketio.Path + "?transport=polling&EIO=4&sid="
	const nobody = "nodeBBzzzzzzzzzzzzzzzzzzzz"
	tests := map[string]struct {
		head string
		want int
	}{
		"nothing strange":    {"GET " + path + nobody + " HTTP/1.1\r\nHost: h\r\n", 400},
		"an absolute target": {"GET http://h" + path + nobody + " HTTP/1.1\r\nHost: h\r\n", 400},
		"many lines":         {"GET " + path + nobody + " HTTP/1.1\r\nHost: h\r\n" + manyLines(maxHeaders+1), 431},
		"almost as many":     {"GET " + path + nobody + " HTTP/1.1\r\nHost: h\r\n" + manyLines(maxHeaders-1), 400},
		"HTTP/1.0":           {"GET " + path + nobody + " HTTP/1.0\r\n", 400},
		"no host":            {"GET " + path + nobody + " HTTP/1.0\r\nHost: \r\n", 400},
		"Expect":             {"GET " + path + nobody + " HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n", 400},
		"a strange host":     {"GET " + path + nobody + " HTTP/1.1\r\nHost: h_h\r\n", 400},
		"a path with escape": {"GET " + strings.Replace(path, "socket", "%73ocket", 1) + nobody + " HTTP/1.1\r\nHost: h\r\n", 400},
		"chunks":             {"POST " + path + nobody + " HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n", 400},
	}
	for name, tt := range tests {
		if got := a.raw(tt.head + "\r\n"); got != tt.want {
			t.Errorf("%s: got %d, want %d", name, got, tt.want)
		}
	}
	select {
	case got := <-waits:
		t.Fatalf("who waits got %d %q", got.status, got.body)
	default:
	}
	session.Deliver(event("news"))
	if got := take(t, waits, "the answer"); !strings.Contains(got.body, "news") {
		t.Errorf("who waits got %d %q", got.status, got.body)
	}
	if got := b.node.count.refused.Get(refusedFrame); got != 0 {
		t.Errorf("%d frames were refused", got)
	}
	if got := a.node.count.passed.Get(passedUnfit); got != 1 {
		t.Errorf("%d were unfit", got)
	}
}

// TestForeignServed: a session goes on by an absolute target, and in HTTP/1.0.
func TestForeignServed(t *testing.T) {
	a, b := pair(t)
	for _, form := range []string{"GET http://h%s HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", "GET %s HTTP/1.0\r\n\r\n"} {
		query, session := b.open()
		session.Deliver(event("news"))
		nc := a.sent(fmt.Sprintf(form, socketio.Path+"?transport=polling&"+query))
		if got := readAll(t, nc); !strings.Contains(got, " 200 OK\r\n") || !strings.Contains(got, "news") {
			t.Errorf("%q: got %q", form, got)
		}
	}
}

// TestForeignFrame: a request that is signed and is none is answered 400, and the link goes on.
func TestForeignFrame(t *testing.T) {
	_, b := pair(t)
	query, _ := b.open()
	h := helloTo("nodeBB")
	nc := dialTo(t, b.inner)
	_, _ = nc.Write(h.write(nil, testSecret))
	r := bufio.NewReader(nc)
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	asks, answers := keys(testSecret, h.from, h.to, h.nonce, resp.Header.Get("Poosh-Nonce"))
	l := &link{seal: newSeal(asks)}
	in := &unsealer{seal: newSeal(answers)}
	got := make(map[uint64]int)
	good, _ := http.NewRequest(http.MethodPost, "http://h"+socketio.Path+"?transport=polling&"+query, nil)
	good.RequestURI, good.RemoteAddr = good.URL.RequestURI(), "192.0.2.1:1"
	frames := [][]byte{append(newFrame(frameRequest, 1, 0), "nonsense"...), newFrame(frameRequest, 2, 0), requestFrame(testPort, good, []byte(`42["x"]`))}
	number(frames[2], 3)
	for _, f := range frames {
		_, _ = nc.Write(l.seal.pieces(f))
	}
	for p := make([]byte, 4<<10); len(got) < len(frames); {
		n, err := r.Read(p)
		if err != nil {
			t.Fatalf("%v, after %v", err, got)
		}
		in.feed(p[:n], func(_ byte, id uint64, rest []byte) bool {
			var space [usual]string
			got[id], _, _ = readAnswer(rest, make(http.Header), &space)
			return true
		})
	}
	if fmt.Sprint(got) != "map[1:400 2:400 3:200]" {
		t.Errorf("got %v", got)
	}
}

// TestForeignUpgrade: an upgrade that the session's node gives to net/http, or that is refused, leaves
// nothing behind, and is the client's.
func TestForeignUpgrade(t *testing.T) {
	nodes := newTable()
	a, b := serve(t, "nodeAA", nodes), serve(t, "nodeBB", nodes)
	seen := make(chan string, 10)
	taker := http1test.Serve(t, b.node.opt.Sockets, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- r.RemoteAddr
		b.server.ServeHTTP(w, r)
	}), socketio.Where)
	b.node.ports[testPort] = Port{Handler: b.server, Taker: taker}
	query, _ := b.open()
	idle := func(s *site) int { return int(s.node.opt.Sockets.Loop.Stats().Conns) }
	before := idle(b)
	target := socketio.Path + "?transport=websocket&" + query
	tests := map[string]struct {
		head string
		want int
	}{
		"nothing strange":    {"GET " + target + " HTTP/1.1\r\nHost: h\r\n", 101},
		"an absolute target": {"GET http://h" + target + " HTTP/1.1\r\nHost: h\r\n", 101},
		"Expect":             {"GET " + target + " HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n", 101},
		"a strange host":     {"GET " + target + " HTTP/1.1\r\nHost: h_h\r\n", 101},
		"as many as may be":  {"GET " + target + " HTTP/1.1\r\nHost: h\r\n" + manyLines(maxHeaders-4), 101}, // net/http's there: Host is one too
		"many lines":         {"GET " + target + " HTTP/1.1\r\nHost: h\r\n" + manyLines(maxHeaders+1), 431},
	}
	for name, tt := range tests {
		nc := a.sent(tt.head + upgradeLines + "\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(nc), nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		_ = resp.Body.Close()
		if resp.StatusCode != tt.want {
			t.Errorf("%s: got %d, want %d", name, resp.StatusCode, tt.want)
		}
		if tt.want == http.StatusSwitchingProtocols {
			if got := take(t, seen, "the request"); got != nc.LocalAddr().String() {
				t.Errorf("%s: came from %s, of %s", name, got, nc.LocalAddr())
			}
		}
		_ = nc.Close()
		eventually(t, name+": nothing is left", func() bool { return idle(b) <= before && a.node.reading("cluster_passed_websockets", "") == 0 })
	}
}

// TestTLS: polls, POSTs and a WebSocket by way of a node to which the client speaks TLS.
func TestTLS(t *testing.T) {
	a, b := pair(t)
	secure := httptest.NewTLSServer(a.server)
	defer secure.Close()
	query, session := b.open()
	url := secure.URL + socketio.Path + "?transport=polling&" + query
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	do := func(method, body string) string {
		t.Helper()
		r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := secure.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != 200 || resp.ContentLength != int64(len(text)) {
			t.Errorf("%s: %d, %d of %d bytes", method, resp.StatusCode, len(text), resp.ContentLength)
		}
		return string(text)
	}
	do("POST", `42["hello"]`)
	if e := take(t, b.events, "the event"); e != "hello" {
		t.Errorf("heard %q", e)
	}
	session.Deliver(event(strings.Repeat("x", 10_000)))
	if got := do("GET", ""); strings.Count(got, "x") != 10_000 {
		t.Errorf("got %d bytes", len(got))
	}
	d := websocket.Dialer{TLSClientConfig: secure.Client().Transport.(*http.Transport).TLSClientConfig, HandshakeTimeout: patience}
	c, _, err := d.Dial(strings.Replace(strings.Replace(url, "https://", "wss://", 1), "transport=polling", "transport=websocket", 1), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetReadDeadline(time.Now().Add(patience))
	a.say(c, "2probe")
	a.hears(c, "3probe")
	a.say(c, "5")
	session.Deliver(event("on it"))
	a.hears(c, `42["e","on it"]`)
}
