package pusher

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"poosh/auth"
	"poosh/server/hub"
	"poosh/server/websocket"
)

func TestEncode(t *testing.T) {
	tests := []struct {
		name string
		pub  hub.Publication
		want string
	}{
		{"text", hub.Publication{Room: "c", Event: "e", Data: jsonString([]byte(`{"a":"é"}`))}, `{"event":"e","channel":"c","data":"{\"a\":\"é\"}"}`},
		{"text that is no JSON", hub.Publication{Room: "c", Event: `A\B`, Data: jsonString([]byte("a\nb\x01"))}, `{"event":"A\\B","channel":"c","data":"a\nb\u0001"}`},
		{"of a user", hub.Publication{Room: "c", Event: "e", Data: jsonString([]byte("1")), Meta: `"`}, `{"event":"e","channel":"c","data":"1","user_id":"\""}`},
		{"broken UTF-8", hub.Publication{Room: "c", Event: "e\xff", Data: jsonString([]byte("a\xe2\x82b"))}, `{"event":"e` + "\ufffd" + `","channel":"c","data":"a` + "\ufffd\ufffd" + `b"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := string(websocket.Payload(Encoder.Encode(&tt.pub))); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

type receiverFunc func([]byte) bool

func (f receiverFunc) Deliver(frame []byte) bool { return f(frame) }

func TestKinds(t *testing.T) {
	for name, want := range map[string]kind{
		"a": {}, "cache-a": {cache: true}, "a-cache-a": {}, "private": {}, "xprivate-a": {},
		"private-a": {private: true}, "private-cache-a": {private: true, cache: true},
		"private-encrypted-a": {private: true, encrypted: true}, "private-encrypted-cache-a": {private: true, encrypted: true, cache: true},
		"private-encrypted": {private: true}, "presence-a": {private: true, presence: true},
		"presence-cache-a": {private: true, presence: true, cache: true}, "#server-to-user-a": {user: true},
		"cache-private-a": {cache: true},
	} {
		if got := kindOf(name); got != want {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// FuzzMessage feeds frames of strangers to the parser and everything behind it
// that needs no connection, and reads what comes out as a client would.
func FuzzMessage(f *testing.F) {
	for _, s := range []string{
		`{"event":"pusher:subscribe","data":{"channel":"a","auth":"k:0","channel_data":"{\"user_id\":1}"}}`,
		`{"event":"pusher:subscribe","data":"{\"channel\":\"a\"}"}`,
		`{"event":"client-x","channel":"private-a","data":{"a":[1,null,"\ud800"]}}`,
		`{"event":"pusher:signin","data":{"user_data":"{\"id\":\"1\",\"watchlist\":[\"2\"]}"}}`,
		`{"event":null}`, `[]`, `"x"`, `{"data":"`, "{\"event\":\"\xff\"}", `{"event":"a","channel":null,"data":1e999}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		m, err := parseMessage([]byte(in))
		if err != nil {
			return
		}
		frame := websocket.Payload(Encoder.Encode(&hub.Publication{Room: m.Channel, Event: m.Event, Data: jsonString(m.text())}))
		var out struct {
			Event, Channel string
			Data           *string
		}
		if err := json.Unmarshal(frame, &out); err != nil || out.Data == nil || !utf8.Valid(frame) {
			t.Fatalf("%v in %q", err, frame)
		}
		if out.Event != m.Event || out.Channel != m.Channel || *out.Data != string(m.text()) {
			t.Fatalf("%q became %q", in, frame)
		}
		var fields [2]auth.Value
		if m.pick([]string{"channel_data", "user_data"}, fields[:]) != nil {
			return
		}
		channelData, _ := textOf(fields[0])
		userData, _ := textOf(fields[1])
		if who, err := parseMember(channelData); err == nil {
			if !json.Valid(who.info) || !json.Valid(memberData(who.id, who.info)) || !validUserID(who.id) {
				t.Fatalf("member %+v", who)
			}
		}
		if user, err := parseUser(userData); err == nil && (!json.Valid(user.info) || !json.Valid(websocket.Payload(watchlistFrame(user.watchlist, nil)))) {
			t.Fatalf("user %+v", user)
		}
	})
}

// FuzzString compares appendString with what encoding/json reads back.
func FuzzString(f *testing.F) {
	for _, s := range []string{"", "plain", "\x00\x1f\"\\/", "é😀\u2028", "\xff\xe2\x82", "\ufffd"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var back string
		b := appendString(nil, s)
		if err := json.Unmarshal(b, &back); err != nil || !utf8.Valid(b) {
			t.Fatalf("%v in %q", err, b)
		}
		var want string
		for _, r := range s {
			want += string(r)
		}
		if back != want || string(appendString(nil, []byte(s))) != string(b) {
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
				Encoder.Encode(&hub.Publication{Room: "private-orders.12", Event: `App\Events\OrderShipped`, Data: jsonString([]byte(data))})
			}
		})
	}
}
