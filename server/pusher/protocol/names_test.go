package protocol

import (
	"strings"
	"testing"
)

func TestNames(t *testing.T) {
	tests := []struct {
		what  string
		valid func(string) bool
		good  []string
		bad   []string
	}{
		{"channel", ValidChannel,
			[]string{"a", "a-_=@,.;Z9", strings.Repeat("x", 200), "#server-to-user-1", "#server-to-user-é \n", "private-"},
			[]string{"", "a b", "é", "a/b", "#a", "#server-to-user-", strings.Repeat("x", 201), "a\x00"}},
		{"user id", ValidUserID,
			[]string{"1", "é", strings.Repeat("é", 128), " "},
			[]string{"", strings.Repeat("x", 129), strings.Repeat("\U0001F600", 129)}},
		{"event", ValidEvent,
			[]string{"e", "client-e", "pusher", `App\Events\Done`, strings.Repeat("é", 200)},
			[]string{"", "pusher:error", "pusher_internal:x", strings.Repeat("é", 201)}},
		{"socket id", ValidSocketID,
			[]string{"1.2", "0123456789.9"},
			[]string{"", "1", ".", "1.", ".2", "1.2.3", "1.x", "1.2\n", "-1.2", strings.Repeat("1", 64) + ".1"}},
	}
	for _, tt := range tests {
		for _, name := range tt.good {
			if !tt.valid(name) {
				t.Errorf("%s %.50q is refused", tt.what, name)
			}
		}
		for _, name := range tt.bad {
			if tt.valid(name) {
				t.Errorf("%s %.50q is taken", tt.what, name)
			}
		}
	}
}

func TestShown(t *testing.T) {
	for text, want := range map[string]string{
		"a": `"a"`, "a\n\"": `"a\n\""`, strings.Repeat("x", 201): `"` + strings.Repeat("x", 200) + `..."`,
		strings.Repeat("x", 199) + "é": `"` + strings.Repeat("x", 199) + `..."`, // no half of a character
	} {
		if got := Shown(text); got != want {
			t.Errorf("%.20q: %s", text, got)
		}
	}
}
