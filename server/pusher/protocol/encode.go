package protocol

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"

	"poosh/server/hub"
	"poosh/server/websocket"
)

// Encoder writes publications as all connections of this dialect read them. The
// data of a channel event is always a string (Pusher Channels protocol, "Double
// encoding"): a publication's text as it is; of JSON from another dialect, the
// string if it is one, otherwise its compact text.
var Encoder hub.Encoder = encoder{}

type encoder struct{}

// Encode makes the frame of a publication. A key that has no value is left out:
// the Java library throws at null.
func (encoder) Encode(p *hub.Publication) []byte {
	b := newFrame(len(p.Event) + len(p.Room) + len(p.Data) + len(p.Data)/4 + len(p.UserID) + 64)
	b = append(b, `{"event":`...)
	b = AppendString(b, p.Event)
	b = append(b, `,"channel":`...)
	b = AppendString(b, p.Room)
	b = append(b, `,"data":`...)
	if p.Text {
		b = AppendString(b, p.Data)
	} else {
		b = appendJSONAsString(b, p.Data)
	}
	if p.UserID != "" {
		b = append(b, `,"user_id":`...)
		b = AppendString(b, p.UserID)
	}
	return websocket.FrameInPlace(append(b, '}'))
}

// appendJSONAsString appends a JSON value as a JSON string: a string as it is,
// anything else as its compact text.
func appendJSONAsString(b, value []byte) []byte {
	value = bytes.TrimSpace(value)
	if len(value) > 1 && value[0] == '"' {
		if !utf8.Valid(value) {
			value = bytes.ToValidUTF8(value, []byte("\ufffd"))
		}
		return append(b, value...)
	}
	return AppendString(b, compact(value))
}

// compact takes the blanks out of a JSON text; what is no JSON stays as it is.
func compact(value []byte) []byte {
	var buf bytes.Buffer
	if json.Compact(&buf, value) != nil {
		return value
	}
	return buf.Bytes()
}
