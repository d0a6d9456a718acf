package protocol

import (
	"poosh/server/hub"
	"poosh/server/websocket"
)

// Encoder writes publications as all connections of this dialect read them. The
// data of a channel event is always a string (Pusher Channels protocol, "Double
// encoding"), and so is a publication's: see [JSONString].
var Encoder hub.Encoder = encoder{}

type encoder struct{}

// Encode makes the frame of a publication. A key that has no value is left out:
// the Java library throws at null.
func (encoder) Encode(p *hub.Publication) []byte {
	b := newFrame(len(p.Event) + len(p.Room) + len(p.Data) + len(p.Meta) + 64)
	b = append(b, `{"event":`...)
	b = AppendString(b, p.Event)
	b = append(b, `,"channel":`...)
	b = AppendString(b, p.Room)
	b = append(b, `,"data":`...)
	b = append(b, p.Data...)
	if p.Meta != "" {
		b = append(b, `,"user_id":`...)
		b = AppendString(b, p.Meta)
	}
	return websocket.FrameInPlace(append(b, '}'))
}
