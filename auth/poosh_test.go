package auth

import (
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"
)

const pooshSecret = "thisisthesharedsecret"

// sign makes a token over a text, the plain way.
func sign(secret, text string) string {
	sum := sha1.Sum([]byte(secret + text))
	return hex.EncodeToString(sum[:])
}

func parse(t testing.TB, text string) Value {
	t.Helper()
	v, err := Parse([]byte(text))
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return v
}

// TestPooshTexts says for each payload which texts may be signed: what the Node
// server took, and what senders write.
func TestPooshTexts(t *testing.T) {
	tests := []struct {
		name    string
		payload string // "" for none
		good    []string
		bad     []string
	}{
		{"absent", "", []string{"undefined"}, []string{"", "null", `""`, "{}"}},
		{"null", "null", []string{"null"}, []string{"", "undefined"}},
		{"true", "true", []string{"true"}, []string{`"true"`}},
		{"integer", "42", []string{"42"}, []string{"42.0"}},
		{"string", `"x"`, []string{`"x"`}, []string{"x"}},
		{"empty array", "[]", []string{"[]"}, []string{"{}", ""}},
		{"empty object", "{}", []string{"{}"}, []string{"[]"}},
		{"blanks", `{ "a" : 1 }`, []string{`{"a":1}`, `{ "a" : 1 }`}, []string{`{"a": 1}`}},
		{"slash", `"a\/b"`, []string{`"a/b"`, `"a\/b"`}, nil},
		{"accent", `"\u00e9"`, []string{`"é"`, `"\u00e9"`}, []string{`"\u00E9"`}},
		{"emoji", `"\ud83d\ude00"`, []string{`"😀"`, `"\ud83d\ude00"`}, nil},
		{"line separator", `"\u2028"`, []string{"\"\u2028\"", `"\u2028"`}, nil},
		{"half a pair", `"\uD800"`, []string{`"\ud800"`, `"\uD800"`}, []string{"\"\ufffd\""}},
		{"control characters", `"\u0008\u000a\u001f\u007f"`, []string{"\"\\b\\n\\u001f\x7f\"", `"\u0008\u000a\u001f\u007f"`}, nil},
		{"markup", "\"<>&'\x7f\u2028\"", []string{"\"<>&'\x7f\u2028\""}, []string{`"\u003c\u003e\u0026'` + "\x7f" + `\u2028"`}},
		{"floats", "[1.0,1.50,1e3,-0]", []string{"[1,1.5,1000,0]", "[1.0,1.50,1e3,-0]"}, []string{"[1,1.5,1000,-0]"}},
		{"exponents of PHP", "[1.0e-7,1.0e+25,1.0e+20]", []string{"[1e-7,1e+25,100000000000000000000]", "[1.0e-7,1.0e+25,1.0e+20]"}, nil},
		{"exponents", "[0.000001,1e21,1e400,1e-400]", []string{"[0.000001,1e+21,null,0]", "[0.000001,1e21,1e400,1e-400]"}, nil},
		{"big integers", "[9007199254740993,9223372036854775807]", []string{"[9007199254740992,9223372036854776000]", "[9007199254740993,9223372036854775807]"}, nil},
		{"index keys", `{"name":1,"5":2}`, []string{`{"5":2,"name":1}`, `{"name":1,"5":2}`}, nil},
		{"index keys alone", `{"2":1,"1":2}`, []string{`{"1":2,"2":1}`, `{"2":1,"1":2}`}, nil},
		{"repeated key", `{"a":1,"b":2,"a":3}`, []string{`{"a":3,"b":2}`, `{"a":1,"b":2,"a":3}`}, []string{`{"b":2,"a":3}`, `{"a":1,"b":2}`}},
		{"not index keys", `{"02":1,"01":2}`, []string{`{"02":1,"01":2}`}, []string{`{"01":2,"02":1}`}},
		{"past the last index", `{"a":1,"4294967295":2}`, []string{`{"a":1,"4294967295":2}`}, []string{`{"4294967295":2,"a":1}`}},
		{"__proto__", `{"__proto__":1}`, []string{`{"__proto__":1}`}, []string{"{}"}},
		// json.dumps of Python parts with a blank. A sender may also hash the compact
		// text of what it sends indented.
		{"Python", `{"a": [1, 2], "b": "é"}`, []string{`{"a": [1, 2], "b": "é"}`, `{"a":[1,2],"b":"é"}`}, nil},
		{"indented PHP", "{\n    \"a\\/b\": 1.0\n}", []string{"{\n    \"a\\/b\": 1.0\n}", `{"a\/b":1.0}`, `{"a/b":1}`}, []string{`{"a/b":1.0}`}},
		// Node's decoder had made U+FFFD of it before anything was hashed.
		{"invalid UTF-8", "\"\xff\"", []string{"\"\ufffd\""}, []string{"\"\xff\""}},
	}
	p := NewPoosh(pooshSecret)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var payload Value
			if tt.payload != "" {
				payload = parse(t, tt.payload)
			}
			for _, text := range tt.good {
				if err := p.Verify(payload, sign(pooshSecret, text)); err != nil {
					t.Errorf("signed over %q: %v", text, err)
				}
				if err := p.Verify(payload, sign("another secret", text)); !errors.Is(err, ErrBadToken) {
					t.Errorf("signed over %q with another secret: %v", text, err)
				}
			}
			for _, text := range tt.bad {
				if err := p.Verify(payload, sign(pooshSecret, text)); !errors.Is(err, ErrBadToken) {
					t.Errorf("signed over %q: %v, want %v", text, err, ErrBadToken)
				}
			}
		})
	}
}

