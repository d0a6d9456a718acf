package poosh

import (
	"poosh/server/eventsource"
	"poosh/server/hub"
)

// How publications reach clients of GET /events: as an event of the sender's name, whose data
// is the payload as JSON. With positions, where there are any, which are the events' ids.
var (
	EncoderStream    hub.Encoder = streamed{}
	EncoderStreamIDs hub.Encoder = numberedStream{}
)

type streamed struct{}

// Encode returns the frame of a publication, whose Data is JSON text; nil for one whose
// event's name has a line break in it, which cannot be said in a stream.
func (streamed) Encode(p *hub.Publication) []byte { return streamFrame("", p) }

func streamFrame(id string, p *hub.Publication) []byte {
	frame, ok := eventsource.Event(id, p.Event, p.Data)
	if !ok {
		return nil
	}
	return frame
}

type numberedStream struct{}

var _ hub.Numbered = numberedStream{}

// Encode returns the frame of a publication, with room for its position.
func (numberedStream) Encode(p *hub.Publication) []byte { return streamFrame(hub.NoPosition, p) }

// Place implements [hub.Numbered].
func (numberedStream) Place(frame []byte, at hub.Position) {
	at.Put(eventsource.ID(frame, hub.PositionSize))
}
