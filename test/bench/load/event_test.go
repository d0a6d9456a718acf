package load

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"
)

func TestPayloadIsJSONOfOneLength(t *testing.T) {
	for _, size := range []int{MinPayload, 150, 5000} {
		p := newPayload(size)
		for _, n := range []int{0, 7, perPublisher - 1} {
			p.set(int64(n)*1_000_003, MaxPublishers-1, n)
			if len(p) != size {
				t.Fatalf("payload has %d bytes, want %d", len(p), size)
			}
			var v struct {
				At   json.Number `json:"at"`
				Seq  json.Number `json:"seq"`
				Text string      `json:"text"`
			}
			if err := json.Unmarshal(p, &v); err != nil {
				t.Fatalf("%s: %v", p, err)
			}
			// Servers that read numbers as doubles must print them as they came.
			for _, number := range []json.Number{v.At, v.Seq} {
				if f, _ := number.Float64(); fmt.Sprintf("%.0f", f) != number.String() {
					t.Errorf("%s is no double", number)
				}
			}
			at, publisher, number, ok := parse(p, p.tail())
			if !ok || at != int64(n)*1_000_003 || publisher != MaxPublishers-1 || number != n {
				t.Errorf("parse gave %d, %d, %d, %v", at, publisher, number, ok)
			}
		}
	}
}

func TestParseRefusesWhatIsNotThePayload(t *testing.T) {
	p := newPayload(150)
	p.set(1, 0, 1)
	for _, i := range []int{len(marker), seqOffset, textOffset, textOffset + len(textKey), len(p) - 1} {
		bad := bytes.Clone(p)
		bad[i] = '~'
		if _, _, _, ok := parse(bad, p.tail()); ok {
			t.Errorf("byte %d is another and parse takes %s", i, bad)
		}
	}
	if _, _, _, ok := parse(p[:len(p)-1], p.tail()); ok {
		t.Error("a payload cut short is taken")
	}
}

func TestRequestIsSigned(t *testing.T) {
	p := newPayload(150)
	p.set(5, 0, 5)
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
