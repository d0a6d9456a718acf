package websocketclient

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"poosh/server/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// Whoever writes a head without an end is left, long before memory is full of it.
func TestHeadWithoutEnd(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wrote atomic.Int64
	done := make(chan struct{})
	go func() { // ends with ln
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_ = c.SetWriteDeadline(time.Now().Add(30 * time.Second))
			text := "HTTP/1.1 101 Switching Protocols\r\n"
			const most = 64 << 20 // so that the test ends
			for wrote.Load() < most {
				n, err := c.Write([]byte(text))
				wrote.Add(int64(n))
				if err != nil {
					break
				}
				text = strings.Repeat("X-Header: "+strings.Repeat("x", 1000)+"\r\n", 16)
			}
			c.Close()
		}
	}()
	_, _, err = Dial(t.Context(), &websocket.Dialer{HandshakeTimeout: time.Minute}, "ws://"+ln.Addr().String(), nil)
	ln.Close()
	<-done
	if !errors.Is(err, ErrHead) || wrote.Load() > 32<<20 {
		t.Errorf("%v after %d bytes", err, wrote.Load())
	}
}

// Once the connection is open anything may come, with TLS and without.
func TestAllIsReadAfterwards(t *testing.T) {
	const messages, size = 20, 4 * MaxHead
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer conn.Close()
		for range messages {
			if conn.WriteMessage(websocket.TextMessage, make([]byte, size)) != nil {
				return
			}
		}
		_, _, _ = conn.ReadMessage() // until the client has gone
	})
	for name, start := range map[string]func(http.Handler) *httptest.Server{"plain": httptest.NewServer, "TLS": httptest.NewTLSServer} {
		t.Run(name, func(t *testing.T) {
			s := start(echo)
			defer s.Close()
			d := &websocket.Dialer{HandshakeTimeout: time.Minute}
			if c, ok := s.Client().Transport.(*http.Transport); ok && c.TLSClientConfig != nil {
				d.TLSClientConfig = c.TLSClientConfig.Clone()
				d.TLSClientConfig.NextProtos = nil
			}
			conn, _, err := Dial(t.Context(), d, strings.Replace(s.URL, "http", "ws", 1), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			for i := range messages {
				if _, b, err := conn.ReadMessage(); err != nil || len(b) != size {
					t.Fatalf("message %d: %d bytes, %v", i, len(b), err)
				}
			}
		})
	}
}
