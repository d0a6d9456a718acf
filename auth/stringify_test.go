package auth

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

var itoa = strconv.Itoa

// readVectors decodes a file of testdata.
func readVectors[T any](t testing.TB, file string) []T {
	t.Helper()
	text, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var rows []T
	if err := json.Unmarshal(text, &rows); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	if len(rows) == 0 {
		t.Fatalf("%s is empty", file)
	}
	return rows
}

// A printedVector is a row of stringify.json, made by V8.
type printedVector struct {
	In    []byte
	JSON  []byte // JSON.stringify(JSON.parse(In))
	Name  []byte // String(JSON.parse(In))
	Error bool   // JSON.parse throws
}

func TestStringifyVectors(t *testing.T) {
	for _, v := range readVectors[printedVector](t, "stringify.json") {
		in := bytes.Clone(v.In)
		check(t, v)
		if !bytes.Equal(in, v.In) {
			t.Errorf("%q was changed to %q", in, v.In)
		}
	}
}

// check compares both printers with what JavaScript says.
func check(t *testing.T, v printedVector) {
	t.Helper()
	got, err := Stringify(v.In)
	name, nameErr := JSString(v.In)
	switch {
	case v.Error:
		if err == nil || nameErr == nil {
			t.Errorf("%.200q: accepted as %.200q, %.200q; JSON.parse throws", v.In, got, name)
		}
	case err != nil || nameErr != nil:
		t.Errorf("%.200q: %v, %v; JSON.parse accepts it", v.In, err, nameErr)
	default:
		if !bytes.Equal(got, v.JSON) {
			t.Errorf("%.200q:\n got %.300q\nwant %.300q", v.In, got, v.JSON)
		}
		if name != string(v.Name) {
			t.Errorf("String of %.200q:\n got %.300q\nwant %.300q", v.In, name, v.Name)
		}
	}
}

// TestAgainstNode prints some thousand texts with Node.js too, half of them bad.
func TestAgainstNode(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatal("this test compares with Node.js: apt-get install nodejs")
	}
	random := rand.New(rand.NewPCG(1, 2))
	texts := make([][]byte, 8000)
	var stdin bytes.Buffer
	for i := range texts {
		g := generator{Rand: random}
		g.value(0)
		texts[i] = g.out
		if i%2 == 1 {
			texts[i] = spoil(random, g.out)
		}
		stdin.WriteString(base64.StdEncoding.EncodeToString(texts[i]) + "\n")
	}
	cmd := exec.Command(node, "testdata/stringify.js")
	cmd.Stdin = &stdin
	cmd.Stderr = os.Stderr
	stdout, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", cmd, err)
	}
	lines := strings.Split(strings.TrimSuffix(string(stdout), "\n"), "\n")
	if len(lines) != len(texts) {
		t.Fatalf("%d answers to %d texts", len(lines), len(texts))
	}
	good := 0
	for i, line := range lines {
		fields := strings.Split(line, " ")
		v := printedVector{In: texts[i], Error: fields[2] == "error"}
		if !v.Error {
			good++
			v.JSON, _ = base64.StdEncoding.DecodeString(fields[0])
			v.Name, _ = base64.StdEncoding.DecodeString(fields[1])
		}
		check(t, v)
	}
	// Both kinds must be there in number, or the generator went wrong.
	if good < len(texts)/2 || good > len(texts)*9/10 {
		t.Errorf("%d of %d texts were good", good, len(texts))
	}
}

// A generator writes JSON as awkward as it may be.
type generator struct {
	*rand.Rand
	out []byte
}

func (g *generator) write(s string) { g.out = append(g.out, s...) }

func (g *generator) oneOf(choices ...string) string { return choices[g.IntN(len(choices))] }

func (g *generator) blanks() {
	if g.IntN(4) == 0 {
		g.write(g.oneOf(" ", "\n", "\t", "\r\n", "    "))
	}
}

