package http1

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"reflect"
	"testing"
)

// FuzzRequest holds what is taken for plain to what net/http reads of it.
func FuzzRequest(f *testing.F) {
	for _, text := range []string{
		"GET /x?a=b HTTP/1.1\r\nHost: h\r\nA: b\r\na:  c \r\n\r\nrest",
		"POST /send HTTP/1.1\r\nHost: h:1\r\nContent-Type: application/json\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabcd",
		"GET /%41?%zz#f HTTP/1.1\r\nhost: h\r\n\r\n",
		"GET //a HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: h\r\nA: b\nC: d\r\n\r\n", "GET / HTTP/1.1\nHost: h\n\n",
		"\r\nGET / HTTP/1.1\r\nHost: h\r\nPragma: no-cache\r\n\r\n", "OPTIONS /a HTTP/1.1\r\nHost: h\r\n\r\n",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var q request
		given := bytes.Clone(text)
		const maxBody = 1000
		v, size := q.parse(given, maxBody)
		if !bytes.Equal(given, text) {
			t.Fatal("the input was changed")
		}
		if v != plain {
			if v == foreign && size != 0 || v == incomplete && size != 0 && size <= len(text) {
				t.Errorf("%d: size %d of %d bytes that are not plain", v, size, len(text))
			}
			return
		}
		// net/http's server skips empty lines first, its parser does not.
		from := bufio.NewReader(bytes.NewReader(bytes.TrimLeft(text, "\r\n")))
		want, err := http.ReadRequest(from)
		if err != nil {
			t.Fatalf("net/http refuses what is plain: %v", err)
		}
		body, err := io.ReadAll(want.Body)
		if err != nil {
			t.Fatalf("body: %v", err)
		}
		left, _ := io.ReadAll(from)
		mine, _ := io.ReadAll(q.Body)
		if !bytes.Equal(mine, body) || len(text)-size != len(left) {
			t.Errorf("body %q and %d left, want %q and %d", mine, len(text)-size, body, len(left))
		}
		if q.Method != want.Method || q.RequestURI != want.RequestURI || q.Host != want.Host || q.Close != want.Close ||
			q.ContentLength != want.ContentLength || q.Proto != want.Proto {
			t.Errorf("got %+v, want %+v", q.Request, want)
		}
		if !reflect.DeepEqual(q.URL, want.URL) {
			t.Errorf("got %#v, want %#v", q.URL, want.URL)
		}
		if !reflect.DeepEqual(q.Header, want.Header) {
			t.Errorf("got %q, want %q", q.Header, want.Header)
		}
	})
}
