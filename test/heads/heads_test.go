package heads

import (
	"bufio"
	"bytes"
	"net/http"
	"strings"
	"testing"
)

// Filled heads are requests of HTTP/1.1 that say what they were told to, and no
// blank is left.
func TestHeadsAreRequests(t *testing.T) {
	all := append(Senders(), GuzzlePusher)
	for _, b := range Browsers() {
		all = append(all, b.WebSocket, b.Poll, b.Post)
	}
	v := Values{Target: "/a/?b=c", Host: "h.example:81", Origin: "http://o.example", Cookie: "io=x; y=z", Key: "a2V5", Token: "signed", Length: 3}
	for _, h := range all {
		text := h.Fill(v)
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(append(bytes.Clone(text), "abc"...))))
		if err != nil {
			t.Errorf("%v: %v in\n%s", h, err, text)
			continue
		}
		if r.Method != h.Method() || r.RequestURI != v.Target || r.Host != v.Host {
			t.Errorf("%v: %s %s of %s", h, r.Method, r.RequestURI, r.Host)
		}
		if r.Method == "POST" && r.ContentLength != 3 || r.Method == "GET" && r.ContentLength != 0 {
			t.Errorf("%v: a body of %d bytes", h, r.ContentLength)
		}
		if strings.ContainsAny(string(text), "{}") || !bytes.HasSuffix(text, []byte("\r\n\r\n")) {
			t.Errorf("%v: not filled in:\n%s", h, text)
		}
	}
}

func TestBrowserHeads(t *testing.T) {
	for _, b := range Browsers() {
		for _, h := range []Head{b.WebSocket, b.Poll, b.Post} {
			v := Values{Origin: "http://o.example", Cookie: "io=x"}
			text := string(h.Fill(v))
			for _, line := range []string{"Origin: http://o.example", "Cookie: io=x", "Accept-Encoding: gzip, deflate, br, zstd"} {
				if !strings.Contains(text, "\r\n"+line+"\r\n") {
					t.Errorf("%v has no %q:\n%s", h, line, text)
				}
			}
			if bare := string(h.Fill(Values{Origin: v.Origin})); bare != strings.Replace(text, "Cookie: io=x\r\n", "", 1) {
				t.Errorf("%v without a cookie is\n%s", h, bare)
			}
		}
		text := string(b.WebSocket.Fill(Values{}))
		for _, line := range []string{"Pragma: no-cache", "Sec-WebSocket-Key: " + defaultKey, "Sec-WebSocket-Version: 13", "Upgrade: websocket"} {
			if !strings.Contains(text, "\r\n"+line+"\r\n") {
				t.Errorf("%v has no %q", b.WebSocket, line)
			}
		}
		if !strings.Contains(text, "permessage-deflate") {
			t.Errorf("%v offers no compression", b.WebSocket)
		}
	}
}

func TestBrokenFilesAreRefused(t *testing.T) {
	for _, text := range []string{"GET / HTTP/1.1\nHost: h\n\n", "GET / HTTP/1.1\r\nHost: h\r\n", "GET {what} HTTP/1.1\r\n\r\n", "GET {host HTTP/1.1\r\n\r\n"} {
		if _, err := parse("broken", text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

func TestLongCookie(t *testing.T) {
	for _, n := range []int{64, 511, 523, 6000, 6144} {
		if c := LongCookie(n); len(c) != n || !strings.HasPrefix(c, "io=") {
			t.Errorf("of %d bytes: %q", n, c)
		}
	}
	head := ChromiumWebSocket.Fill(Values{Cookie: LongCookie(6 << 10)})
	if len(head) < 6<<10 || len(head) > 8<<10 {
		t.Errorf("a head of %d bytes", len(head))
	}
}

func TestAppendAllocatesNothing(t *testing.T) {
	b := make([]byte, 0, 4096)
	v := Values{Target: "/socket.io/", Host: "h:1", Cookie: "io=x", Length: 99}
	if n := testing.AllocsPerRun(100, func() { b = ChromiumPost.Append(b[:0], v) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
