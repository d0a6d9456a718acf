package protocol

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"poosh/auth"
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
		if quoted := v.Bytes(); plain(quoted) {
			return string(quoted[1 : len(quoted)-1]), true
		}
		var text string
		err := json.Unmarshal(v.Bytes(), &text)
		return text, err == nil
	}
	return "", false
}

// plain reports whether a JSON string stands for the bytes between its quotes.
func plain(quoted []byte) bool {
	for _, c := range quoted {
		if c >= utf8.RuneSelf || c == '\\' {
			return false
		}
	}
	return true
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
		text, _ := TextOf(v)
		return []byte(text)
	}
	return v.AppendCompact(nil)
}

// Shown is a client's text as an error may repeat it.
func Shown(text string) string {
	const most = 200
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "..."
	}
	return strconv.Quote(text)
}

// TooMuchData is said of an event's data. The tests of official libraries look for
// the first words as they stand.
func TooMuchData(size, limit int) string {
	return fmt.Sprintf("The data content of this event exceeds the allowed maximum (%d bytes): it has %d; the limit is the app's max_event_bytes",
		limit, size)
}
