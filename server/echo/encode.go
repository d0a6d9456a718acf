package echo

import (
	"strconv"

	"poosh/server/hub"
	"poosh/server/socketio"
)

// App is the hub's partition for clients of this dialect. The Data of its publications is JSON
// text.
const App = "echo"

// How publications reach clients: as the Socket.IO event ["event","channel",data].
var (
	plain hub.Encoder = encoder{}
	// The same for clients that may come back by connection state recovery: the position stands
	// behind the data, as one more argument.
	numbered hub.Encoder = positioned{}
)

type encoder struct{}

// Encode implements [hub.Encoder].
func (encoder) Encode(p *hub.Publication) []byte {
	return socketio.EventFrame(p.Event, arguments(p.Room, p.Data))
}

// arguments are those behind the name of an event.
func arguments(channel string, data []byte) []byte {
	b := make([]byte, 0, len(channel)+len(data)+8)
	return append(append(socketio.AppendString(b, channel), ','), data...)
}

type positioned struct{}

var _ hub.Numbered = positioned{}

// Encode implements [hub.Encoder]. What is not kept has no position, but clients take a text at
// the end for one (socket.io-client 4.8.1, lib/socket.ts, emitEvent): so there is something else
// behind it.
func (positioned) Encode(p *hub.Publication) []byte {
	data := arguments(p.Room, p.Data)
	switch {
	case !p.Passing:
		return socketio.MarkedFrame(p.Event, data, hub.NoPosition)
	case p.Data[0] == '"':
		data = append(data, ",null"...)
	}
	return socketio.EventFrame(p.Event, data)
}

// Place implements [hub.Numbered].
func (positioned) Place(frame []byte, at hub.Position) {
	if mark := socketio.Mark(frame, hub.PositionSize); string(mark) == hub.NoPosition {
		at.Put(mark)
	}
}

// errorFrame tells a client that it may not be in a channel.
func errorFrame(channel string, status int) []byte {
	return socketio.EventFrame("subscription_error", arguments(channel, strconv.AppendInt(nil, int64(status), 10)))
}