func (g *generator) value(depth int) {
	g.blanks()
	kind := g.IntN(10)
	if depth > 5 {
		kind %= 6
	}
	switch kind {
	case 0:
		g.write(g.oneOf("null", "true", "false"))
	case 1, 2, 3:
		g.number()
	case 4, 5:
		g.string()
	case 6, 7:
		g.write("[")
		for n := range g.IntN(5) {
			if n > 0 {
				g.write(",")
			}
			g.value(depth + 1)
		}
		g.blanks()
		g.write("]")
	default:
		g.write("{")
		members := g.IntN(6)
		if g.IntN(8) == 0 {
			members = g.IntN(40) // enough for the hash table
		}
		for n := range members {
			if n > 0 {
				g.write(",")
			}
			g.blanks()
			g.key()
			g.blanks()
			g.write(":")
			g.value(depth + 1)
		}
		g.blanks()
		g.write("}")
	}
	g.blanks()
}

func (g *generator) key() {
	switch g.IntN(4) {
	case 0:
		g.write(`"` + g.oneOf("", "0", "-", "00") + itoa(g.IntN(20)) + `"`)
	case 1:
		g.write(`"` + strconv.FormatUint(g.Uint64()>>uint(g.IntN(64)), 10) + `"`)
	case 2:
		// Few names, so that keys repeat, sometimes in another spelling.
		g.write(g.oneOf(`"a"`, `"b"`, `"\u0061"`, `"c"`, `"__proto__"`, `"toString"`, `"\u0031"`, `"1"`, `"length"`, `""`, `"é"`, `"\u00e9"`, `"\ud800"`, `"4294967295"`, `"4294967294"`))
	default:
		g.string()
	}
}

func (g *generator) number() {
	switch g.IntN(5) {
	case 0:
		g.write(itoa(g.IntN(2000) - 1000))
	case 1:
		g.write(strconv.FormatInt(int64(g.Uint64()>>uint(g.IntN(64))), 10))
	case 2: // any double, in any spelling
		f := math.Float64frombits(g.Uint64())
		if math.IsNaN(f) || math.IsInf(f, 0) {
			f = 0
		}
		g.write(strconv.FormatFloat(f, "eEfg"[g.IntN(4)], g.IntN(30)-1, 64))
	case 3: // around the places where JavaScript changes its notation
		g.write(fmt.Sprintf("%de%d", g.IntN(2_000_000), g.IntN(60)-34))
	default:
		g.write(g.oneOf("", "-") + g.oneOf("0", itoa(g.IntN(1000)+1)) + g.oneOf("", ".0", ".50", ".125", ".1e1") + "")
		if c := g.out[len(g.out)-1]; c != '1' || !bytes.Contains(g.out[max(0, len(g.out)-4):], []byte("e")) {
			g.write(g.oneOf("", "", "e0", "E+2", "e-7", "e21", "e-0", "e400", "e-400", "e06"))
		}
	}
}

func (g *generator) string() {
	g.write(`"`)
	for range g.IntN(8) {
		switch g.IntN(6) {
		case 0:
			g.write(g.oneOf(`\"`, `\\`, `\/`, `\b`, `\f`, `\n`, `\r`, `\t`))
		case 1:
			format := g.oneOf(`\u%04x`, `\u%04X`)
			g.write(fmt.Sprintf(format, g.IntN(0x10000)>>uint(g.IntN(13))))
		case 2: // surrogates, in pairs or not
			g.write(fmt.Sprintf(`\u%04x`, 0xD800+g.IntN(0x800)))
			if g.IntN(2) == 0 {
				g.write(fmt.Sprintf(`\u%04X`, 0xDC00+g.IntN(0x400)))
			}
		case 3:
			r := rune(g.IntN(utf8.MaxRune+1) >> uint(g.IntN(14)))
			if r < ' ' || r == '"' || r == '\\' || !utf8.ValidRune(r) {
				r = '\u2028'
			}
			g.write(string(r))
		default:
			g.write(g.oneOf("a", "hello world", "<b>", "&'/", "é", "😀", "日本", "\u007f", "{}[],:"))
		}
	}
	g.write(`"`)
}

// spoil changes, drops or adds one byte; the text is often no JSON any more.
func spoil(random *rand.Rand, text []byte) []byte {
	text = bytes.Clone(text)
	at := random.IntN(len(text))
	c := byte(random.IntN(256))
	if random.IntN(2) == 0 {
		const likely = "{}[],:\"\\0123456789.eE+-untf/ \n\x00"
		c = likely[random.IntN(len(likely))]
	}
	switch random.IntN(3) {
	case 0:
		text[at] = c
	case 1:
		return append(text[:at], text[at+1:]...)
	default:
		return append(text[:at], append([]byte{c}, text[at:]...)...)
	}
	return text
}

