package commandline

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode"
)

// What strangers write cannot act on a terminal, nor begin a line of its own.
func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"news": "news", "Grüße, 世界 🙂": "Grüße, 世界 🙂", "": "",
		"\x1b[2J": `\u{1b}[2J`, "a\nb\tc": `a\u{a}b\u{9}c`, "\u009b31m": `\u{9b}31m`, "\u202eabc": `\u{202e}abc`, "\xff": "\ufffd",
	} {
		if got := printable(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// JSON means the same when what cannot be seen in it is escaped.
func FuzzPrintableJSON(f *testing.F) {
	for _, text := range []string{`"a"`, "\"\u009b \u202e\"", "{\"\u2028\":\"\U000e0001 🙂\"}", `[1.50,"\u001b"]`, "\"\U0010ffff\""} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var compact bytes.Buffer
		if json.Compact(&compact, in) != nil {
			t.Skip()
		}
		out := printableJSON(compact.Bytes())
		if strings.ContainsFunc(out, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Fatalf("%q acts on a terminal", out)
		}
		var before, after any
		if json.Unmarshal(compact.Bytes(), &before) != nil {
			t.Skip() // a number that is too large, say
		}
		if err := json.Unmarshal([]byte(out), &after); err != nil || !reflect.DeepEqual(before, after) {
			t.Fatalf("%q became %q: %v", compact.Bytes(), out, err)
		}
	})
}

func TestSocketEvent(t *testing.T) {
	for text, want := range map[string]event{
		`["hello",{"a":1.50}]`: {Event: "hello", Data: json.RawMessage(`{"a":1.50}`)},
		`12["hello"]`:          {Event: "hello"},
		`["hello",1,"two"]`:    {Event: "hello", Data: json.RawMessage(`[1,"two"]`)},
		`[5,1]`:                {Event: "5", Data: json.RawMessage("1")},
	} {
		got, err := socketEvent([]byte(text))
		if err != nil || got.Event != want.Event || string(got.Data) != string(want.Data) || got.At.IsZero() {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "{}", "[]", "[", "/admin,[\"x\"]"} {
		if got, err := socketEvent([]byte(text)); err == nil {
			t.Errorf("%s: %+v", text, got)
		}
	}
}
