//go:build linux

package load

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"poosh/server/loadtest"
	"poosh/test/heads"
)

// requestsOf has a crowd of four connect to a server that keeps the head of each
// first request and answers it with nothing, and returns these heads.
func requestsOf(t *testing.T, cfg Config) []string {
	t.Helper()
	var mu sync.Mutex // guards all
	var all []string
	cfg.Addr = serve(t, func(nc net.Conn, r *bufio.Reader) {
		var head strings.Builder
		for line := ""; line != "\r\n"; head.WriteString(line) {
			var err error
			if line, err = r.ReadString('\n'); err != nil {
				return
			}
		}
		mu.Lock()
		defer mu.Unlock()
		all = append(all, head.String())
	})
	cfg.PayloadSize = loadtest.MinPayload
	c, err := NewCrowd(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for end := time.Now().Add(5 * time.Second); ; {
		if _, err := c.Connect(4-len(c.clients), 100*time.Millisecond); err == nil {
			t.Fatal("clients joined without an answer")
		}
		mu.Lock()
		got := slices.Clone(all)
		mu.Unlock()
		if len(got) == 4 {
			return got
		}
		if time.Now().After(end) {
			t.Fatalf("%d of 4 clients asked for anything", len(got))
		}
	}
}

// Half of the clients send what Chromium sends, half what Firefox does, down to the
// last byte but for the key, which is another one for each.
func TestClientsAreBrowsers(t *testing.T) {
	for _, p := range []Protocol{EIO3, EIO4, Centrifuge, Poll3, Poll4, Pusher} {
		for _, cookie := range []string{"", heads.LongCookie(6000)} {
			keys := make(map[string]bool)
			count := make(map[string]int)
			for _, head := range requestsOf(t, Config{Protocol: p, Cookie: cookie}) {
				r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head)))
				if err != nil {
					t.Fatalf("%v: %v\n%s", p, err, head)
				}
				key := r.Header.Get("Sec-WebSocket-Key")
				keys[key] = true
				v := heads.Values{Target: p.target(), Host: r.Host, Origin: "http://" + r.Host, Cookie: cookie, Key: key}
				if cookie == "" {
					v.Cookie = sessionCookie
				}
				for _, b := range heads.Browsers() {
					want := b.WebSocket
					if p.polling() {
						want = b.Poll
					}
					if head == string(want.Fill(v)) {
						count[b.Name]++
					}
				}
			}
			if count["Chromium"] != 2 || count["Firefox"] != 2 || !p.polling() && len(keys) != 4 {
				t.Errorf("%v with a cookie of %d bytes: of 4 clients %v, %d keys", p, len(cookie), count, len(keys))
			}
		}
	}
}

// A server that compresses would be measured at something else, and what it sends
// would not be understood: that must not pass for damage or silence.
func TestExtensionsAreRefusedLoudly(t *testing.T) {
	for _, header := range []string{"Sec-WebSocket-Extensions: permessage-deflate", "sec-websocket-extensions: x-webkit-deflate-frame"} {
		addr := serve(t, func(nc net.Conn, r *bufio.Reader) {
			if _, err := http.ReadRequest(r); err == nil {
				io.WriteString(nc, strings.Replace(upgraded, "\r\n\r\n", "\r\n"+header+"\r\n\r\n", 1))
			}
		})
		_, err := crowd(t, addr, EIO4).Connect(1, 5*time.Second)
		if !errors.Is(err, ErrExtension) || !strings.Contains(err.Error(), "deflate") {
			t.Errorf("%s: error %v", header, err)
		}
	}
}

func TestFramesOfAnotherKindAreAnError(t *testing.T) {
	for name, first := range map[string]byte{"compressed": 0xc1, "a fragment": 0x01, "binary": 0x82} {
		addr := serve(t, func(nc net.Conn, r *bufio.Reader) {
			if _, err := http.ReadRequest(r); err == nil {
				nc.Write(append([]byte(upgraded), first, 2, '4', '0'))
			}
		})
		if _, err := crowd(t, addr, EIO3).Connect(1, 5*time.Second); err == nil || !strings.Contains(err.Error(), "a frame that begins with") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// Publishers send what PHP does.
func TestPublishersArePHP(t *testing.T) {
	p := loadtest.NewPayload(loadtest.MinPayload)
	for want, got := range map[string]string{
		"\r\nAccept: */*\r\nContent-Type: application/json\r\nAuthorization: ": string(request(nil, "h:1", "secret", Room, p)),
		"\r\nUser-Agent: GuzzleHttp/7\r\nContent-Type: application/json\r\n":   string(pusherRequest(nil, "h:1", "secret", Room, p)),
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}
