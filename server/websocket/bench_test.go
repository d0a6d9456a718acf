package websocket

import (
	"bytes"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"poosh/server/loop"
)

// BenchmarkRead is one message of 50 bytes that arrives, with others behind it, until
// its handler has been told.
func BenchmarkRead(b *testing.B) {
	l, err := loop.New(loop.Config{})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	h := &counter{want: b.N, done: make(chan struct{}), closed: make(chan struct{})}
	sockets := NewServer(l, Config{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, err := sockets.Accept(w, r, Options{MaxMessage: 1000}, h); err == nil {
			c.Start()
		}
	}))
	defer server.Close()
	nc, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	_, _ = nc.Write([]byte(handshake))
	const together = 20
	frames := bytes.Repeat(clientFrame(finBit|opText, string(make([]byte, 50))), together)
	one := len(frames) / together
	b.ReportAllocs()
	b.ResetTimer()
	for left := b.N; left > 0; left -= together {
		if _, err := nc.Write(frames[:min(left, together)*one]); err != nil {
			b.Fatal(err)
		}
	}
	<-h.done
	b.StopTimer()
	_ = nc.Close()
	<-h.closed
}

// A counter counts messages.
type counter struct {
	got, want int
	done      chan struct{}
	closed    chan struct{}
}

func (h *counter) Message(*Conn, bool, []byte) {
	if h.got++; h.got == h.want {
		close(h.done)
	}
}
func (h *counter) Closed(*Conn, error) { close(h.closed) }
