package client_test

import (
	"strings"
	"testing"

	"poosh/server/pusher"
	"poosh/server/pusher/pushertest"
)

const succeeded = `{"event":"pusher_internal:subscription_succeeded","channel":"presence-a","data":"{\"presence\":{\"ids\":`

func TestPresence(t *testing.T) {
	s := pushertest.New(t, pusher.Config{})
	a, a2, b := s.Dial(), s.Dial(), s.Dial()
	a.Subscribe("presence-a", `{"user_id":"1","user_info":{"name":"A","n":9007199254740993}}`)
	a.Expect(succeeded + `[\"1\"],\"hash\":{\"1\":{\"name\":\"A\",\"n\":9007199254740993}},\"count\":1}}"}`)
	// The number that PHP sends is the same user, and one with a second tab is one.
	a2.Subscribe("presence-a", `{"user_id":1}`)
	a2.Expect(succeeded + `[\"1\"],\"hash\":{\"1\":{\"name\":\"A\",\"n\":9007199254740993}},\"count\":1}}"}`)
	a.Quiet()
	// A number keeps its digits, whatever they would be as a float.
	b.Subscribe("presence-a", `{"user_id":12345678901234567890}`)
	b.Expect(succeeded + `[\"1\",\"12345678901234567890\"],\"hash\":{\"1\":{\"name\":\"A\",\"n\":9007199254740993},\"12345678901234567890\":{}},\"count\":2}}"}`)
	added := `{"event":"pusher_internal:member_added","channel":"presence-a","data":"{\"user_id\":\"12345678901234567890\",\"user_info\":{}}"}`
	a.Expect(added)
	a2.Expect(added)
	b.Quiet() // no news of itself

	// The user of a client event is the server's word, not the sender's.
	a.Send(`{"event":"client-x","channel":"presence-a","data":{},"user_id":"2"}`)
	from := `{"event":"client-x","channel":"presence-a","data":"{}","user_id":"1"}`
	a2.Expect(from)
	b.Expect(from)

	_ = a2.WS.Close()
	a.Send(`{"event":"pusher:unsubscribe","data":{"channel":"presence-a"}}`)
	b.Expect(`{"event":"pusher_internal:member_removed","channel":"presence-a","data":"{\"user_id\":\"1\"}"}`)
	b.Quiet()
	a.Quiet()
	a.Subscribe("presence-a", `{"user_id":"1"}`)
	a.Read()
	b.Read()
	_ = b.WS.Close()
	a.Expect(`{"event":"pusher_internal:member_removed","channel":"presence-a","data":"{\"user_id\":\"12345678901234567890\"}"}`)
}

func TestPresenceRefusals(t *testing.T) {
	app := pushertest.App()
	app.MaxMembers, app.MaxUserInfoBytes = 1, 20
	s := pushertest.New(t, pusher.Config{Apps: []pusher.App{app}})
	a, a2, b := s.Dial(), s.Dial(), s.Dial()
	a.Subscribe("presence-a", `{"user_id":"1"}`)
	a.Read()
	tests := []struct{ name, data, code, text string }{
		{"nobody", "", `"code":4009`, "a presence channel needs channel_data, or a signed-in user"},
		{"no id", `{}`, `"code":4009`, "channel_data must be a JSON object with a user_id"},
		{"null", `{"user_id":null}`, `"code":4009`, "channel_data must be"},
		{"an object", `{"user_id":{}}`, `"code":4009`, "channel_data must be"},
		{"an empty id", `{"user_id":""}`, `"code":4009`, "1 to 128 characters"},
		{"a long id", `{"user_id":"` + strings.Repeat("é", 129) + `"}`, `"code":4009`, "1 to 128 characters"},
		{"not JSON", `x`, `"code":4009`, "channel_data must be"},
		{"much info", `{"user_id":"2","user_info":{"name":"0123456789ab"}}`, `"code":4009`, "exceeds the allowed maximum (20 bytes)"},
		{"one too many", `{"user_id":"2"}`, `"code":4100`, "channel presence-a has 1 members, as many as it may have"},
	}
	for _, tt := range tests {
		b.Subscribe("presence-a", tt.data)
		if f := b.Read(); f.Event != "pusher:error" || !strings.Contains(f.Raw, tt.code) || !strings.Contains(f.Raw, tt.text) {
			t.Errorf("%s: %s", tt.name, f)
		}
		if f := b.Read(); f.Event != "pusher:subscription_error" || f.Channel != "presence-a" {
			t.Errorf("%s: %s", tt.name, f)
		}
		b.Quiet()
	}
	a.Quiet() // of all that, nothing was heard
	// A second tab is no second member.
	a2.Subscribe("presence-a", `{"user_id":"1"}`)
	a2.Expect(succeeded + `[\"1\"],\"hash\":{\"1\":{}},\"count\":1}}"}`)
}

