package socktopus

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
)

func TestOrigins(t *testing.T) {
	for _, test := range []struct {
		pages, origin string
		want          bool
	}{
		{"", "https://anywhere.example", true},
		{"", "null", true},
		{"*", "https://anywhere.example", true},
		{"*", "null", true},
		{"example.com", "https://example.com", true},
		{"example.com", "http://EXAMPLE.com:8080", true},
		{"Example.COM", "https://example.com", true},
		{"example.com", "https://www.example.com", false},
		{"example.com", "https://notexample.com", false},
		{"example.com", "https://example.com.evil.example", false},
		{"example.com", "https://evil.example/example.com", false},
		{"example.com", "https://example.com@evil.example", false},
		{"example.com", "null", false},
		{"example.com", "%", false},
		{"*.example.com", "https://a.b.example.com", true},
		{"*.example.com", "https://example.com", false},
		{"*.example.com", "https://notexample.com", false},
		{"example.com:8443", "https://example.com:8443", true},
		{"example.com:8443", "https://example.com", false},
		{"https://example.com", "https://example.com", true},
		{"https://example.com", "http://example.com", false},
		{"https://example.com", "https://example.com:8443", false},
		{"a.example,b.example", "https://b.example", true},
	} {
		var pages []string
		if test.pages != "" {
			pages = strings.Split(test.pages, ",")
		}
		r := &http.Request{Header: http.Header{"Origin": {test.origin}}}
		if got := newOrigins(pages).allows(r); got != test.want {
			t.Errorf("%q allows %q: %v", test.pages, test.origin, got)
		}
	}
	list := newOrigins([]string{"example.com"})
	if !list.allows(&http.Request{}) {
		t.Error("no Origin is refused")
	}
	if list.allows(&http.Request{Header: http.Header{"Origin": {"https://example.com", "https://evil.example"}}}) {
		t.Error("a second Origin passes")
	}
}

func TestCheckOrigin(t *testing.T) {
	for _, good := range []string{"*", "example.com", "*.example.com", "localhost:3000", "https://example.com", "http://[::1]:3000", "192.0.2.1"} {
		if err := CheckOrigin(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"", "*.", "https://", "https://example.com/", "https://*.example.com", "*.https://example.com", "example.com/path", "a b", "*example.com", "https://u@example.com"} {
		if err := CheckOrigin(bad); err == nil || !strings.Contains(err.Error(), "want") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// A page of another site is told so, whatever its token; no Origin passes.
func TestWrongOrigin(t *testing.T) {
	s := newSite(t, Config{Origins: []string{"example.com"}})
	dial := func(token, origin string) (*websocket.Conn, *http.Response, error) {
		return (&websocket.Dialer{HandshakeTimeout: patience}).Dial(
			"ws"+strings.TrimPrefix(s.url, "http")+"/recieve?token="+url.QueryEscape(token), http.Header{"Origin": {origin}})
	}
	for _, token := range []string{token("1", 0), "x"} {
		ws, res, err := dial(token, "https://evil.example")
		if err == nil {
			ws.Close()
			t.Fatal("joined")
		}
		if res == nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		if res.StatusCode != 403 || string(body) != `{"code":403,"message":"Origin not allowed"}` {
			t.Errorf("%s %s", res.Status, body)
		}
	}
	ws, _, err := dial(token("1", 0), "https://example.com")
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	s.synced(ws)
	s.join("2") // without an Origin
}
