package load

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"testing"

	"poosh/server/loadtest"
)

func TestRequestIsSigned(t *testing.T) {
	p := loadtest.NewPayload(150)
	p.Set(5, 0, 5)
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(request(nil, "127.0.0.1:1337", "a secret!!", "bench-7", p))))
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(r.Body)
	if want := fmt.Sprintf(`{"room":"bench-7","event":%q,"payload":%s}`, Event, p); string(body) != want {
		t.Errorf("body %s, want %s", body, want)
	}
	sum := sha1.Sum([]byte("a secret!!" + string(p)))
	if got := r.Header.Get("Authorization"); got != hex.EncodeToString(sum[:]) {
		t.Errorf("token %q", got)
	}
	if r.URL.Path != "/send" || r.Header.Get("Content-Type") != "application/json" {
		t.Errorf("request for %v as %v", r.URL, r.Header)
	}
}
