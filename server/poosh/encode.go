package poosh

import (
	"poosh/server/hub"
	"poosh/server/socketio"
)

// dialectName is what the dialect is called in the log, in metrics and to who watches.
const dialectName = "socket.io"

// App is the hub's partition for Poosh's clients. The Data of its publications is JSON
// text, and their Meta a [Shape].
const App = ""

// How publications reach Poosh's clients: as the Socket.IO event
// ["event",payload], the same bytes for every client version and transport. Only
// what clients of Engine.IO protocol 4 must not get sets these apart, and how buffers are written.
var (
	Encoder  hub.Encoder = encoder{}
	Encoder4 hub.Encoder = encoder{protocol4: true}
	// The same for clients that have asked for positions: they stand behind the payload, as
	// one more argument, ["event",payload,"position"].
	EncoderIDs  hub.Encoder = positioned{encoder{}}
	EncoderIDs4 hub.Encoder = positioned{encoder{protocol4: true}}
)

type encoder struct{ protocol4 bool }

// Encode returns the frame of a publication, whose Data is JSON text.
//
// The event disconnect calls a handler of that name in clients of 1.x and 2.x;
// newer ones take it for a broken packet and drop the connection, socket.io-parser
// 4.2.4, isDataValid.
func (e encoder) Encode(p *hub.Publication) []byte {
	if !e.may(p) {
		return nil
	}
	if p.Meta != "" {
		return e.shaped(p, "")
	}
	return socketio.EventFrame(p.Event, p.Data)
}

// shaped is the frames of a publication with a [Shape]; nil for one of a shape that is not known
// here.
func (e encoder) shaped(p *hub.Publication, mark string) []byte {
	made, ok := packet(p)
	if !ok {
		return nil
	}
	made.Mark = mark
	protocol := 3
	if e.protocol4 {
		protocol = 4
	}
	return made.Frames(protocol)
}

func (e encoder) may(p *hub.Publication) bool { return !e.protocol4 || p.Event != "disconnect" }

// positioned is an encoder with the position behind the payload.
type positioned struct{ encoder }

var _ hub.Numbered = positioned{}

// Encode returns the frame of a publication, with room for its position.
func (e positioned) Encode(p *hub.Publication) []byte {
	if !e.may(p) {
		return nil
	}
	if p.Meta != "" {
		return e.shaped(p, hub.NoPosition)
	}
	return socketio.MarkedFrame(p.Event, p.Data, hub.NoPosition)
}

// Place implements [hub.Numbered].
func (positioned) Place(frame []byte, at hub.Position) {
	at.Put(socketio.Mark(frame, hub.PositionSize))
}
