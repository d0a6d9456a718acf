package protocol

import (
	"strings"
	"testing"

	"poosh/server/hub"
)

func TestBridgeable(t *testing.T) {
	for room, want := range map[string]bool{
		"news": true, "private": true, "my-private-x": true, "a.b;c": true,
		"private-x": false, "presence-x": false, "private-encrypted-x": false, "cache-x": false, "#server-to-user-1": false,
		"": false, "a b": false, "é": false, strings.Repeat("x", 201): false,
	} {
		if got := bridgeable(&hub.Publication{Room: room, Event: "e"}); got != want {
			t.Errorf("%q: %v", room, got)
		}
	}
	for event, want := range map[string]bool{"e": true, `App\Event`: true, "client-e": true, "": false, "pusher:error": false, "pusher_internal:x": false} {
		if got := bridgeable(&hub.Publication{Room: "news", Event: event}); got != want {
			t.Errorf("event %q: %v", event, got)
		}
	}
}

func TestImport(t *testing.T) {
	tests := []struct{ name, json, want string }{
		{"a string", ` "x\u00e9\/\ud800" `, `"x\u00e9\/\ud800"`}, // as its author spelled it
		{"an object", `{"b": [1.50, 12345678901234567890]}`, `"{\"b\":[1.50,12345678901234567890]}"`},
		{"a number", `1.50`, `"1.50"`},
		{"null", `null`, `"null"`},
		{"no payload", ``, `""`},
		{"broken UTF-8", "\"a\xff\"", `"a` + "\ufffd" + `"`},
		{"no JSON", "a\n", `"a\n"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := &hub.Publication{Room: "c", Event: "e", Data: []byte(tt.json), Meta: "of another dialect"}
			if !Import(p) || string(p.Data) != tt.want || p.Meta != "" {
				t.Errorf("got %s and %q, want %s", p.Data, p.Meta, tt.want)
			}
		})
	}
	if Import(&hub.Publication{Room: "private-c", Event: "e", Data: []byte("1")}) {
		t.Error("a private channel is open to another dialect")
	}
}

func TestExport(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"JSON", ` { "a" : 1 } `, `{"a":1}`},
		{"large numbers", `{"b":[1.50,12345678901234567890]}`, `{"b":[1.50,12345678901234567890]}`},
		{"no JSON", `é "x" <b>`, `"é \"x\" \u003cb\u003e"`},
		{"nothing", ``, `""`},
		{"broken UTF-8", "a\xff", `"a` + "\ufffd" + `"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			// What this app does not keep the other one may.
			p := &hub.Publication{Room: "c", Event: "e", Data: JSONString([]byte(tt.text)), Passing: true}
			if !Export(p) || string(p.Data) != tt.want || p.Passing {
				t.Errorf("got %s, want %s", p.Data, tt.want)
			}
		})
	}
	if Export(&hub.Publication{Room: "presence-c", Event: "e", Data: []byte(`"1"`)}) {
		t.Error("a presence channel is open to another dialect")
	}
}