func TestSignIn(t *testing.T) {
	app := pushertest.App()
	app.Watchlist = true
	s := pushertest.New(t, pusher.Config{Apps: []pusher.App{app}})
	a, a2, b := s.Dial(), s.Dial(), s.Dial()
	data := `{"id":"1","user_info":{"name":"A"},"watchlist":["2","3","2"]}`
	success := func(data string) string {
		return `{"event":"pusher:signin_success","data":{"user_data":` + pushertest.Quoted(data) + `}}`
	}
	a.SignIn(data)
	a.Expect(success(data),
		`{"event":"pusher_internal:watchlist_events","data":"{\"events\":[{\"name\":\"offline\",\"user_ids\":[\"2\",\"3\"]}]}"}`)
	a.Join("#server-to-user-1")
	a.SignIn(data)
	a.Expect(success(data))
	a.SignIn(`{"id":"2"}`)
	a.Expect(`{"event":"pusher:error","data":{"code":4009,"message":"this connection is signed in as another user"}}`)

	// pusher-js since 7.4: who has signed in needs no channel_data.
	a.Subscribe("presence-a", "")
	a.Expect(succeeded + `[\"1\"],\"hash\":{\"1\":{\"name\":\"A\"}},\"count\":1}}"}`)

	b.SignIn(`{"id":"2"}`)
	b.Expect(success(`{"id":"2"}`))
	a.Expect(`{"event":"pusher_internal:watchlist_events","data":"{\"events\":[{\"name\":\"online\",\"user_ids\":[\"2\"]}]}"}`)
	a2.SignIn(`{"id":"1","watchlist":["2","3"]}`)
	a2.Read()
	a2.Expect(`{"event":"pusher_internal:watchlist_events","data":"{\"events\":[{\"name\":\"online\",\"user_ids\":[\"2\"]},{\"name\":\"offline\",\"user_ids\":[\"3\"]}]}"}`)
	a2.Join("#server-to-user-1")

	// An event to the user reaches both of its connections, and no channel list.
	s.Trigger("#server-to-user-1", "hi", "1")
	for _, p := range []*pushertest.Peer{a, a2} {
		p.Expect(`{"event":"hi","channel":"#server-to-user-1","data":"1"}`)
	}
	if _, text := s.Call("GET", "/channels", nil, ""); text != `{"channels":{"presence-a":{}}}` {
		t.Errorf("channels %s", text)
	}
	if status, text := s.Call("POST", "/users/1/events", nil, `{"name":"e","data":"2"}`); status != 200 || text != "{}" {
		t.Errorf("%d %s", status, text)
	}
	a.Expect(`{"event":"e","channel":"#server-to-user-1","data":"2"}`)

	_ = b.WS.Close()
	a.Expect(`{"event":"pusher_internal:watchlist_events","data":"{\"events\":[{\"name\":\"offline\",\"user_ids\":[\"2\"]}]}"}`)
}

