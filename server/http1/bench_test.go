package http1

import (
	"bufio"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"poosh/test/heads"
)

// session is what clients poll, and cookie what a browser sends of it.
const (
	session = "/socket.io/?EIO=3&transport=polling&t=1448463725125-7&sid=0I7-vJ8e5Zo2cQkRAAAB"
	cookie  = "io=0I7-vJ8e5Zo2cQkRAAAB"
)

// BenchmarkParse reads what real clients send, of which nothing is left to net/http.
func BenchmarkParse(b *testing.B) {
	const posted = `18:42["room","bench"]`
	requests := map[string][]byte{
		"php-curl-send": append(heads.PHPCurlSend.Fill(heads.Values{Target: "/send", Token: strings.Repeat("a", 40), Length: len(posted)}), posted...),
	}
	for _, browser := range heads.Browsers() {
		v := heads.Values{Target: session, Cookie: cookie, Length: len(posted)}
		requests[browser.Poll.String()] = browser.Poll.Fill(v)
		requests[browser.Post.String()] = append(browser.Post.Fill(v), posted...)
		v.Target = "/socket.io/?EIO=4&transport=websocket"
		requests[browser.WebSocket.String()] = browser.WebSocket.Fill(v)
		v.Cookie = heads.LongCookie(6 << 10)
		requests[browser.WebSocket.String()+"-long"] = browser.WebSocket.Fill(v)
	}
	for _, name := range slices.Sorted(maps.Keys(requests)) {
		text := requests[name]
		b.Run(name, func(b *testing.B) {
			var q request
			b.ReportAllocs()
			for b.Loop() {
				if v, size := q.parse(text, 100); v != plain || size != len(text) {
					b.Fatal("not plain")
				}
			}
		})
	}
}

// BenchmarkRequest is one request and its answer over a kept-alive connection of
// loopback, the client's share included, beside net/http.
func BenchmarkRequest(b *testing.B) {
	answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, "ok")
	})
	poll := string(heads.ChromiumPoll.Fill(heads.Values{Target: session, Cookie: cookie}))
	ask := func(b *testing.B, addr string) {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		in := bufio.NewReader(c)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := io.WriteString(c, poll); err != nil {
				b.Fatal(err)
			}
			for line := ""; line != "\r\n"; {
				text, err := in.ReadSlice('\n')
				if err != nil {
					b.Fatal(err)
				}
				line = string(text)
			}
			if _, err := in.Discard(len("ok")); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("http1", func(b *testing.B) {
		_, addr := start(b, Config{Handler: answer})
		ask(b, addr)
	})
	b.Run("net/http", func(b *testing.B) {
		srv := &http.Server{Handler: answer, ErrorLog: slog.NewLogLogger(silent.Handler(), slog.LevelDebug)}
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		go srv.Serve(ln) // ends with Close
		defer srv.Close()
		ask(b, ln.Addr().String())
	})
}
