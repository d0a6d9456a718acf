package client

import (
	"encoding/json"
	"math"
	"reflect"
	"testing"
	"unicode/utf8"

	"poosh/auth"
	"poosh/server/hub"
	"poosh/server/pusher/app"
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

// FuzzSince reads what strangers ask for of what is kept: with a subscription, where it is a
// position or how far to go back, and for several channels at once. Whatever it is, it is one
// question that can be asked, or refused.
func FuzzSince(f *testing.F) {
	stream := protocol.StreamID(1<<50 - 1)
	for _, s := range []string{
		`{"stream_id":"` + stream + `","serial":7,"socket_id":"1.2"}`, `{"stream_id":"` + stream + `","serial":18446744073709551615}`,
		`{"stream_id":"` + stream + `","serial":-1}`, `{"stream_id":"` + stream + `","serial":1e300}`, `{"STREAM_ID":"` + stream + `","serial":1,"serial":2}`,
		`{"stream_id":{},"serial":[]}`, `2`, `"2"`, `2.5`, `-1`, `1e309`, `"NaN"`, `{"count":2}`, `{"count":1e300,"seconds":1}`, `{"seconds":1e300}`,
		`{"seconds":5e-324}`, `{"duration_seconds":30}`, `{"count":null,"seconds":null}`, `true`, `[]`, `{}`, `"\ud800"`, `null`,
		`{"a":{"stream_id":"` + stream + `","serial":1},"a":7,"\ud800":null}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		m, err := parseMessage([]byte(`{"event":"sockudo:subscribe","data":{"channel":"c","resume":` + in + `,"rewind":` + in + `,"channel_positions":` + in + `}}`))
		if err != nil {
			return
		}
		positions, err := readPositions(m)
		if err != nil {
			t.Fatalf("%s: %v, of an object", in, err)
		}
		for name, text := range positions {
			checkPosition(t, readPosition(text))
			if name = string(protocol.JSONString([]byte(name))); !json.Valid([]byte(name)) {
				t.Fatalf("%s names a channel %s", in, name)
			}
		}
		want, err := parseSubscribe(m)
		if err != nil {
			return
		}
		if asked(want.resume) {
			checkPosition(t, readPosition(want.resume.Bytes()))
		}
		if !asked(want.rewind) {
			return
		}
		s, err := readRewind(want.rewind)
		if err != nil {
			if !reflect.DeepEqual(s, app.Since{}) {
				t.Fatalf("%s is refused, and asks for %+v", in, s)
			}
			return
		}
		if !s.Rewind || s.Resume || s.Count > 0 && s.Within > 0 || s.Count < 0 || s.Count > math.MaxInt32 || s.Within < 0 {
			t.Fatalf("%s asks for %+v", in, s)
		}
	})
}

func checkPosition(t *testing.T, s app.Since) {
	t.Helper()
	if !s.Resume || s.Rewind || s.Count != 0 || s.Within != 0 {
		t.Fatalf("a position asks for %+v", s)
	}
	// As the zero position it would ask for nothing, and miss nothing.
	if s.After.IsZero() || s.After != app.NoPosition && (s.After.Epoch == 0 || s.After.Epoch >= 1<<50) {
		t.Fatalf("a position is %+v", s.After)
	}
}
