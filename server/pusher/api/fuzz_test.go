package api

import (
	"encoding/json"
	"log/slog"
	"testing"
	"unicode/utf8"

	"poosh/server/hub"
	"poosh/server/idempotency"
	"poosh/server/pusher/answer"
	"poosh/server/pusher/app"
	"poosh/server/pusher/protocol"
	"poosh/server/websocket"
)

// FuzzEvents feeds bodies to what reads a request to publish. What is accepted must
// be valid for every client.
func FuzzEvents(f *testing.F) {
	for _, s := range []string{
		`{"name":"e","channel":"a","data":"1"}`, `{"name":"e","channels":["a","b"],"data":{"a":[1,2]},"socket_id":"1.2","info":"user_count"}`,
		`{"name":"e","channels":"private-encrypted-a","data":null}`, `{"name":1}`, `{"channels":{}}`, `[]`, ``, `{"data":"\ud800"}`,
		`{"name":"e","channel":"a","data":"1","idempotency_key":"k"}`, `{"name":"e","channel":"a","data":"1","idempotency_key":null}`, `{"idempotency_key":[]}`,
	} {
		f.Add([]byte(s))
	}
	apps, err := app.NewList([]app.Config{{ID: "3", Key: "k", Secret: "not-so-secret"}}, &app.Shared{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		f.Fatal(err)
	}
	a := apps.ID("3")
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := parseEvent(body, a.Conf().MaxEventChannels)
		if err != nil {
			return
		}
		e, err := r.check(a.Conf())
		if err != nil {
			answer.As(err)
			return
		}
		if len(e.channels) == 0 || len(e.channels) > a.Conf().MaxEventChannels || len(e.data) > a.Conf().MaxEventBytes {
			t.Fatalf("accepted %q", body)
		}
		if content := e.content(); e.keyed != nil && (idempotency.Check(e.keyed.key) != nil || e.content() != content) {
			t.Fatalf("%q has the key %q", body, e.keyed.key)
		}
		for _, channel := range e.channels {
			frame := websocket.Payload(protocol.Encoder.Encode(&hub.Publication{Room: channel, Event: e.name, Data: protocol.JSONString(e.data)}))
			var out struct{ Event, Channel, Data string }
			if err := json.Unmarshal(frame, &out); err != nil || !utf8.Valid(frame) || out.Event != e.name || out.Channel != channel || !protocol.ValidChannel(channel) {
				t.Fatalf("%q became %q: %v", body, frame, err)
			}
		}
	})
}
