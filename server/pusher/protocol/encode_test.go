package protocol

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"poosh/server/hub"
	"poosh/server/websocket"
)

func TestEncode(t *testing.T) {
	tests := []struct {
		name string
		pub  hub.Publication
		want string
	}{
		{"text", hub.Publication{Room: "c", Event: "e", Data: JSONString([]byte(`{"a":"é"}`))}, `{"event":"e","channel":"c","data":"{\"a\":\"é\"}"}`},
		{"text that is no JSON", hub.Publication{Room: "c", Event: `A\B`, Data: JSONString([]byte("a\nb\x01"))}, `{"event":"A\\B","channel":"c","data":"a\nb\u0001"}`},
		{"of a user", hub.Publication{Room: "c", Event: "e", Data: JSONString([]byte("1")), Meta: `"`}, `{"event":"e","channel":"c","data":"1","user_id":"\""}`},
		{"broken UTF-8", hub.Publication{Room: "c", Event: "e\xff", Data: JSONString([]byte("a\xe2\x82b"))}, `{"event":"e` + "\ufffd" + `","channel":"c","data":"a` + "\ufffd\ufffd" + `b"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := string(websocket.Payload(Encoder.Encode(&tt.pub))); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestKinds(t *testing.T) {
	for name, want := range map[string]Kind{
		"a": {}, "cache-a": {Cache: true}, "a-cache-a": {}, "private": {}, "xprivate-a": {},
		"private-a": {Private: true}, "private-cache-a": {Private: true, Cache: true},
		"private-encrypted-a": {Private: true, Encrypted: true}, "private-encrypted-cache-a": {Private: true, Encrypted: true, Cache: true},
		"private-encrypted": {Private: true}, "presence-a": {Private: true, Presence: true},
		"presence-cache-a": {Private: true, Presence: true, Cache: true}, "#server-to-user-a": {User: true},
		"cache-private-a": {Cache: true},
	} {
		if got := KindOf(name); got != want {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// FuzzString compares AppendString with what encoding/json reads back.
func FuzzString(f *testing.F) {
	for _, s := range []string{"", "plain", "\x00\x1f\"\\/", "é😀\u2028", "\xff\xe2\x82", "\ufffd"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var back string
		b := AppendString(nil, s)
		if err := json.Unmarshal(b, &back); err != nil || !utf8.Valid(b) {
			t.Fatalf("%v in %q", err, b)
		}
		var want string
		for _, r := range s {
			want += string(r)
		}
		if back != want || string(AppendString(nil, []byte(s))) != string(b) {
			t.Fatalf("%q became %q", s, back)
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	for name, data := range map[string]string{
		"plain-100": strings.Repeat("x", 100), "json-1000": strings.Repeat(`{"name":"value"},`, 60), "umlauts-1000": strings.Repeat("äöüß", 125),
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				Encoder.Encode(&hub.Publication{Room: "private-orders.12", Event: `App\Events\OrderShipped`, Data: JSONString([]byte(data))})
			}
		})
	}
}