func TestPooshSpelling(t *testing.T) {
	p := NewPoosh(pooshSecret)
	good := sign(pooshSecret, "1")
	payload := parse(t, "1")
	for _, tt := range []struct {
		name, token string
		want        error
	}{
		{"as it is", good, nil},
		{"blanks around", " \t" + good + " ", nil},
		{"upper case", strings.ToUpper(good), ErrBadToken},
		{"a scheme before it", "Bearer " + good, ErrBadToken},
		{"a character more", good + "0", ErrBadToken},
		{"a character less", good[1:], ErrBadToken},
		{"other blanks", "\u00a0" + good, ErrBadToken},
		{"a newline", good + "\n", ErrBadToken},
		{"twice", good + ", " + good, ErrBadToken},
		{"nothing", "", ErrBadToken},
		{"blanks", "   ", ErrBadToken},
		{"forty characters", strings.Repeat("0", 40), ErrBadToken},
		{"the hash itself", func() string { s := sha1.Sum([]byte(pooshSecret + "1")); return string(s[:]) }(), ErrBadToken},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := p.Verify(payload, tt.token); !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
		})
	}
}

// A pooshVector is a row of poosh.json, made with Node.js, or of php.json.
type pooshVector struct{ Name, Secret, Body, Token string }

func TestPooshVectors(t *testing.T) {
	vectors := append(readVectors[pooshVector](t, "poosh.json"), readVectors[pooshVector](t, "php.json")...)
	for _, v := range vectors {
		t.Run(v.Name, func(t *testing.T) {
			values := make([]Value, 1)
			if err := Pick([]byte(v.Body), []string{"payload"}, values); err != nil {
				t.Fatal(err)
			}
			if err := NewPoosh(v.Secret).Verify(values[0], v.Token); err != nil {
				t.Error(err)
			}
			if err := NewPoosh(v.Secret+" ").Verify(values[0], v.Token); !errors.Is(err, ErrBadToken) {
				t.Errorf("with another secret: %v", err)
			}
		})
	}
}

// TestPooshExtension is the attack that a hash over secret and text invites: from
// one token, compute the token of the same text with padding and more behind it.
func TestPooshExtension(t *testing.T) {
	padding := append([]byte{0x80}, make([]byte, 63)...)
	for _, behind := range []string{"", "}", `,"b":2}`} {
		src := append(append([]byte(`{"a":1}`), padding...), behind...)
		if _, err := Parse(src); err == nil {
			t.Errorf("%q is accepted as JSON", src)
		}
		inString := append(append([]byte(`"a`), padding...), '"')
		if _, err := Parse(inString); err == nil {
			t.Errorf("%q is accepted as JSON", inString)
		}
	}
}

