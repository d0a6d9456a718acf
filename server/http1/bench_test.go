package http1

import (
	"bufio"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
)

// What a browser asks on a poll.
const poll = "GET /socket.io/?EIO=3&transport=polling&t=1448463725125-7&sid=0I7-vJ8e5Zo2cQkRAAAB HTTP/1.1\r\n" +
	"Host: push.example.com:8000\r\nConnection: keep-alive\r\nAccept: */*\r\nOrigin: https://www.example.com\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36\r\n" +
	"Sec-Fetch-Site: same-site\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty\r\nReferer: https://www.example.com/\r\n" +
	"Accept-Encoding: gzip, deflate, br\r\nAccept-Language: en-US,en;q=0.9\r\nCookie: io=0I7-vJ8e5Zo2cQkRAAAB\r\n\r\n"

func BenchmarkParse(b *testing.B) {
	text := []byte(poll)
	var q request
	b.ReportAllocs()
	for b.Loop() {
		if v, size := q.parse(text, 0); v != plain || size != len(text) {
			b.Fatal("not plain")
		}
	}
}

// BenchmarkRequest is one request and its answer over a kept-alive connection of
// loopback, the client's share included, beside net/http.
func BenchmarkRequest(b *testing.B) {
	answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, "ok")
	})
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
