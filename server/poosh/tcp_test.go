package poosh

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// These tests speak HTTP byte by byte with a server, for what only the wire shows.

// A wire is one connection to a server.
type wire struct {
	net.Conn
	r *bufio.Reader
	t *testing.T
}

// serve starts an API behind a server like the one that the product runs.
func serve(t *testing.T, cfg Config, timeout time.Duration) (*stage, func() *wire) {
	t.Helper()
	s := newStage(t, cfg)
	server := httptest.NewUnstartedServer(s.Handler)
	server.Config.ReadTimeout = timeout
	server.Start()
	t.Cleanup(server.Close)
	return s, func() *wire {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		return &wire{conn, bufio.NewReader(conn), t}
	}
}

// write sends text with its newlines as HTTP wants them, then body as it is.
func (w *wire) write(text, body string) {
	w.t.Helper()
	if _, err := io.WriteString(w.Conn, strings.ReplaceAll(text, "\n", "\r\n")+body); err != nil {
		w.t.Fatal(err)
	}
}

// answer reads one answer and its body.
func (w *wire) answer() (*http.Response, string) {
	w.t.Helper()
	res, err := http.ReadResponse(w.r, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return res, string(body)
}

const (
	goodBody = `{"room":"5","event":"e","payload":1}`
	jsonHead = "Host: h\nContent-Type: application/json\n"
)

func authorized(text string) string { return "Authorization: " + sign(text) + "\n" }

func sized(body string) string { return fmt.Sprintf("Content-Length: %d\n\n", len(body)) }

func TestWire(t *testing.T) {
	tests := []struct {
		name, head, body string
		want             int
		text             string // in the answer's body
	}{
		{"a send", "POST /send HTTP/1.1\n" + jsonHead + authorized("1") + sized(goodBody), goodBody, 200, ""},
		{"HTTP/1.0", "POST /send HTTP/1.0\n" + jsonHead + authorized("1") + sized(goodBody), goodBody, 200, ""},
		{"an absolute target", "POST http://elsewhere:99/SEND/?x HTTP/1.1\n" + jsonHead + authorized("1") + sized(goodBody), goodBody, 200, ""},
		{"in chunks", "POST /send HTTP/1.1\n" + jsonHead + authorized("1") + "Transfer-Encoding: chunked\n\n", "5\r\n" + goodBody[:5] + "\r\n1f\r\n" + goodBody[5:] + "\r\n0\r\n\r\n", 200, ""},
		{"broken chunks", "POST /send HTTP/1.1\n" + jsonHead + authorized("1") + "Transfer-Encoding: chunked\n\n", "5\r\n" + goodBody[:5] + "xx", 400, "body ended early"},
		{"blanks around the token", "POST /send HTTP/1.1\n" + jsonHead + "authorization: \t" + sign("1") + " \t\n" + sized(goodBody), goodBody, 200, ""},
		{"two tokens", "POST /send HTTP/1.1\n" + jsonHead + authorized("1") + authorized("2") + sized(goodBody), goodBody, 200, ""},
		{"two tokens, the first empty", "POST /send HTTP/1.1\n" + jsonHead + "Authorization:\n" + authorized("1") + sized(goodBody), goodBody, 401, ""},
		{"an upgrade is ignored", "POST /send HTTP/1.1\n" + jsonHead + authorized("1") + "Connection: Upgrade\nUpgrade: websocket\n" + sized(goodBody), goodBody, 200, ""},

		// A body of no bytes has a charset, no body has none.
		{"an empty body", "POST /send HTTP/1.1\nHost: h\nContent-Type: application/json; charset=latin1\n" + authorized("undefined") + "Content-Length: 0\n\n", "", 415, "charset"},
		{"no body", "POST /send HTTP/1.1\nHost: h\nContent-Type: application/json; charset=latin1\n" + authorized("undefined") + "\n", "", 400, "event must be"},

		{"two slashes", "POST //send HTTP/1.1\n" + jsonHead + authorized("1") + sized(goodBody), goodBody, 404, "only POST /send"},
		{"an escaped letter", "POST /%73end HTTP/1.1\n" + jsonHead + authorized("1") + sized(goodBody), goodBody, 404, "only POST /send"},
		{"an escape cut short", "POST /% HTTP/1.1\n" + jsonHead + authorized("1") + sized(goodBody), goodBody, 400, ""},
		{"letters beyond ASCII", "POST /s\xc3\xa9nd HTTP/1.1\n" + jsonHead + authorized("1") + sized(goodBody), goodBody, 400, "path"},
		{"GET of a path that cannot be decoded", "GET /%ff HTTP/1.1\nHost: h\n" + authorized("undefined") + "\n", "", 400, "path"},
		{"GET", "GET /send HTTP/1.1\nHost: h\n" + authorized("undefined") + "\n", "", 401, ""},
		{"OPTIONS", "OPTIONS /send HTTP/1.1\nHost: h\n" + authorized("undefined") + "\n", "", 200, "POST,GET,HEAD"},
		{"another expectation", "POST /send HTTP/1.1\n" + jsonHead + authorized("1") + "Expect: 200-ok\n" + sized(goodBody), goodBody, 417, ""},
	}
	s, dial := serve(t, Config{}, 10*time.Second)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := dial()
			w.t = t
			w.write(tt.head, tt.body)
			if tt.name == "broken chunks" {
				if err := w.Conn.(*net.TCPConn).CloseWrite(); err != nil {
					t.Fatal(err)
				}
			}
			res, body := w.answer()
			if res.StatusCode != tt.want || !strings.Contains(body, tt.text) {
				t.Fatalf("%d %q, want %d and %q", res.StatusCode, body, tt.want, tt.text)
			}
			got := s.received()
			switch sent := tt.want == 200 && tt.text == ""; {
			case sent != (got == "e 1||"):
				t.Errorf("received %q", got)
			case sent:
				for name := range res.Header {
					if name != "Date" && name != "Content-Length" && name != "X-Poosh-Delivered" && name != "X-Poosh-Id" && name != "Connection" {
						t.Errorf("header %s: %q", name, res.Header[name])
					}
				}
				if body != "" || res.ContentLength != 0 {
					t.Errorf("a body of %d, %q", res.ContentLength, body)
				}
			}
		})
	}
}

