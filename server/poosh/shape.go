package poosh

import (
	"encoding/base64"
	"strconv"
	"strings"

	"poosh/server/hub"
	"poosh/server/socketio"
)

// A Shape is what the Meta of a publication says of its Data, where that is not simply the one
// argument of the event. Data is JSON text whatever its shape, so who knows no shapes reads it as
// JSON, buffers as texts in base64.
type Shape struct {
	// Several says that Data is an array of the event's arguments, none or more than one.
	Several bool
	// Buffers are what clients of Socket.IO get as binary: where their texts stand in Data, quotes
	// and all, in the order in which they do; at the most [socketio.MaxAttachments].
	Buffers []Buffer
}

// A Buffer is where a text in base64 stands in the Data of a publication.
type Buffer struct{ Start, Size int }

// What a Meta begins with. Behind it stands "start+size" of each buffer, with blanks between.
const (
	shapeOne     = "1"
	shapeSeveral = "n"
)

// Meta is s as [hub.Publication] has it.
func (s Shape) Meta() string {
	if !s.Several && len(s.Buffers) == 0 {
		return ""
	}
	b := []byte(shapeOne)
	if s.Several {
		b = []byte(shapeSeveral)
	}
	for _, at := range s.Buffers {
		b = strconv.AppendInt(append(b, ' '), int64(at.Start), 10)
		b = strconv.AppendInt(append(b, '+'), int64(at.Size), 10)
	}
	return string(b)
}

// parseShape reads what Meta wrote of size bytes of Data. ok is false for anything else.
func parseShape(meta string, size int) (s Shape, ok bool) {
	if meta == "" {
		return s, true
	}
	kind, rest, more := strings.Cut(meta, " ")
	if s.Several = kind == shapeSeveral; !s.Several && kind != shapeOne {
		return Shape{}, false
	}
	for end := 0; more; {
		var one string
		one, rest, more = strings.Cut(rest, " ")
		start, length, _ := strings.Cut(one, "+")
		at := Buffer{}
		var err, err2 error
		at.Start, err = strconv.Atoi(start)
		at.Size, err2 = strconv.Atoi(length)
		if err != nil || err2 != nil || at.Start < end || at.Size < 2 || at.Size > size-at.Start || len(s.Buffers) == socketio.MaxAttachments {
			return Shape{}, false
		}
		end = at.Start + at.Size
		s.Buffers = append(s.Buffers, at)
	}
	return s, true
}

// packet is a publication with a shape, for clients of Socket.IO. ok is false for one whose Meta says
// what is not known here.
func packet(p *hub.Publication) (made socketio.Packet, ok bool) {
	s, ok := parseShape(p.Meta, len(p.Data))
	if !ok {
		return made, false
	}
	made.Event = p.Event
	args, at := make([]byte, 0, len(p.Data)), 0
	for i, buffer := range s.Buffers {
		end := buffer.Start + buffer.Size
		raw, err := base64.StdEncoding.AppendDecode(nil, p.Data[buffer.Start+1:end-1])
		if err != nil {
			return made, false
		}
		made.Attachments = append(made.Attachments, raw)
		args = socketio.AppendPlaceholder(append(args, p.Data[at:buffer.Start]...), i)
		at = end
	}
	args = append(args, p.Data[at:]...)
	if s.Several {
		if len(args) < 2 || args[0] != '[' {
			return made, false
		}
		args = args[1 : len(args)-1]
	}
	made.Arguments = args
	return made, true
}

// exportable reports whether an event may reach other dialects over a bridge: with one argument, as
// POST /send has it. A buffer is a text in base64 there.
func exportable(p *hub.Publication) bool {
	s, ok := parseShape(p.Meta, len(p.Data))
	p.Meta = ""
	return ok && !s.Several
}
