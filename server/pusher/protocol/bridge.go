package protocol

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"

	"poosh/auth"
	"poosh/server/hub"
)

// bridgeable reports whether a publication may go over a [hub.Hub.Bridge] between
// a Pusher app and another dialect, in either direction: to a public channel that
// keeps no last event, under a name that is not the protocol's own. Private,
// presence, encrypted, cache and user channels are never bridged.
func bridgeable(p *hub.Publication) bool {
	return ValidChannel(p.Room) && KindOf(p.Room) == Kind{} && ValidEvent(p.Event)
}

// Import makes a publication of a Pusher app's from one whose Data is JSON text, and
// reports whether there may be one. It is for a [hub.Hub.Bridge] to the app. The data
// becomes the string that the JSON is, as it is spelled, or else its compact text.
func Import(p *hub.Publication) bool {
	if !bridgeable(p) {
		return false
	}
	p.Meta = ""
	if value := bytes.TrimSpace(p.Data); len(value) > 1 && value[0] == '"' {
		if !utf8.Valid(value) {
			value = bytes.ToValidUTF8(value, []byte("\ufffd"))
		}
		p.Data = value
		return true
	}
	var text bytes.Buffer
	if json.Compact(&text, p.Data) != nil {
		p.Data = JSONString(p.Data) // what is no JSON stays as it is
		return true
	}
	p.Data = JSONString(text.Bytes())
	return true
}

// Export makes a publication whose Data is JSON text from one of a Pusher app's, and
// reports whether there may be one. It is for a [hub.Hub.Bridge] from the app. The data
// is taken for the JSON that it holds, or else for a string.
func Export(p *hub.Publication) bool {
	var text string
	if !bridgeable(p) || json.Unmarshal(p.Data, &text) != nil {
		return false
	}
	p.Meta, p.Passing = "", false // whether it is kept there is not this app's business
	if v, err := auth.Parse([]byte(text)); err == nil {
		p.Data = v.AppendCompact(nil)
		return true
	}
	data, err := json.Marshal(text)
	p.Data = data
	return err == nil
}
