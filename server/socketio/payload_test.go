package socketio

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"poosh/server/websocket"
)

func frames(packets ...string) [][]byte {
	var list [][]byte
	for _, p := range packets {
		list = append(list, websocket.TextFrame([]byte(p)))
	}
	return list
}

func TestAppendPayload(t *testing.T) {
	list := frames("0{}", `42["e","\u00e9"]`, strings.Repeat("x", 130))
	long := strings.Repeat("x", 130)
	tests := []struct {
		form form
		want string
	}{
		{formBinary, "\x00\x03\xff0{}" + "\x00\x01\x06\xff" + `42["e","\u00e9"]` + "\x00\x01\x03\x00\xff" + long},
		{formText, "3:0{}" + `16:42["e","\u00e9"]` + "130:" + long},
		{formSeparated, "0{}\x1e" + `42["e","\u00e9"]` + "\x1e" + long},
	}
	for _, tt := range tests {
		if got := string(appendPayload(nil, tt.form, list)); got != tt.want {
			t.Errorf("form %d: %q", tt.form, got)
		}
	}
}

func TestAppendJSONP(t *testing.T) {
	got := string(appendJSONP(nil, "0);alert(1)//", []byte("8:42[\"\\u2028\"]")))
	if want := `___eio[01]("8:42[\"\\u2028\"]");`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// collect splits a payload with fn and returns its packets, T for text and B for
// binary.
func collect(split func(func(packet) error) error) string {
	var b strings.Builder
	err := split(func(p packet) error {
		kind := "T"
		if p.binary {
			kind = "B"
		}
		fmt.Fprintf(&b, "%s[%s]", kind, p.data)
		return nil
	})
	if err != nil {
		b.WriteString(" " + err.Error())
	}
	return b.String()
}

const malformed = " malformed payload"

func TestSplitBinary(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"one", "\x00\x02\xff2x", "T[2x]"},
		{"two", "\x00\x01\xff2\x00\x01\x04\xff42[\"12345678\"]", "T[2]T[42[\"12345678\"]]"},
		{"text is UTF-8 once", "\x00\x03\xff4\xc3\xa9", "T[4é]"},
		{"binary", "\x01\x04\xff\x04abc", "B[abc]"},
		{"empty", "", malformed},
		{"length of nothing", "\x00\xff2", malformed},
		{"length zero", "\x00\x00\xff", malformed},
		{"no end of length", "\x00\x01\x02", malformed},
		{"not a digit", "\x00\x0a\xff2", malformed},
		{"longer than it is", "\x00\x05\xff2x", malformed},
		{"length without bound", "\x00" + strings.Repeat("\x09", 400) + "\xff2", malformed},
		{"unknown kind", "\x02\x01\xff2", malformed},
		{"binary that is no message", "\x01\x02\xff\x01a", malformed},
		{"binary without a type", "\x01\x00\xff", malformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := collect(func(fn func(packet) error) error { return splitBinary([]byte(tt.in), fn) })
			if got != tt.want && !(strings.HasSuffix(tt.want, malformed) && strings.HasSuffix(got, malformed)) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestSplitText(t *testing.T) {
	double := func(s string) string { // as utf8.js of engine.io-client 1.x
		var b strings.Builder
		for _, c := range []byte(s) {
			b.WriteRune(rune(c))
		}
		return b.String()
	}
	sized := func(s string) string { // with its length in UTF-16 units
		n := 0
		for _, r := range s {
			n++
			if r > 0xFFFF {
				n++
			}
		}
		return fmt.Sprintf("%d:%s", n, s)
	}
	tests := []struct {
		name, in, want string
		layer          utf8Layer
	}{
		{name: "ASCII", in: "2:2x1:3", want: "T[2x]T[3]"},
		{name: "1.x", in: sized(double(`42["é😀漢"]`)) + sized("2"), want: `T[42["é😀漢"]]T[2]`},
		{name: "2.x", in: sized(`42["é😀漢"]`) + "1:2", want: `T[42["é😀漢"]]T[2]`},
		// After a text that is no double encoding, what looks like one is not.
		{name: "2.x, then ambiguous", in: sized("4漢") + sized("4Ã©"), want: "T[4漢]T[4Ã©]"},
		{name: "1.3, never marked", layer: utf8Layer{always: true}, in: sized("4漢") + sized(double("4é")), want: "T[4漢]T[4é]"},
		{name: "marked", layer: utf8Layer{never: true}, in: sized("4Ã©"), want: "T[4Ã©]"},
		{name: "a lone surrogate, encoded twice", in: sized(double("4\xed\xa0\x80")), want: "T[4\xed\xa0\x80]"},
		{name: "binary", in: "6:b4AQID", want: "B[\x01\x02\x03]"},
		{name: "empty", in: "", want: malformed},
		{name: "no colon", in: "22", want: malformed},
		{name: "no length", in: ":2", want: malformed},
		{name: "negative", in: "-1:2", want: malformed},
		{name: "plus", in: "+1:2", want: malformed},
		{name: "zero", in: "0:", want: malformed},
		{name: "longer than it is", in: "3:2x", want: malformed},
		{name: "length without bound", in: "99999999999999999999:2", want: malformed},
		{name: "cut through a pair", in: "2:4😀", want: malformed},
		{name: "base64 of another type", in: "3:b3A", want: malformed},
		{name: "base64 alone", in: "1:b", want: malformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := collect(func(fn func(packet) error) error { return splitText([]byte(tt.in), &tt.layer, fn) })
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestSplitSeparated(t *testing.T) {
	tests := []struct{ in, want string }{
		{"2", "T[2]"},
		{"40\x1e42[\"é\"]", "T[40]T[42[\"é\"]]"},
		{"451-[]\x1ebAQID", "T[451-[]]B[\x01\x02\x03]"},
		{"", malformed},
		{"2\x1e", "T[2]" + malformed},
		{"b!", malformed},
		{strings.Repeat("2\x1e", maxPackets), strings.Repeat("T[2]", maxPackets) + " too many packets in a payload"},
	}
	for _, tt := range tests {
		got := collect(func(fn func(packet) error) error { return splitSeparated([]byte(tt.in), fn) })
		if got != tt.want {
			t.Errorf("%.20q: got %.60q, want %.60q", tt.in, got, tt.want)
		}
	}
}

func TestJSONPBody(t *testing.T) {
	tests := []struct{ in, want string }{
		{"d=1%3A2", "1:2"},
		{"x=1&d=5%3A4+%2B%26%25", "5:4 +&%"},
		{`d=a%5Cnb`, "a\nb"},         // \n was a newline
		{`d=a%5C%5Cnb`, `a\nb`},      // \\n was \n
		{"d=a%0D%0Ab", "a\nb"},       // a form's own newline
		{`d=a%5C%22b`, `a\"b`},       // other escapes stay
		{`d=%5C%5C%5Cn`, `\\` + "n"}, // as the client's regular expression reads it
	}
	for _, tt := range tests {
		got, err := jsonpBody([]byte(tt.in))
		if err != nil || string(got) != tt.want {
			t.Errorf("%s: got %q, %v; want %q", tt.in, got, err, tt.want)
		}
	}
	for _, in := range []string{"", "x=1", "d=%zz"} {
		if got, err := jsonpBody([]byte(in)); err == nil {
			t.Errorf("%q gives %q", in, got)
		}
	}
}

// FuzzPayload feeds every decoder: none may panic, hand out more than came in,
// or lose its place in what we write ourselves.
func FuzzPayload(f *testing.F) {
	f.Add([]byte("\x00\x02\xff2x"))
	f.Add([]byte("2:2x6:b4AQID"))
	f.Add([]byte("40\x1ebAQID"))
	f.Add([]byte(`d=2%3A4%5Cn`))
	f.Fuzz(func(t *testing.T, body []byte) {
		total := 0
		count := func(p packet) error { total += len(p.data); return nil }
		for _, split := range []func(){
			func() { _ = splitBinary(body, count) },
			func() { _ = splitText(body, new(utf8Layer), count) },
			func() { _ = splitSeparated(body, count) },
		} {
			total = 0
			split()
			if total > len(body) {
				t.Errorf("%d bytes out of %d", total, len(body))
			}
		}
		if plain, err := jsonpBody(body); err == nil && len(plain) > len(body) {
			t.Errorf("a form of %d bytes holds %d", len(body), len(plain))
		}
		// What is ASCII comes back from our own encoding as it was.
		text := bytes.Map(func(r rune) rune { return r&0x3f | 0x20 }, body)
		if len(text) == 0 {
			return
		}
		text[0] = '4'
		for _, fm := range []form{formBinary, formText, formSeparated} {
			payload := appendPayload(nil, fm, frames(string(text), "2"))
			var got []string
			keep := func(p packet) error { got = append(got, string(p.data)); return nil }
			var err error
			switch fm {
			case formBinary:
				err = splitBinary(payload, keep)
			case formText:
				err = splitText(payload, new(utf8Layer), keep)
			case formSeparated:
				err = splitSeparated(payload, keep)
			}
			if err != nil || len(got) != 2 || got[0] != string(text) || got[1] != "2" {
				t.Errorf("form %d: %q became %q, %v", fm, text, got, err)
			}
		}
	})
}
