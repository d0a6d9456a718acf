package client

import (
	"encoding/json"
	"testing"
	"unicode/utf8"

	"poosh/auth"
	"poosh/server/hub"
	"poosh/server/pusher/protocol"
	"poosh/server/websocket"
)

// FuzzMessage feeds frames of strangers to the parser and everything behind it
// that needs no connection, and reads what comes out as a client would.
func FuzzMessage(f *testing.F) {
	for _, s := range []string{
		`{"event":"pusher:subscribe","data":{"channel":"a","auth":"k:0","channel_data":"{\"user_id\":1}"}}`,
		`{"event":"pusher:subscribe","data":"{\"channel\":\"a\"}"}`,
		`{"event":"client-x","channel":"private-a","data":{"a":[1,null,"\ud800"]}}`,
		`{"event":"pusher:signin","data":{"user_data":"{\"id\":\"1\",\"watchlist\":[\"2\"]}"}}`,
		`{"event":null}`, `[]`, `"x"`, `{"data":"`, "{\"event\":\"\xff\"}", `{"event":"a","channel":null,"data":1e999}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		m, err := parseMessage([]byte(in))
		if err != nil {
			return
		}
		frame := websocket.Payload(protocol.Encoder.Encode(&hub.Publication{Room: m.Channel, Event: m.Event, Data: protocol.JSONString(m.text())}))
		var out struct {
			Event, Channel string
			Data           *string
		}
		if err := json.Unmarshal(frame, &out); err != nil || out.Data == nil || !utf8.Valid(frame) {
			t.Fatalf("%v in %q", err, frame)
		}
		if out.Event != m.Event || out.Channel != m.Channel || *out.Data != string(m.text()) {
			t.Fatalf("%q became %q", in, frame)
		}
		var fields [2]auth.Value
		if m.pick([]string{"channel_data", "user_data"}, fields[:]) != nil {
			return
		}
		channelData, _ := protocol.TextOf(fields[0])
		userData, _ := protocol.TextOf(fields[1])
		if who, err := protocol.ParseMember(channelData); err == nil {
			if !json.Valid(who.Info) || !protocol.ValidUserID(who.ID) {
				t.Fatalf("member %+v", who)
			}
		}
		if user, err := protocol.ParseUser(userData); err == nil && (!json.Valid(user.Info) || !json.Valid(websocket.Payload(protocol.WatchlistFrame(user.Watchlist, nil)))) {
			t.Fatalf("user %+v", user)
		}
	})
}
