// Package excerpt shortens what others have named, such as channels, events and ids, so that the log and
// what operators look at stay small.
package excerpt

import "unicode/utf8"

// Of returns a text that has at most so many bytes as it is, and of a longer one the beginning with ...
// behind it.
func Of(text string, most int) string {
	begin, cut := Beginning(text, most)
	if cut {
		begin += "..."
	}
	return begin
}

// Beginning returns at most so many bytes of a text, without a part of a character at the end, and whether
// there is more of it. What is no UTF-8 is not made any. It shares the text's memory.
func Beginning(text string, most int) (begin string, cut bool) {
	if len(text) <= most {
		return text, false
	}
	end := most
	for end > 0 && most-end < utf8.UTFMax-1 && !utf8.RuneStart(text[end]) {
		end--
	}
	if !utf8.RuneStart(text[end]) { // it is no character that was cut
		end = most
	}
	return text[:end], true
}
