package poosh

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"poosh/server/hub"
	"poosh/server/logtest"
)

// What an event is to clients of Socket.IO, and to dialects across a bridge, by its shape.
func TestShapes(t *testing.T) {
	for _, tt := range []struct {
		name    string
		shape   Shape
		data    string
		want    string // of Engine.IO 4, with the header of a frame; empty for nothing
		crosses bool
	}{
		{"one", Shape{}, `{"a":1}`, "\x81\x0f42[\"e\",{\"a\":1}]", true},
		{"none", Shape{Several: true}, `[]`, "\x81\x0742[\"e\"]", false},
		{"two", Shape{Several: true}, `[1,"b"]`, "\x81\x0d42[\"e\",1,\"b\"]", false},
		{"a buffer", Shape{Buffers: []Buffer{{0, 6}}}, `"AQID"`, "\x81\x27" + `451-["e",{"_placeholder":true,"num":0}]` + "\x82\x03\x01\x02\x03", true},
		{"no base64", Shape{Buffers: []Buffer{{0, 6}}}, `"%%%%"`, "", true},
		{"outside", Shape{Buffers: []Buffer{{1, 6}}}, `"AQID"`, "", false},
		{"no list", Shape{Several: true}, `1`, "", false},
	} {
		p := &hub.Publication{Event: "e", Data: []byte(tt.data), Meta: tt.shape.Meta()}
		if got := string(Encoder4.Encode(p)); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
		if got := exportable(p); got != tt.crosses || p.Meta != "" {
			t.Errorf("%s: crosses %t, with %q", tt.name, got, p.Meta)
		}
	}
	for _, meta := range []string{"2", "n 1", "n 1+", "n -1+3", "1 4+2 0+2", "1 0+1", "1  0+2"} {
		if s, ok := parseShape(meta, 10); ok {
			t.Errorf("%q is %+v", meta, s)
		}
	}
}

// While nothing gets out, the log has a line of that once a minute.
func TestUnpublishedIsSaidSeldom(t *testing.T) {
	var log logtest.Buffer
	synctest.Test(t, func(*testing.T) {
		u := new(unpublished)
		for range 3 {
			u.say(slog.New(slog.NewTextHandler(&log, nil)), &hub.Publication{Event: "e"}, hub.ErrUncertain)
		}
		time.Sleep(time.Minute)
		u.say(slog.New(slog.NewTextHandler(&log, nil)), &hub.Publication{Event: "e"}, hub.ErrUncertain)
	})
	if text := log.String(); strings.Count(text, "\n") != 2 || !strings.Contains(text, `"others before"=2`) {
		t.Errorf("the log has\n%s", text)
	}
}
