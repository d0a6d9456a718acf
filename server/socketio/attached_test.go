package socketio

import (
	"bytes"
	"strings"
	"testing"
)

// An event with buffers is one piece, from which each form of polling makes its packets: those of
// engine.io-parser 1.2.1 (encodePayloadAsBinary, encodeBase64Packet) and 5.2.3.
func TestAttachmentsOnPolling(t *testing.T) {
	large := bytes.Repeat([]byte{7}, 70_000)
	p := Packet{Event: "e", Arguments: []byte(`{"_placeholder":true,"num":0},[{"_placeholder":true,"num":1}]`), Attachments: [][]byte{{1, 2, 3}, {}}}
	text := `452-["e",{"_placeholder":true,"num":0},[{"_placeholder":true,"num":1}]]`
	next := EventFrame("f", nil)
	for _, tt := range []struct {
		name     string
		form     form
		protocol int
		want     string
	}{
		{"separated", formSeparated, 4, text + "\x1ebAQID\x1eb\x1e42[\"f\",null]"},
		{"text", formText, 3, "71:" + text + "6:b4AQID2:b4" + "12:42[\"f\",null]"},
		{"binary", formBinary, 3, "\x00\x07\x01\xff" + text + "\x01\x04\xff\x04\x01\x02\x03" + "\x01\x01\xff\x04" + "\x00\x01\x02\xff42[\"f\",null]"},
	} {
		if got := string(appendPayload(nil, tt.form, [][]byte{p.Frames(tt.protocol), next})); got != tt.want {
			t.Errorf("%s: %q, want\n%q", tt.name, got, tt.want)
		}
	}
	p.Attachments = [][]byte{large, {}}
	p.Mark = "0000"
	frames := p.Frames(4)
	if copy(Mark(frames, 4), "1234"); !bytes.Contains(frames, []byte(`}],"1234"]`)) {
		t.Error("the mark is not where it is filled in")
	}
	if got := string(appendPayload(nil, formSeparated, [][]byte{frames})); strings.Count(got, "\x1e") != 2 || len(got) < 93_000 {
		t.Errorf("large attachments make %d bytes", len(got))
	}
}
