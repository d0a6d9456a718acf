package incident

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"

	"poosh/server/http1"
	"poosh/server/http1/http1test"
	"poosh/server/hub"
	"poosh/server/loop"
)

// BenchmarkRecorded is a send over one of a few kept connections, which is written to ten
// clients, with and without a recorder: what that costs is the difference.
func BenchmarkRecorded(b *testing.B) {
	for _, recorded := range []bool{false, true} {
		b.Run(fmt.Sprint("recorder=", recorded), func(b *testing.B) {
			if recorded {
				r := New(Config{Log: slog.New(slog.DiscardHandler)})
				r.Start()
				defer r.Close()
			}
			const listeners, senders = 10, 8
			sockets := http1test.NewSockets(b)
			h := hub.New()
			for i := range listeners {
				_ = h.Join(h.Register("", fmt.Sprint(i), 1, same{}, listen(b, sockets.Loop)), "r")
			}
			server := http1test.Serve(b, sockets, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				h.Publish(&hub.Publication{Room: "r", Event: "e"})
				w.WriteHeader(http.StatusOK)
			}), func(*http.Request) http1.Where { return http1.Here })
			var conns []net.Conn
			for range senders {
				nc, err := net.Dial("tcp", server.Addr)
				if err != nil {
					b.Fatal(err)
				}
				defer nc.Close()
				conns = append(conns, nc)
			}
			b.ReportAllocs()
			b.ResetTimer()
			done := make(chan error, senders)
			for i, nc := range conns {
				go func() { done <- sendAll(nc, (b.N+i)/senders) }() // ends with the last answer
			}
			for range conns {
				if err := <-done; err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// sendAll sends requests one after the other, each when the one before is answered.
func sendAll(nc net.Conn, n int) error {
	in := bufio.NewReader(nc)
	for range n {
		if _, err := io.WriteString(nc, "POST /send HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n"); err != nil {
			return err
		}
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			return err
		}
		_ = resp.Body.Close()
	}
	return nil
}

type same struct{}

var frame = make([]byte, 150)

func (same) Encode(*hub.Publication) []byte { return frame }

// A listener is a client whose peer reads everything.
type listener struct{ *loop.Conn }

func (l *listener) Deliver(frame []byte) bool { return l.Push(frame) }

func listen(b *testing.B, l *loop.Loop) *listener {
	b.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer ln.Close()
	peer, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	go func() { // ends with the loop
		_, _ = io.Copy(io.Discard, peer)
		_ = peer.Close()
	}()
	nc, err := ln.Accept()
	if err != nil {
		b.Fatal(err)
	}
	c, err := l.AttachConn(nc, loop.Options{}, nobody{})
	if err != nil {
		b.Fatal(err)
	}
	c.Start()
	return &listener{c}
}

type nobody struct{}

func (nobody) Data(*loop.Conn, []byte)  {}
func (nobody) Closed(*loop.Conn, error) {}
func (nobody) RemoteAddr() string       { return "nobody" }
