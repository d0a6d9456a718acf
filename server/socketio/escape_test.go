package socketio

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"poosh/server/websocket"
)

func TestEventFrame(t *testing.T) {
	tests := []struct{ name, event, data, want string }{
		{"plain", "e", `{"a":1}`, `42["e",{"a":1}]`},
		{"no payload", "e", "", `42["e",null]`},
		{"numbers as they stand", "e", `[12345678901234567890,1.50,-0,1e3]`, `42["e",[12345678901234567890,1.50,-0,1e3]]`},
		{"letters", "é", `"é<b>&'"`, `42["\u00e9","\u00e9<b>&'"]`},
		{"beyond the first plane", "e", `"😀"`, `42["e","\ud83d\ude00"]`},
		{"line separators", "e", "\"\u2028\u2029\ufeff\"", `42["e","\u2028\u2029\ufeff"]`},
		{"a lone surrogate, escaped", "e", `"\ud800"`, `42["e","\ud800"]`},
		{"a lone surrogate, encoded", "\xed\xa0\x80", "\"\xed\xbf\xbf\"", `42["\ud800","\udfff"]`},
		{"not UTF-8", "\xff", "\"\xc3\"", `42["\ufffd","\ufffd"]`},
		{"an event's own quotes", "a\"b\\c\n\x00", `1`, `42["a\"b\\c\u000a\u0000",1]`},
		{"DEL", "\x7f", "\"\x7f\"", "42[\"\x7f\",\"\x7f\"]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var data []byte
			if tt.data != "" {
				data = []byte(tt.data)
			}
			if got := string(websocket.Payload(EventFrame(tt.event, data))); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// FuzzEventFrame holds that what leaves is ASCII and means what came in.
func FuzzEventFrame(f *testing.F) {
	f.Add("event", `{"a":"é😀"}`)
	f.Add("\xed\xa0\x80", `"\ud800"`)
	f.Fuzz(func(t *testing.T, event, data string) {
		if !json.Valid([]byte(data)) {
			t.Skip()
		}
		packet := websocket.Payload(EventFrame(event, []byte(data)))
		if i := bytes.IndexFunc(packet, func(r rune) bool { return r >= utf8.RuneSelf }); i >= 0 {
			t.Fatalf("%q is not ASCII", packet)
		}
		var parts []json.RawMessage
		if err := json.Unmarshal(packet[2:], &parts); err != nil || len(parts) != 2 {
			t.Fatalf("%q: %v", packet, err)
		}
		var got, want any
		_ = json.Unmarshal(parts[1], &got)
		_ = json.Unmarshal([]byte(data), &want)
		a, _ := json.Marshal(got)
		b, _ := json.Marshal(want)
		// Encoded surrogates are kept as escapes where encoding/json takes each of their bytes for an error.
		if !bytes.Equal(a, b) && !strings.Contains(data, "\xed") {
			t.Errorf("%q became %q", data, packet)
		}
		if utf8.ValidString(event) {
			var name string
			if err := json.Unmarshal(parts[0], &name); err != nil || name != event {
				t.Errorf("event %q became %q", event, name)
			}
		}
	})
}

func BenchmarkEventFrame(b *testing.B) {
	data := []byte(`{"id":1234567,"text":"` + strings.Repeat("x", 120) + `"}`)
	b.ReportAllocs()
	for b.Loop() {
		EventFrame("event-name", data)
	}
}
