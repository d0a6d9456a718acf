package poosh

import (
	"poosh/server/hub"
	"poosh/server/socketio"
)

// dialectName is what the dialect is called in the log, in metrics and to who watches.
const dialectName = "socket.io"

// App is the hub's partition for Poosh's clients. The Data of its publications is JSON
// text.
const App = ""

// How publications reach Poosh's clients: as the Socket.IO event
// ["event",payload], the same bytes for every client version and transport. Only
// what clients of Engine.IO protocol 4 must not get sets these apart.
var (
	Encoder  hub.Encoder = encoder{}
	Encoder4 hub.Encoder = encoder{protocol4: true}
)

type encoder struct{ protocol4 bool }

// Encode returns the frame of a publication, whose Data is JSON text.
//
// The event disconnect calls a handler of that name in clients of 1.x and 2.x;
// newer ones take it for a broken packet and drop the connection, socket.io-parser
// 4.2.4, isDataValid.
func (e encoder) Encode(p *hub.Publication) []byte {
	if e.protocol4 && p.Event == "disconnect" {
		return nil
	}
	return socketio.EventFrame(p.Event, p.Data)
}
