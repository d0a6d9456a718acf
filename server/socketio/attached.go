package socketio

import (
	"strconv"

	"poosh/server/websocket"
)

// MaxAttachments is how many buffers one event may have: socket.io-parser takes no more than ten
// since its releases of 2026, and closes the connection over more.
const MaxAttachments = maxAttachments

// messageLead is the type of a message as binary packets of protocols 2 and 3 begin with it.
var messageLead = []byte{engineMessage - '0'}

// AppendPlaceholder appends what stands in the arguments of an event in the place of one of its
// attachments, by its number from 0 on (socket.io-parser, deconstructPacket).
func AppendPlaceholder(b []byte, number int) []byte {
	b = append(b, `{"_placeholder":true,"num":`...)
	return append(strconv.AppendInt(b, int64(number), 10), '}')
}

// A Packet is an event with any number of arguments, and buffers among them.
type Packet struct {
	Event     string
	Arguments []byte // JSON texts with commas between; empty for none
	// Mark is one more argument, as [MarkedFrame] has it; empty for none.
	Mark string
	// Attachments are the buffers, at the most [MaxAttachments]. Placeholders stand for them in
	// Arguments.
	Attachments [][]byte
}

// Frames returns the packet for clients of an Engine.IO protocol, 4 or another: one piece for
// [Session.Deliver], in which the attachments follow the event, as they must. What is said of
// [EventFrame] holds for it.
func (p *Packet) Frames(protocol int) []byte {
	size := len(p.Event) + len(p.Arguments) + len(p.Mark) + 32
	b := make([]byte, websocket.HeaderSpace, websocket.HeaderSpace+size)
	if len(p.Attachments) == 0 {
		b = append(b, `42[`...)
	} else {
		b = append(b, engineMessage, typeBinaryEvent)
		b = append(strconv.AppendInt(b, int64(len(p.Attachments)), 10), `-[`...)
	}
	b = appendString(b, p.Event)
	if len(p.Arguments) > 0 {
		b = appendASCII(append(b, ','), p.Arguments)
	}
	if p.Mark != "" {
		b = append(append(append(b, `,"`...), p.Mark...), '"')
	}
	frames := websocket.FrameInPlace(append(b, ']'))
	lead := messageLead
	if protocol == 4 {
		lead = nil
	}
	for _, a := range p.Attachments {
		frames = websocket.AppendBinary(frames, lead, a)
	}
	return frames
}
