package excerpt

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// TestOf has texts be cut between characters.
func TestOf(t *testing.T) {
	for _, row := range []struct {
		text string
		most int
		want string
	}{
		{"", 0, ""}, {"", 3, ""}, {"abc", 3, "abc"}, {"abcd", 3, "abc..."}, {"abc", 0, "..."},
		{"aé", 3, "aé"}, {"aéb", 3, "aé..."}, {"aéb", 2, "a..."},
		{"a世界", 4, "a世..."}, {"a世界", 3, "a..."}, {"a世界", 2, "a..."},
		{"😀😀", 7, "😀..."}, {"😀😀", 5, "😀..."}, {"😀😀", 3, "..."}, {"😀", 4, "😀"},
		{"ab\xff\xffcd", 3, "ab\xff..."}, {strings.Repeat("\x80", 10), 6, strings.Repeat("\x80", 6) + "..."},
	} {
		if got := Of(row.text, row.most); got != row.want {
			t.Errorf("%q of %d: %q, want %q", row.text, row.most, got, row.want)
		}
	}
}

// FuzzBeginning has what is cut be a beginning that is no longer than may be, misses less than a character
// of that, and is characters where the text is.
func FuzzBeginning(f *testing.F) {
	f.Add("a世界😀", uint8(5))
	f.Add("\x80\x80\x80\x80\x80", uint8(4))
	f.Fuzz(func(t *testing.T, text string, most uint8) {
		begin, cut := Beginning(text, int(most))
		if !strings.HasPrefix(text, begin) || len(begin) > int(most) || cut != (len(text) > int(most)) || !cut && begin != text {
			t.Fatalf("%q of %d: %q, %v", text, most, begin, cut)
		}
		if cut && len(begin) <= int(most)-utf8.UTFMax || utf8.ValidString(text) && !utf8.ValidString(begin) {
			t.Fatalf("%q of %d: %q", text, most, begin)
		}
	})
}
