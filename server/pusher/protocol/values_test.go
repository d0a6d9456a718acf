package protocol

import (
	"encoding/json"
	"strings"
	"testing"

	"poosh/auth"
)

// FuzzTextOf holds a string's text against what encoding/json has of it.
func FuzzTextOf(f *testing.F) {
	for _, seed := range []string{`""`, `"plain"`, `"\u00e9\n\t\b\f\r\/\"\\\\"`, `"é"`, `"\ud83d\ude00"`, `"\ud83d"`,
		`"\ude00\ud83d"`, `"\ud83dx\ud83d\u0041"`, "\"a\xff\xfe\u00e9\"", "\"\xed\xa0\x80\"", `"{\"a\":\"b\"}"`, `null`, `1`, `[]`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		v, err := auth.Parse(text)
		if err != nil {
			return
		}
		got, ok := TextOf(v)
		var want string
		is := json.Unmarshal(v.Bytes(), &want) == nil
		if ok != is || got != want {
			t.Errorf("%q: %q, %v; encoding/json has %q, %v", text, got, ok, want, is)
		}
		if v.Kind() == auth.String && string(DataText(v)) != want {
			t.Errorf("%q: the data is %q, want %q", text, DataText(v), want)
		}
	})
}

func BenchmarkDataText(b *testing.B) {
	for name, text := range map[string]string{
		"150B":  `{\"id\":7,\"text\":\"` + strings.Repeat("x", 120) + `\"}`,
		"100KB": strings.Repeat(`{\"id\":7,\"text\":\"`+strings.Repeat("x", 120)+`\"}`, 700),
	} {
		b.Run(name, func(b *testing.B) {
			v, err := auth.Parse([]byte(`"` + text + `"`))
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				DataText(v)
			}
		})
	}
}
