package e2e

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"
)

// canonical rewrites JSON so that two texts are equal exactly when they hold the
// same tokens in the same order: keys stay where they are, numbers stay as they
// are spelled, blanks between tokens go, and every string is spelled one way.
func canonical(text string) string {
	var out strings.Builder
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case c == '"':
			i = canonicalString(&out, text, i+1)
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			i++
		default:
			out.WriteByte(c)
			i++
		}
	}
	return out.String()
}

// canonicalString spells the string that starts behind its quote at i in
// printable ASCII and returns where the text goes on.
func canonicalString(out *strings.Builder, text string, i int) int {
	short := map[byte]uint16{'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}
	out.WriteByte('"')
	unit := func(u uint16) {
		if u >= ' ' && u < 0x7f && u != '"' && u != '\\' {
			out.WriteByte(byte(u))
		} else {
			fmt.Fprintf(out, `\u%04x`, u)
		}
	}
	for i < len(text) && text[i] != '"' {
		if text[i] != '\\' {
			r, size := utf8.DecodeRuneInString(text[i:])
			for _, u := range utf16.Encode([]rune{r}) {
				unit(u)
			}
			i += size
			continue
		}
		if i+1 == len(text) {
			break
		}
		switch c := text[i+1]; c {
		case 'u':
			n, err := strconv.ParseUint(text[i+2:min(i+6, len(text))], 16, 16)
			if err != nil {
				out.WriteString("?")
			}
			unit(uint16(n))
			i += 6
		default:
			if u, ok := short[c]; ok {
				unit(u)
			} else {
				unit(uint16(c))
			}
			i += 2
		}
	}
	out.WriteByte('"')
	return i + 1
}

func TestCanonicalTellsTextsApart(t *testing.T) {
	same := [][2]string{
		{`{"a": [1, "é"]}`, `{"a":[1,"\u00e9"]}`},
		{`"\/\n\u000a"`, `"/\n\n"`},
		{`"😀"`, `"\ud83d\ude00"`},
		{`"\u2028"`, "\"\u2028\""},
	}
	for _, c := range same {
		if canonical(c[0]) != canonical(c[1]) {
			t.Errorf("%s and %s: %s is not %s", c[0], c[1], canonical(c[0]), canonical(c[1]))
		}
	}
	different := [][2]string{
		{`1.50`, `1.5`},
		{`{"a":1,"b":2}`, `{"b":2,"a":1}`},
		{`"a b"`, `"ab"`},
		{`"\\n"`, `"\n"`},
		{`"\ud800"`, `"\ufffd"`},
		{`12345678901234567890`, `12345678901234567000`},
	}
	for _, c := range different {
		if canonical(c[0]) == canonical(c[1]) {
			t.Errorf("%s and %s are the same: %s", c[0], c[1], canonical(c[0]))
		}
	}
}

// unquote returns the text that a JSON string holds. The reports spell packets
// in ASCII, so nothing but escapes is in them.
func unquote(t *testing.T, s string) string {
	t.Helper()
	var text string
	if err := json.Unmarshal([]byte(s), &text); err != nil {
		t.Fatalf("%v in %.200s", err, s)
	}
	return text
}
