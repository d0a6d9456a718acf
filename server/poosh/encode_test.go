package poosh

import (
	"testing"

	"poosh/server/hub"
	frames "poosh/server/websocket"
)

func TestEncode(t *testing.T) {
	tests := []struct {
		name string
		pub  hub.Publication
		want string
	}{
		{"JSON", hub.Publication{Event: "e", Data: []byte(`{"b":1.50,"a":12345678901234567890}`)}, `42["e",{"b":1.50,"a":12345678901234567890}]`},
		{"no payload", hub.Publication{Event: "e"}, `42["e",null]`},
		{"a string", hub.Publication{Event: "e", Data: []byte(`"é \"x\" \u003cb\u003e"`)}, `42["e","\u00e9 \"x\" \u003cb\u003e"]`},
		{"disconnect", hub.Publication{Event: "disconnect", Data: []byte("1")}, `42["disconnect",1]`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := string(frames.Payload(Encoder.Encode(&tt.pub))); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			frame := Encoder4.Encode(&tt.pub)
			if tt.pub.Event == "disconnect" {
				if frame != nil {
					t.Errorf("a client of protocol 4 would drop the connection over %s", frame)
				}
			} else if got := string(frames.Payload(frame)); got != tt.want {
				t.Errorf("protocol 4: got %s, want %s", got, tt.want)
			}
		})
	}
}