// TestRefusedBodyIsRead: senders write the whole request before they read, and get
// to see the answer, and can send again on the same connection.
func TestRefusedBodyIsRead(t *testing.T) {
	large := strings.Repeat("x", 3<<20)
	for _, tt := range []struct {
		name, head, body string
		want             int
	}{
		{"too large", jsonHead + authorized("1"), large, 413},
		{"too large, in chunks", jsonHead + authorized("1") + "Transfer-Encoding: chunked\n", large, 413},
		{"no token", jsonHead, large, 401},
		{"a bad token, another type", "Host: h\nContent-Type: text/plain\n" + authorized("1"), large, 401},
		{"a charset", "Host: h\nContent-Type: application/json; charset=x\n" + authorized("1"), large, 415},
		{"a content encoding", jsonHead + "Content-Encoding: br\n" + authorized("1"), large, 415},
		{"no gzip", jsonHead + "Content-Encoding: gzip\n" + authorized("1"), large, 400},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, dial := serve(t, Config{}, 10*time.Second)
			w := dial()
			w.t = t
			if strings.Contains(tt.head, "chunked") {
				w.write("POST /send HTTP/1.1\n"+tt.head+"\n", fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(tt.body), tt.body))
			} else {
				w.write("POST /send HTTP/1.1\n"+tt.head+sized(tt.body), tt.body)
			}
			if res, _ := w.answer(); res.StatusCode != tt.want || res.Close {
				t.Fatalf("%d, closes %v; want %d", res.StatusCode, res.Close, tt.want)
			}
			w.write("POST /send HTTP/1.1\n"+jsonHead+authorized("1")+sized(goodBody), goodBody)
			if res, _ := w.answer(); res.StatusCode != 200 {
				t.Errorf("after it: %d", res.StatusCode)
			}
		})
	}

	t.Run("more than is read", func(t *testing.T) {
		_, dial := serve(t, Config{MaxWire: 1 << 20}, 10*time.Second)
		w := dial()
		w.t = t
		// The sender promises more than it ever sends, and is answered all the same.
		w.write("POST /send HTTP/1.1\n"+jsonHead+authorized("1")+"Content-Length: 2000000\n\n", "x")
		if res, _ := w.answer(); res.StatusCode != 413 || !res.Close {
			t.Errorf("%d, closes %v", res.StatusCode, res.Close)
		}
	})
}

