package poosh

import (
	"encoding/json"

	"poosh/auth"
	"poosh/server/hub"
	"poosh/server/socketio"
)

// App is the hub's partition for Poosh's clients.
const App = ""

// Encoder is how publications reach Poosh's clients: as the Socket.IO event
// ["event",payload], the same bytes for every client version and transport.
var Encoder hub.Encoder = encoder{}

type encoder struct{}

// Encode returns the frame of a publication. A payload that another dialect
// carries as text is taken for the JSON it holds, or else for a string.
func (encoder) Encode(p *hub.Publication) []byte {
	data := p.Data
	if p.Text {
		if v, err := auth.Parse(data); err == nil {
			data = v.AppendCompact(nil)
		} else if data, err = json.Marshal(string(p.Data)); err != nil {
			data = nil // not for any string
		}
	}
	return socketio.EventFrame(p.Event, data)
}
