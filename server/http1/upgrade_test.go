package http1

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"poosh/server/loop"
	"poosh/server/websocket"
)

// shout is a WebSocket handler that answers in capitals and says where it lives.
type shout struct{ closed chan error }

func (s *shout) Message(c *websocket.Conn, _ bool, data []byte) {
	c.Text(fmt.Appendf(nil, "%s %v", bytes.ToUpper(data), c.OnLoop()))
}
func (s *shout) Closed(_ *websocket.Conn, reason error) { s.closed <- reason }

// maskedText is a client's text frame with a mask of zeros.
func maskedText(text string) string {
	return string([]byte{0x81, 0x80 | byte(len(text)), 0, 0, 0, 0}) + text
}

// upgradeHead is a handshake with more headers.
func upgradeHead(more string) string {
	return "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" + more +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
}

// TestUpgradeStaysOnTheLoop: whatever a handshake looks like and however it arrives,
// its WebSocket stands on the loop, and is read from the first byte behind the head.
func TestUpgradeStaysOnTheLoop(t *testing.T) {
	var bounds counts
	h := &shout{closed: make(chan error, 100)}
	l := newLoop(t, loop.Config{})
	sockets := websocket.NewServer(l, websocket.Config{})
	_, addr := start(t, Config{Loop: l, Bounds: &bounds, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/ws" {
			return
		}
		c, err := sockets.Accept(w, r, websocket.Options{MaxMessage: 100_000}, h)
		if err != nil {
			t.Errorf("accept: %v", err)
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		c.Text([]byte("hello"))
		c.Start()
	})})
	for name, pieces := range map[string][]string{
		"plain":             {upgradeHead("")},
		"a browser's":       {upgradeHead("Pragma: no-cache\r\nCache-Control: no-cache\r\nOrigin: http://a.example\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n")},
		"with cookies":      {upgradeHead("Cookie: " + strings.Repeat("c", 6<<10) + "\r\n")},
		"17 KB":             {upgradeHead("Cookie: " + strings.Repeat("c", 17<<10) + "\r\n")},
		"split":             {upgradeHead("")[:40], upgradeHead("")[40:]},
		"many lines":        {upgradeHead(manyHeaders(80))},
		"behind a request":  {plainGet, upgradeHead("")},
		"behind net/http's": {strings.Replace(plainGet, "GET", "BREW", 1), upgradeHead("")},
	} {
		for _, early := range []string{"", maskedText("early")} {
			t.Run(name+early, func(t *testing.T) {
				p := dial(t, addr)
				for i, piece := range pieces {
					if i == len(pieces)-1 {
						piece += early
					}
					p.say(piece)
					if strings.Contains(name, "behind") && i == 0 {
						p.hear()
					}
					time.Sleep(20 * time.Millisecond)
				}
				res, err := http.ReadResponse(p.r, &http.Request{Method: "GET"})
				if err != nil || res.StatusCode != 101 {
					t.Fatalf("%v %v", res, err)
				}
				p.say(maskedText("late"))
				want := "\x81\x05hello"
				if early != "" {
					want += "\x81\x0aEARLY true"
				}
				want += "\x81\x09LATE true"
				got := make([]byte, len(want))
				if _, err := io.ReadFull(p.r, got); err != nil || string(got) != want {
					t.Fatalf("got %q, %v; want %q", got, err, want)
				}
				if st := l.Stats(); st.Goroutines != 0 || sockets.Open() != 1 {
					t.Errorf("%d WebSockets, %d connections with goroutines", sockets.Open(), st.Goroutines)
				}
				p.Close()
				<-h.closed
			})
		}
	}
	if o, u, c := bounds.opened.Load(), bounds.upgraded.Load(), bounds.closed.Load(); o != u || c != 0 {
		t.Errorf("%d opened, %d upgraded, %d closed", o, u, c)
	}
}

// TestUpgradeRefused: too many WebSockets are told so on a connection that goes on.
func TestUpgradeRefused(t *testing.T) {
	l := newLoop(t, loop.Config{})
	sockets := websocket.NewServer(l, websocket.Config{})
	bounds := &refusing{}
	_, addr := start(t, Config{Loop: l, Bounds: bounds, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/ws" {
			if _, err := sockets.Accept(w, r, websocket.Options{MaxMessage: 100_000}, &shout{}); err != nil {
				http.Error(w, err.Error(), http.StatusTooManyRequests)
			}
		}
	})})
	for _, cookies := range []int{10, 17 << 10} { // read here, and by net/http
		p := dial(t, addr)
		p.say(upgradeHead("Cookie: " + strings.Repeat("c", cookies) + "\r\n"))
		if res, _ := p.hear(); res.StatusCode != http.StatusTooManyRequests {
			t.Errorf("%d bytes of cookies: status %d", cookies, res.StatusCode)
		}
	}
}

// refusing lets everybody in, and nobody become a WebSocket.
type refusing struct{ counts }

func (*refusing) Upgrade(netip.Addr, Room, netip.Addr) bool { return false }
