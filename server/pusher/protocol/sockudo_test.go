package protocol

import (
	"encoding/json"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"poosh/server/hub"
	"poosh/server/websocket"
)

var uuid = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[48][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

func TestMessageIDs(t *testing.T) {
	const most = 1<<50 - 1
	seen := make(map[string]hub.Position)
	positions := []hub.Position{{Epoch: 1}, {Epoch: most}, {Epoch: most, Number: most}, {Epoch: 1, Number: most}, {Epoch: 1 << 48, Number: 1}, {Epoch: 1 << 49, Number: 1 << 38}}
	for range 1000 {
		positions = append(positions, hub.Position{Epoch: 1 + rand.Uint64N(most), Number: rand.Uint64N(most)})
	}
	for _, at := range positions {
		id := MessageID(at)
		if other, twice := seen[id]; !uuid.MatchString(id) || twice && other != at {
			t.Fatalf("%v is %s, %v too", at, id, other)
		}
		seen[id] = at
		if epoch, ok := ParseStreamID(StreamID(at.Epoch)); !ok || epoch != at.Epoch {
			t.Fatalf("%s is read as %d, %v; want %d", StreamID(at.Epoch), epoch, ok, at.Epoch)
		}
		if _, ok := ParseStreamID(id); ok != (at.Number == 0) {
			t.Fatalf("the message %s is taken for a stream: %v", id, ok)
		}
	}
	for _, bad := range []string{"", "x", noID, newMessageID(), StreamID(7) + "0", "00000000-0007-8000-8000-00000000000g"} {
		if _, ok := ParseStreamID(bad); ok {
			t.Errorf("%q is taken for a stream", bad)
		}
	}
}

func TestSockudoFrames(t *testing.T) {
	p := &hub.Publication{Room: "news", Event: "e", Data: []byte(`"1"`), Meta: "anna"}
	at := hub.Position{Epoch: 77, Number: 1234567}
	frame := SockudoEncoderKept.Encode(p)
	for _, at := range []hub.Position{{Epoch: 1<<50 - 1, Number: 1<<50 - 1}, at} { // the longest, and over it another
		SockudoEncoderKept.(hub.Numbered).Place(frame, at)
		var got struct {
			Event, Channel, Data string
			UserID               string `json:"user_id"`
			MessageID            string `json:"message_id"`
			StreamID             string `json:"stream_id"`
			Serial               uint64
		}
		if err := json.Unmarshal(websocket.Payload(frame), &got); err != nil {
			t.Fatalf("%v: %s", err, websocket.Payload(frame))
		}
		if got.Event != "e" || got.Channel != "news" || got.Data != "1" || got.UserID != "anna" ||
			got.MessageID != MessageID(at) || got.StreamID != StreamID(at.Epoch) || got.Serial != at.Number {
			t.Errorf("%v: %s", at, websocket.Payload(frame))
		}
	}
	passing := *p
	passing.Passing, passing.Event = true, "pusher_internal:member_added"
	frame = SockudoEncoderKept.Encode(&passing)
	SockudoEncoderKept.(hub.Numbered).Place(frame, at)
	if got := string(websocket.Payload(frame)); got != `{"event":"sockudo_internal:member_added","channel":"news","data":"1","user_id":"anna"}` {
		t.Error(got)
	}
	for _, event := range []string{"sockudo:resume_success", "sockudo_internal:x"} {
		p := &hub.Publication{Room: "news", Event: event, Data: []byte(`"1"`)}
		if SockudoEncoder.Encode(p) != nil || SockudoEncoderKept.Encode(p) != nil {
			t.Errorf("%s is taken from a sender", event)
		}
	}
}

// A text names a stream, and then it is what that is called, or it does not.
func FuzzStreamID(f *testing.F) {
	for _, s := range []string{StreamID(1), StreamID(1<<50 - 1), MessageID(hub.Position{Epoch: 1, Number: 1}), noID, "", "00000000-0007-8000-8000-00000000000g", strings.Repeat("\xff", idLength), strings.ToUpper(StreamID(1<<50 - 1))} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		epoch, ok := ParseStreamID(text)
		if !ok {
			return
		}
		if epoch == 0 || epoch >= 1<<50 || StreamID(epoch) != text {
			t.Errorf("%q is read as %d, which is called %q", text, epoch, StreamID(epoch))
		}
	})
}
