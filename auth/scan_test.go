package auth

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestParseDepth(t *testing.T) {
	for _, tt := range []struct{ name, open, close string }{
		{"arrays", "[", "]"},
		{"objects", `{"a":`, "}"},
		{"both", `[{"a":`, "}]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			levels := strings.Count(tt.open, "[") + strings.Count(tt.open, "{")
			nested := func(n int) []byte {
				return []byte(strings.Repeat(tt.open, n/levels) + "1" + strings.Repeat(tt.close, n/levels))
			}
			src := nested(MaxDepth)
			got, err := Stringify(src)
			if err != nil || string(got) != string(src) {
				t.Errorf("%d levels: %d bytes of %d, %v", MaxDepth, len(got), len(src), err)
			}
			if _, err := Stringify(nested(MaxDepth + levels)); !errors.Is(err, ErrTooDeep) {
				t.Errorf("%d levels: error %v, want %v", MaxDepth+levels, err, ErrTooDeep)
			}
			// Unclosed, and far over the bound: refused at the bound.
			if _, err := Parse([]byte(strings.Repeat(tt.open, 100_000))); !errors.Is(err, ErrTooDeep) {
				t.Errorf("unclosed: error %v, want %v", err, ErrTooDeep)
			}
		})
	}
}

// Each text here takes a time that grows with the square of its length in some
// straightforward way of printing JSON, ten seconds and more; it must take a moment.
func TestStringifyIsLinear(t *testing.T) {
	const size = 1_000_000
	// Printing each level by itself copies what is inside at each level.
	deep := func(open, close string) string {
		return strings.Repeat(open, MaxDepth) + `"` + strings.Repeat("x", 8*size) + `"` + strings.Repeat(close, MaxDepth)
	}
	many := func(member string) string {
		return "{" + strings.Repeat(member+",", size/len(member)) + `"z":1}`
	}
	falling := func(key string) string {
		var b strings.Builder
		for i := size / 10; i > 0; i-- {
			b.WriteString(`"` + key + itoa(i) + `":1,`)
		}
		return "{" + b.String() + `"z":1}`
	}
	for _, tt := range []struct{ name, src string }{
		{"reordered at every level", deep(`{"a":1,"1":`, "}")},
		{"repeated at every level", deep(`{"a":1,"b":2,"a":`, "}")},
		{"arrays", deep("[ ", "]")},
		{"one key", many(`"a":1`)},
		{"one key with escapes", many(`"\u0061":1`)},
		{"one index", many(`"7":1`)},
		{"different keys", falling("k")},
		{"falling indices", falling("1")},
		{"blanks", "[" + strings.Repeat(`"a"`+strings.Repeat(" ", 500)+",", size/504) + "1 ]"},
		{"a long number", strings.Repeat("1", size) + "e-1000000"},
		{"a long string", `"` + strings.Repeat(`\\`, size/2) + `\/"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			start := time.Now()
			if _, err := Stringify([]byte(tt.src)); err != nil {
				t.Fatal(err)
			}
			if _, err := JSString([]byte(tt.src)); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("%d bytes took %v", len(tt.src), took)
			}
		})
	}
}

func TestPick(t *testing.T) {
	names := []string{"room", "event", "payload"}
	tests := []struct {
		name, in string
		want     string // the three values, parted by |, "-" for absent
		err      error
	}{
		{"all", `{"room":"r","event":"e","payload":{"a":1}}`, `"r"|"e"|{"a":1}`, nil},
		{"none", `{}`, "-|-|-", nil},
		{"others are ignored", `{"x":{"room":1},"event":"e","y":["event"]}`, `-|"e"|-`, nil},
		{"as it stands", `{"payload": { "a" : 1.50, "b":"\/" } }`, `-|-|{ "a" : 1.50, "b":"\/" }`, nil},
		{"keys with escapes", `{"r\u006fom":1,"\u0065vent":2,"payload\u0000":3}`, "1|2|-", nil},
		{"the last counts", `{"room":1,"room":2,"r\u006fo\u006d":3}`, "3|-|-", nil},
		{"a later null counts", `{"room":1,"room":null}`, "null|-|-", nil},
		{"case matters", `{"Room":1,"EVENT":2,"payload ":3}`, "-|-|-", nil},
		{"values that look like keys", `{"x":"room","event":"payload"}`, `-|"payload"|-`, nil},
		{"an array", `[{"room":1}]`, "-|-|-", nil},
		{"blanks around", " \r\n{\t\"room\" : 1 } ", "1|-|-", nil},
		{"invalid UTF-8", "{\"room\":\"\xff\"}", "\"\ufffd\"|-|-", nil},

		{"a string", `"room"`, "", ErrNotObject},
		{"null", `null`, "", ErrNotObject},
		{"nothing", ``, "", &SyntaxError{}},
		{"blanks", `  `, "", &SyntaxError{}},
		{"text after it", `{} x`, "", &SyntaxError{}},
		{"text after an array", `[] x`, "", &SyntaxError{}},
		{"trailing comma", `{"room":1,}`, "", &SyntaxError{}},
		{"leading comma", `{,"room":1}`, "", &SyntaxError{}},
		{"no value", `{"room":}`, "", &SyntaxError{}},
		{"no colon", `{"room"}`, "", &SyntaxError{}},
		{"not closed", `{"room":1`, "", &SyntaxError{}},
		{"not closed after a comma", `{"room":1,`, "", &SyntaxError{}},
		{"closed by the other bracket", `{"room":1]`, "", &SyntaxError{}},
		{"a bad value under another key", `{"x":[1,],"room":1}`, "", &SyntaxError{}},
		{"a NUL", "{\"room\":\"\x00\"}", "", &SyntaxError{}},
		{"too deep", `{"x":` + strings.Repeat("[", MaxDepth+1), "", ErrTooDeep},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			values := []Value{{[]byte("left over")}, {}, {}}
			err := Pick([]byte(tt.in), names, values)
			var syntax *SyntaxError
			switch {
			case errors.As(tt.err, &syntax):
				if !errors.As(err, &syntax) {
					t.Fatalf("error %v, want a SyntaxError", err)
				}
				if syntax.Offset < 0 || syntax.Offset > len(tt.in) {
					t.Errorf("offset %d of %d", syntax.Offset, len(tt.in))
				}
				return
			case !errors.Is(err, tt.err):
				t.Fatalf("error %v, want %v", err, tt.err)
			case err != nil:
				return
			}
			var got []string
			for _, v := range values {
				if v.Kind() == Absent {
					got = append(got, "-")
				} else {
					got = append(got, string(v.Bytes()))
				}
			}
			if s := strings.Join(got, "|"); s != tt.want {
				t.Errorf("got %s, want %s", s, tt.want)
			}
		})
	}
}

func TestSyntaxErrorOffset(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want int
	}{
		{``, 0}, {`[1,]`, 3}, {`{"a":1,}`, 7}, {`{"a" 1}`, 5}, {"\"a\nb\"", 2}, {`"\x"`, 2}, {`"\u12"`, 5},
		{`tru`, 3}, {`trux`, 3}, {`01`, 0}, {`1.`, 2}, {`1e`, 2}, {`1 2`, 2}, {`[1}`, 2}, {`"abc`, 4}, {`[`, 1}, {`[}`, 1}, {`{]`, 1},
	} {
		_, err := Parse([]byte(tt.in))
		var syntax *SyntaxError
		if !errors.As(err, &syntax) || syntax.Offset != tt.want {
			t.Errorf("%q: %v, want offset %d", tt.in, err, tt.want)
		}
	}
}

func TestKind(t *testing.T) {
	for in, want := range map[string]Kind{
		"null": Null, "true": Bool, "false": Bool, "0": Number, "-1": Number, `""`: String, "[]": Array, "{}": Object,
	} {
		v, err := Parse([]byte(" " + in + " "))
		if err != nil || v.Kind() != want {
			t.Errorf("%s is of kind %d, %v; want %d", in, v.Kind(), err, want)
		}
	}
	if (Value{}).Kind() != Absent || (Value{}).String() != "undefined" || string(Value{}.Stringify()) != "undefined" {
		t.Error("the zero Value is not undefined")
	}
}

func TestAppendCompact(t *testing.T) {
	for in, want := range map[string]string{
		`{ "a" : [ 1 , 2.50 ] }`:       `{"a":[1,2.50]}`,
		"\t[\r\n1 ]":                   `[1]`,
		`{"a b":" c \" d \\"  , "":1}`: `{"a b":" c \" d \\","":1}`,
		`[]`:                           `[]`,
		`"\u00E9\/"`:                   `"\u00E9\/"`,
		`12345678901234567890`:         `12345678901234567890`,
	} {
		v, err := Parse([]byte(in))
		if err != nil {
			t.Fatal(err)
		}
		if got := string(v.AppendCompact([]byte("x"))); got != "x"+want {
			t.Errorf("%s: got %s, want x%s", in, got, want)
		}
	}
}

// TestSkipPlain puts every byte at every place of a word among others.
func TestSkipPlain(t *testing.T) {
	for c := range 256 {
		special := c < ' ' || c == '"' || c == '\\'
		for _, around := range []byte{'a', 0x7f, 0x80, 0xff, '!', '#', '[', ']', ' '} {
			for at := range 17 {
				for _, length := range []int{at + 1, at + 2, 20, 24} {
					src := bytes.Repeat([]byte{around}, max(length, at+1))
					src[at] = byte(c)
					want := len(src)
					if special {
						want = at
					}
					if got := skipPlain(src, 0); got != want {
						t.Fatalf("%q: %d, want %d", src, got, want)
					}
				}
			}
		}
	}
}
