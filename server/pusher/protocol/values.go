package protocol

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"unicode/utf8"

	"poosh/auth"
	"poosh/server/excerpt"
)

// EmptyObject is the JSON text of data that says nothing. It must not be changed.
var EmptyObject = []byte("{}")

// Pick is [auth.Pick] for an object alone.
func Pick(data []byte, names []string, values []auth.Value) error {
	if data = bytes.TrimLeft(data, " \t\r\n"); len(data) == 0 || data[0] != '{' {
		return auth.ErrNotObject
	}
	return auth.Pick(data, names, values)
}

// TextOf is the text that a value is, which is empty for null and for what is not
// there. It reports false for another kind of value.
func TextOf(v auth.Value) (string, bool) {
	switch v.Kind() {
	case auth.Absent, auth.Null:
		return "", true
	case auth.String:
		var room [64]byte
		return string(appendText(room[:0], v)), true
	}
	return "", false
}

// appendText appends the text that a string is. Half of a surrogate pair, and what is no
// UTF-8, becomes U+FFFD, as encoding/json and Pusher's own servers have it.
func appendText(dst []byte, v auth.Value) []byte {
	from := len(dst)
	dst = v.AppendUnquoted(slices.Grow(dst, len(v.Bytes())))
	if utf8.Valid(dst[from:]) {
		return dst
	}
	var text string
	json.Unmarshal(v.Bytes(), &text) // a string of JSON that was read before: it cannot fail
	return append(dst[:from], text...)
}

// idOf is a user's id: a text, or a number as PHP and Pusher's own documentation
// have it, which stands for its digits as they were sent. It is empty for anything
// else.
func idOf(v auth.Value) string {
	if v.Kind() == auth.Number {
		return string(v.Bytes())
	}
	text, _ := TextOf(v)
	return text
}

// DataText turns a JSON value into the text that it travels as, which is no part of
// what the value was read from.
func DataText(v auth.Value) []byte {
	if v.Kind() == auth.String {
		return appendText(nil, v)
	}
	return v.AppendCompact(nil)
}

// Shown is a client's text as an error may repeat it.
func Shown(text string) string {
	return strconv.Quote(excerpt.Of(text, 200))
}

// TooMuchData is said of an event's data. The tests of official libraries look for
// the first words as they stand.
func TooMuchData(size, limit int) string {
	return fmt.Sprintf("The data content of this event exceeds the allowed maximum (%d bytes): it has %d; the limit is the app's max_event_bytes",
		limit, size)
}
