package api

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"testing"
	"unicode/utf8"

	"poosh/auth"
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

// FuzzPage reads the query of a request for a page of a channel's history. What is accepted is a
// page that there may be, and goes on where its cursor is.
func FuzzPage(f *testing.F) {
	stream := protocol.StreamID(7)
	for _, s := range []string{
		"", "limit=1&direction=oldest_first", "limit=100000000000&direction=backwards", "limit=0", "limit=-1", "direction=x",
		"start_serial=5&end_serial=3", "start_serial=18446744073709551615&end_serial=18446744073709551615", "start_time_ms=18446744073709551615&end_time_ms=18446744073709551615",
		"cursor=" + stream + ":12", "cursor=" + stream + ":0", "cursor=:18446744073709551615&direction=forwards", "cursor=%ff:1", "cursor=" + stream + "%3A1&start_serial=9&end_time_ms=0",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		query, err := auth.ParsePusherQuery(raw)
		if err != nil {
			return
		}
		p, err := (&call{query: query}).readPage()
		if err != nil {
			if answer.As(err).Status != http.StatusBadRequest {
				t.Fatalf("%q is refused with %v", raw, err)
			}
			return
		}
		ask := p.ask()
		if ask.Limit < 1 || ask.Limit > maxPage || ask.OldestFirst != (p.direction == "oldest_first") {
			t.Fatalf("%q asks for %+v", raw, ask)
		}
		if p.given[0] && ask.After+1 < p.serials[0] || p.given[1] && ask.UpTo > p.serials[1] {
			t.Fatalf("%q asks for serials of %+v", raw, ask)
		}
		if p.cursor > 0 && (ask.OldestFirst && ask.After < p.cursor || !ask.OldestFirst && ask.UpTo >= p.cursor) {
			t.Fatalf("%q does not go on behind its cursor: %+v", raw, ask)
		}
		if b := p.appendBounds([]byte(`{"x":0`)); !json.Valid(append(b, '}')) {
			t.Fatalf("%q has the bounds %s", raw, b)
		}
	})
}