func TestContinue(t *testing.T) {
	s, dial := serve(t, Config{}, 10*time.Second)
	w := dial()
	w.write("POST /send HTTP/1.1\n"+jsonHead+authorized("1")+"Expect: 100-Continue\n"+sized(goodBody), "")
	if line, err := w.r.ReadString('\n'); err != nil || line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("%q, %v", line, err)
	}
	if _, err := w.r.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	w.write("", goodBody)
	if res, _ := w.answer(); res.StatusCode != 200 || s.received() != "e 1||" {
		t.Errorf("%d", res.StatusCode)
	}

	// Who will be refused is not asked for the body.
	for head, want := range map[string]int{
		jsonHead + "Content-Length: 10\n":                       401,
		jsonHead + authorized("1") + "Content-Length: 500000\n": 413,
	} {
		w := dial()
		w.write("POST /send HTTP/1.1\n"+head+"Expect: 100-continue\n\n", "")
		if res, _ := w.answer(); res.StatusCode != want {
			t.Errorf("%d, want %d", res.StatusCode, want)
		}
	}
}

func TestSlowAndBrokenBodies(t *testing.T) {
	s, dial := serve(t, Config{}, 200*time.Millisecond)
	w := dial()
	w.write("POST /send HTTP/1.1\n"+jsonHead+authorized("1")+sized(goodBody), goodBody[:10])
	if res, body := w.answer(); res.StatusCode != 408 || body != `{"error":"body took too long"}` {
		t.Errorf("a slow body: %d %s", res.StatusCode, body)
	}
	w = dial()
	w.write("POST /send HTTP/1.1\n"+jsonHead+"Content-Encoding: gzip\n"+authorized("1")+"Content-Length: 100\n\n", gzipped(goodBody)[:20])
	if res, body := w.answer(); res.StatusCode != 408 {
		t.Errorf("a slow gzip body: %d %s", res.StatusCode, body)
	}
	w = dial()
	w.write("POST /send HTTP/1.1\n"+jsonHead+authorized("1")+sized(goodBody), goodBody[:10])
	if err := w.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if res, body := w.answer(); res.StatusCode != 400 || body != `{"error":"body ended early"}` {
		t.Errorf("a body cut short: %d %s", res.StatusCode, body)
	}
	if stats := s.Stats(); stats.Refused["slow_body"] != 2 || stats.Refused["broken_body"] != 1 || stats.Sent != 0 {
		t.Errorf("stats %+v", stats)
	}
}

// TestPipeline sends without waiting for answers; order is kept.
func TestPipeline(t *testing.T) {
	s, dial := serve(t, Config{}, 10*time.Second)
	w := dial()
	const sends = 50
	for i := range sends {
		body := fmt.Sprintf(`{"room":"5","event":"e","payload":%d}`, i)
		w.write("POST /send HTTP/1.1\n"+jsonHead+authorized(fmt.Sprint(i))+sized(body), body)
	}
	for i := range sends {
		if res, _ := w.answer(); res.StatusCode != 200 {
			t.Fatalf("%d: %d", i, res.StatusCode)
		}
	}
	for i, frame := range s.r1.take() {
		if frame != fmt.Sprintf("e %d", i) {
			t.Fatalf("event %d is %q", i, frame)
		}
	}
}
