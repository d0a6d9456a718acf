package poosh

import (
	"strings"
	"testing"
)

func TestSecret(t *testing.T) {
	const smile = "\U0001F600" // two UTF-16 units
	for _, row := range []struct{ text, want, mistake string }{
		{"0123456789", "0123456789", ""},
		{" with blanks ", " with blanks ", ""},
		{strings.Repeat(smile, 5), strings.Repeat(smile, 5), ""},
		{"caf\xe9 au lait", "caf\ufffd au lait", ""},
		{"123456789", "", "is too short"},
		{strings.Repeat(smile, 4) + "9", "", "is too short"},
		{" \t\u00a0 \u3000      ", "", "is not set"},
	} {
		got, err := parseSecret(row.text)
		if got != row.want || (err == nil) != (row.mistake == "") || err != nil && !strings.HasPrefix(err.Error(), row.mistake) {
			t.Errorf("%q: %q, %v", row.text, got, err)
		}
	}
}