func TestStringifyShares(t *testing.T) {
	for _, in := range []string{
		`{"5":1,"user":{"id":17,"name":"Zoë <z@example.com>"},"items":[1,2.5,true,null,"a\"b\\"]}`,
		`"x"`, `[]`, `-1.5e-7`, `1e+21`,
	} {
		src := []byte(in)
		got, err := Stringify(src)
		if err != nil {
			t.Fatal(err)
		}
		if &got[0] != &src[0] || len(got) != len(src) {
			t.Errorf("%s: a copy, %s", in, got)
		}
	}
	if got, _ := Stringify([]byte("  [1] ")); string(got) != "[1]" {
		t.Errorf("got %q", got)
	}
}

func FuzzStringify(f *testing.F) {
	for _, v := range readVectors[printedVector](f, "stringify.json") {
		f.Add(v.In)
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		before := bytes.Clone(src)
		out, err := Stringify(src)
		if !bytes.Equal(src, before) {
			t.Fatalf("%q was changed to %q", before, src)
		}
		// encoding/json is as strict, but for invalid UTF-8 and its own bound.
		if valid := json.Valid(ValidUTF8(src)); valid != (err == nil) {
			t.Fatalf("%q: error %v, encoding/json says %v", src, err, valid)
		}
		if err != nil {
			return
		}
		if !json.Valid(out) {
			t.Fatalf("%q is printed as %q, which is not JSON", src, out)
		}
		if bytes.IndexByte(out, 0) >= 0 || !utf8.Valid(out) {
			t.Fatalf("%q is printed as %q", src, out)
		}
		again, err := Stringify(out)
		if err != nil || !bytes.Equal(again, out) {
			t.Fatalf("%q is printed as %q, that as %q, %v", src, out, again, err)
		}
		var want, got any
		if json.Unmarshal(ValidUTF8(src), &want) != nil {
			return // a number that encoding/json cannot hold
		}
		if err := json.Unmarshal(out, &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%q is printed as %q: %v, want %v (%v)", src, out, got, want, err)
		}
	})
}

func FuzzJSString(f *testing.F) {
	for _, v := range readVectors[printedVector](f, "stringify.json") {
		f.Add(v.In)
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		name, err := JSString(src)
		if valid := json.Valid(ValidUTF8(src)); valid != (err == nil) {
			t.Fatalf("%q: error %v, encoding/json says %v", src, err, valid)
		}
		if err != nil {
			return
		}
		// A value and what it is printed as have one name.
		printed, _ := Stringify(src)
		if again, err := JSString(printed); err != nil || again != name && !bytes.Contains(printed, []byte("null")) {
			t.Fatalf("%q is called %q, but %q is called %q, %v", src, name, printed, again, err)
		}
		var s any
		if json.Unmarshal(ValidUTF8(src), &s) != nil {
			return
		}
		if s, ok := s.(string); ok && utf8.ValidString(name) && s != name {
			t.Fatalf("%q is called %q, want %q", src, name, s)
		}
	})
}

func BenchmarkStringify(b *testing.B) {
	for _, bb := range []struct{ name, in string }{
		{"as printed", `{"user":{"id":17,"name":"Zoë"},"items":[1,2.5,true,null,"a\"b"],"text":"` + strings.Repeat("lorem ipsum ", 5) + `"}`},
		{"rewritten", `{"user":{"id":17,"name":"Zo\u00eb"},"items":[1,2.50,true,null,"a\/b"],"text":"` + strings.Repeat("lorem ipsum ", 5) + `"}`},
		{"reordered", `{"user":{"id":17,"9":"Zo\u00eb"},"items":[1,2.50,true,null,"a\/b"],"5":"` + strings.Repeat("lorem ipsum ", 5) + `"}`},
		{"100 KB", `["` + strings.Repeat(strings.Repeat("lorem ipsum ", 8)+`","`, 1024) + `"]`},
		{"100 KB of keys", "{" + strings.Repeat(`"a":1,`, 17000) + `"1":2}`},
	} {
		b.Run(bb.name, func(b *testing.B) {
			src := []byte(bb.in)
			b.SetBytes(int64(len(src)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Stringify(src); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