func TestSignInRefusals(t *testing.T) {
	app := pushertest.App()
	app.Watchlist = true
	s := pushertest.New(t, pusher.Config{Apps: []pusher.App{app}})
	p := s.Dial()
	for _, tt := range []struct{ data, want string }{
		{`{}`, "user_data must be a JSON object with an id"},
		{`{"id":true}`, "user_data must be"},
		{`{"ID":"1"}`, "user_data must be"},
		{`{"id":""}`, "1 to 128 characters"},
		{`[`, "user_data must be"},
		{`{"id":"1","watchlist":"2"}`, "user_data must be"},
		{`{"id":"1","user_info":"` + strings.Repeat("x", 1023) + `"}`, "exceeds the allowed maximum (1024 bytes)"},
	} {
		p.SignIn(tt.data)
		if f := p.Read(); f.Event != "pusher:error" || !strings.Contains(f.Raw, `"code":4009`) || !strings.Contains(f.Raw, tt.want) {
			t.Errorf("%.40s gives %s", tt.data, f)
		}
	}
	p.Send(`{"event":"pusher:signin","data":{"auth":"` + pushertest.Key + `:00","user_data":"{\"id\":\"1\"}"}}`)
	if f := p.Read(); !strings.Contains(f.Raw, `::user::{\"id\":\"1\"}, but got 00`) {
		t.Errorf("a bad signature gives %s", f)
	}
	many := `{"id":"1","watchlist":["` + strings.Repeat(`x","`, 100) + `y"]}`
	p.SignIn(many)
	p.Read()
	if f := p.Read(); !strings.Contains(f.Raw, `"code":4302`) {
		t.Errorf("a long watchlist gives %s", f)
	}
	p.Expect(`{"event":"pusher_internal:watchlist_events","data":"{\"events\":[{\"name\":\"offline\",\"user_ids\":[\"x\"]}]}"}`)
}

func TestTerminate(t *testing.T) {
	app := pushertest.App()
	s := pushertest.New(t, pusher.Config{Apps: []pusher.App{app}})
	a, a2, member, other := s.Dial(), s.Dial(), s.Dial(), s.Dial()
	for _, p := range []*pushertest.Peer{a, a2} {
		p.SignIn(`{"id":"a b/c"}`)
		p.Read()
	}
	member.Subscribe("presence-a", `{"user_id":"a b/c"}`)
	member.Read()
	other.SignIn(`{"id":"other"}`)
	other.Read()
	for _, body := range []string{"{}", ""} {
		if status, text := s.Call("POST", "/users/a%20b%2Fc/terminate_connections", nil, body); status != 200 || text != "{}" {
			t.Errorf("%d %s", status, text)
		}
	}
	for _, p := range []*pushertest.Peer{a, a2} {
		if f := p.Read(); !strings.Contains(f.Raw, `"code":4009`) || p.Closed() != 4009 {
			t.Errorf("received %s", f)
		}
	}
	other.Quiet()
	member.Quiet() // to be in a presence channel is not to be signed in

	if status, _ := s.Call("POST", "/users/other/force_reconnect", nil, "{}"); status != 200 || other.Closed() != 4200 {
		t.Errorf("force_reconnect: %d", status)
	}
	// An old Python library leaves the app out.
	if status, text, _ := s.Raw("POST", pushertest.Sign("POST", "/users/nobody/terminate_connections", nil, "{}"), "{}"); status != 200 || text != "{}" {
		t.Errorf("without the app: %d %s", status, text)
	}
}

func TestTerminateMembers(t *testing.T) {
	app := pushertest.App()
	app.TerminateMembers = true
	s := pushertest.New(t, pusher.Config{Apps: []pusher.App{app}})
	p := s.Dial()
	p.Subscribe("presence-a", `{"user_id":"1"}`)
	p.Read()
	s.Call("POST", "/users/1/terminate_connections", nil, "{}")
	if code := p.Closed(); code != 4009 {
		t.Errorf("closed with %d", code)
	}
}

func TestSubscriptionCount(t *testing.T) {
	app := pushertest.App()
	app.SubscriptionCount = true
	s := pushertest.New(t, pusher.Config{Apps: []pusher.App{app}})
	count := func(n string) string {
		return `{"event":"pusher_internal:subscription_count","channel":"c","data":"{\"subscription_count\":` + n + `}"}`
	}
	a, b := s.Dial(), s.Dial()
	a.Join("c")
	a.Expect(count("1"))
	b.Join("c")
	a.Expect(count("2"))
	b.Expect(count("2"))
	_ = b.WS.Close()
	a.Expect(count("1"))
	a.Subscribe("presence-a", `{"user_id":"1"}`)
	a.Read()
	a.Quiet()
}