// A token of a path is over every byte of it, and none of a payload.
func TestPooshPath(t *testing.T) {
	p := NewPoosh(pooshSecret)
	const path = "/history?room=news&limit=20"
	good := sign(pooshSecret, path)
	if good != PooshSign(pooshSecret, []byte(path)) {
		t.Error("PooshSign makes another one")
	}
	for _, token := range []string{good, " " + good + "\t"} {
		if err := p.VerifyPath(path, token); err != nil {
			t.Errorf("%q: %v", token, err)
		}
	}
	for name, tt := range map[string]struct{ path, token string }{
		"another path":    {"/history?room=news&limit=21", good},
		"upper case":      {path, strings.ToUpper(good)},
		"cut":             {path, good[1:]},
		"empty":           {path, ""},
		"another secret":  {path, sign("another secret", path)},
		"no path":         {"", sign(pooshSecret, "")},
		"JSON":            {`{"a":1}`, sign(pooshSecret, `{"a":1}`)},
		"an extended one": {path + "\x80\x00\x00&room=x", sign(pooshSecret, path+"\x80\x00\x00&room=x")},
	} {
		if p.VerifyPath(tt.path, tt.token) != ErrBadToken {
			t.Errorf("%s is taken", name)
		}
	}
	if _, err := Parse([]byte(path)); err == nil {
		t.Error("a path is JSON")
	}
}

func FuzzPooshToken(f *testing.F) {
	for _, v := range readVectors[pooshVector](f, "php.json") {
		f.Add([]byte(v.Body), v.Token)
	}
	f.Add([]byte(`{"payload":[1,2] }`), strings.Repeat("a", 40))
	p := NewPoosh(pooshSecret)
	f.Fuzz(func(t *testing.T, body []byte, token string) {
		values := make([]Value, 1)
		if Pick(body, []string{"payload"}, values) != nil {
			return
		}
		payload := values[0]
		// Good tokens are exactly these, whatever the payload.
		texts := []string{string(payload.Stringify())}
		if payload.Kind() != Absent {
			texts = append(texts, string(payload.Bytes()), string(payload.AppendCompact(nil)))
		}
		for _, text := range texts {
			good := sign(pooshSecret, text)
			if err := p.Verify(payload, good); err != nil {
				t.Fatalf("%q signed over %q: %v", body, text, err)
			}
			if p.Verify(payload, strings.ToUpper(good)) == nil && strings.ToUpper(good) != good {
				t.Fatalf("%q: an upper-case token", body)
			}
		}
		accepted := p.Verify(payload, token) == nil
		if want := slices.ContainsFunc(texts, func(text string) bool {
			return sign(pooshSecret, text) == strings.Trim(token, " \t")
		}); accepted != want {
			t.Fatalf("%q with token %q: accepted %v, want %v", body, token, accepted, want)
		}
		if bytes.IndexByte(payload.Bytes(), 0) >= 0 {
			t.Fatalf("payload %q holds a NUL", payload.Bytes())
		}
	})
}

func BenchmarkPoosh(b *testing.B) {
	p := NewPoosh(pooshSecret)
	payload := parse(b, `{"url":"http:\/\/example.com\/a","text":"`+strings.Repeat("lorem ipsum ", 10)+`"}`)
	for _, bb := range []struct{ name, token string }{
		{"bytes as sent", sign(pooshSecret, string(payload.Bytes()))},
		{"as JavaScript", sign(pooshSecret, string(payload.Stringify()))},
		{"wrong", sign(pooshSecret, "")},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_ = p.Verify(payload, bb.token)
			}
		})
	}
}

func TestIsPooshToken(t *testing.T) {
	good := "da39a3ee5e6b4b0d3255bfef95601890afd80709"
	for token, want := range map[string]bool{good: true, "": false, good[1:]: false, good + "0": false, "x" + good[1:]: false,
		strings.ToUpper(good): false, "\u00e9" + good[2:]: false} {
		if IsPooshToken(token) != want {
			t.Errorf("%q: %v", token, !want)
		}
	}
}
