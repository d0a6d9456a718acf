package protocol

import (
	"encoding/json"
	"testing"

	"poosh/server/websocket"
)

// TestFrames compares every frame of the protocol byte by byte. Libraries read them by
// their types: the data of most is a string, of some an object.
func TestFrames(t *testing.T) {
	tests := []struct {
		name  string
		frame []byte
		want  string
	}{
		{"ping", PingFrame, `{"event":"pusher:ping","data":"{}"}`},
		{"pong", PongFrame, `{"event":"pusher:pong","data":"{}"}`},
		{"established", EstablishedFrame("1.2", 120), `{"event":"pusher:connection_established","data":"{\"socket_id\":\"1.2\",\"activity_timeout\":120}"}`},
		{"an event of a channel", EventFrame("pusher:cache_miss", "a", "{}"), `{"event":"pusher:cache_miss","channel":"a","data":"{}"}`},
		{"an error", ErrorFrame(4001, "", `no "app"`), `{"event":"pusher:error","data":{"code":4001,"message":"no \"app\""}}`},
		{"an error without a code", ErrorFrame(0, "", "x"), `{"event":"pusher:error","data":{"code":null,"message":"x"}}`},
		{"an error of a channel", ErrorFrame(4301, "private-a", "x"), `{"event":"pusher:error","channel":"private-a","data":{"code":4301,"message":"x"}}`},
		{"a refusal", RefusalFrame("a", "AuthError", "x", 401), `{"event":"pusher:subscription_error","channel":"a","data":{"type":"AuthError","error":"x","status":401}}`},
		{"signed in", SignedInFrame(`{"id":"1"}`), `{"event":"pusher:signin_success","data":{"user_data":"{\"id\":\"1\"}"}}`},
		{"a watchlist", WatchlistFrame([]string{"1", `"`}, []string{"2"}),
			`{"event":"pusher_internal:watchlist_events","data":"{\"events\":[{\"name\":\"online\",\"user_ids\":[\"1\",\"\\\"\"]},{\"name\":\"offline\",\"user_ids\":[\"2\"]}]}"}`},
		{"who is offline", WatchlistFrame(nil, []string{"2"}), `{"event":"pusher_internal:watchlist_events","data":"{\"events\":[{\"name\":\"offline\",\"user_ids\":[\"2\"]}]}"}`},
	}
	for _, tt := range tests {
		if got := string(websocket.Payload(tt.frame)); got != tt.want || !json.Valid([]byte(got)) {
			t.Errorf("%s:\n %s\nwant\n %s", tt.name, got, tt.want)
		}
	}
}
