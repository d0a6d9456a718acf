package client

import (
	"errors"

	"poosh/auth"
	"poosh/server/pusher/protocol"
)

// A message is one frame of a client. It refers to the frame, and is good as long
// as that is.
type message struct {
	Event   string
	Channel string
	Data    auth.Value // absent when there is none
}

var (
	errNotJSON = errors.New("a message must be a JSON object")
	errNoEvent = errors.New("a message must have an event, which is a string")
	errNoData  = errors.New("data must be an object")
)

var messageNames = []string{"event", "channel", "data"}

// parseMessage reads a client's frame. Fields that nobody knows are ignored; names
// match to the letter, here as everywhere, or the server would see another message
// than the page that made it.
func parseMessage(data []byte) (message, error) {
	var values [3]auth.Value
	if err := protocol.Pick(data, messageNames, values[:]); err != nil {
		return message{}, errNotJSON
	}
	event, ok := protocol.TextOf(values[0])
	if !ok || event == "" {
		return message{}, errNoEvent
	}
	channel, ok := protocol.TextOf(values[1])
	if !ok {
		return message{}, protocol.ErrBadChannel
	}
	return message{event, channel, values[2]}, nil
}

// pick reads the data of a protocol event: an object, or a string that holds one,
// as some libraries send it.
func (m message) pick(names []string, values []auth.Value) error {
	raw := m.Data.Bytes()
	if m.Data.Kind() == auth.String {
		text, _ := protocol.TextOf(m.Data)
		raw = []byte(text)
	}
	if protocol.Pick(raw, names, values) != nil {
		return errNoData
	}
	return nil
}

// text is the data of a client event as the string that receivers are sent: a
// string as it is, anything else as its compact JSON text, nothing as an empty
// object.
func (m message) text() []byte {
	if m.Data.Kind() == auth.Absent {
		return protocol.EmptyObject
	}
	return protocol.DataText(m.Data)
}
