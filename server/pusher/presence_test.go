package pusher

import (
	"strings"
	"testing"
)

const succeeded = `{"event":"pusher_internal:subscription_succeeded","channel":"presence-a","data":"{\"presence\":{\"ids\":`

func TestPresence(t *testing.T) {
	s := newSite(t, Config{})
	a, a2, b := s.dial(), s.dial(), s.dial()
	a.subscribe("presence-a", `{"user_id":"1","user_info":{"name":"A","n":9007199254740993}}`)
	a.expect(succeeded + `[\"1\"],\"hash\":{\"1\":{\"name\":\"A\",\"n\":9007199254740993}},\"count\":1}}"}`)
	// The number that PHP sends is the same user, and one with a second tab is one.
	a2.subscribe("presence-a", `{"user_id":1}`)
	a2.expect(succeeded + `[\"1\"],\"hash\":{\"1\":{\"name\":\"A\",\"n\":9007199254740993}},\"count\":1}}"}`)
	a.quiet()
	// A number keeps its digits, whatever they would be as a float.
	b.subscribe("presence-a", `{"user_id":12345678901234567890}`)
	b.expect(succeeded + `[\"1\",\"12345678901234567890\"],\"hash\":{\"1\":{\"name\":\"A\",\"n\":9007199254740993},\"12345678901234567890\":{}},\"count\":2}}"}`)
	added := `{"event":"pusher_internal:member_added","channel":"presence-a","data":"{\"user_id\":\"12345678901234567890\",\"user_info\":{}}"}`
	a.expect(added)
	a2.expect(added)
	b.quiet() // no news of itself

	// The user of a client event is the server's word, not the sender's.
	a.send(`{"event":"client-x","channel":"presence-a","data":{},"user_id":"2"}`)
	from := `{"event":"client-x","channel":"presence-a","data":"{}","user_id":"1"}`
	a2.expect(from)
	b.expect(from)

	_ = a2.ws.Close()
	a.send(`{"event":"pusher:unsubscribe","data":{"channel":"presence-a"}}`)
	b.expect(`{"event":"pusher_internal:member_removed","channel":"presence-a","data":"{\"user_id\":\"1\"}"}`)
	b.quiet()
	a.quiet()
	a.subscribe("presence-a", `{"user_id":"1"}`)
	a.read()
	b.read()
	_ = b.ws.Close()
	a.expect(`{"event":"pusher_internal:member_removed","channel":"presence-a","data":"{\"user_id\":\"12345678901234567890\"}"}`)
}

func TestPresenceRefusals(t *testing.T) {
	app := testApp()
	app.MaxMembers, app.MaxUserInfoBytes = 1, 20
	s := newSite(t, Config{Apps: []App{app}})
	a, a2, b := s.dial(), s.dial(), s.dial()
	a.subscribe("presence-a", `{"user_id":"1"}`)
	a.read()
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
		b.subscribe("presence-a", tt.data)
		if f := b.read(); f.Event != "pusher:error" || !strings.Contains(f.raw, tt.code) || !strings.Contains(f.raw, tt.text) {
			t.Errorf("%s: %s", tt.name, f)
		}
		if f := b.read(); f.Event != "pusher:subscription_error" || f.Channel != "presence-a" {
			t.Errorf("%s: %s", tt.name, f)
		}
		b.quiet()
	}
	a.quiet() // of all that, nothing was heard
	// A second tab is no second member.
	a2.subscribe("presence-a", `{"user_id":"1"}`)
	a2.expect(succeeded + `[\"1\"],\"hash\":{\"1\":{}},\"count\":1}}"}`)
}

func TestSignIn(t *testing.T) {
	app := testApp()
	app.Watchlist = true
	s := newSite(t, Config{Apps: []App{app}})
	a, a2, b := s.dial(), s.dial(), s.dial()
	data := `{"id":"1","user_info":{"name":"A"},"watchlist":["2","3","2"]}`
	success := func(data string) string {
		return `{"event":"pusher:signin_success","data":{"user_data":` + quoted(data) + `}}`
	}
	a.signIn(data)
	a.expect(success(data),
		`{"event":"pusher_internal:watchlist_events","data":"{\"events\":[{\"name\":\"offline\",\"user_ids\":[\"2\",\"3\"]}]}"}`)
	a.join("#server-to-user-1")
	a.signIn(data)
	a.expect(success(data))
	a.signIn(`{"id":"2"}`)
	a.expect(`{"event":"pusher:error","data":{"code":4009,"message":"this connection is signed in as another user"}}`)

	// pusher-js since 7.4: who has signed in needs no channel_data.
	a.subscribe("presence-a", "")
	a.expect(succeeded + `[\"1\"],\"hash\":{\"1\":{\"name\":\"A\"}},\"count\":1}}"}`)

	b.signIn(`{"id":"2"}`)
	b.expect(success(`{"id":"2"}`))
	a.expect(`{"event":"pusher_internal:watchlist_events","data":"{\"events\":[{\"name\":\"online\",\"user_ids\":[\"2\"]}]}"}`)
	a2.signIn(`{"id":"1","watchlist":["2","3"]}`)
	a2.read()
	a2.expect(`{"event":"pusher_internal:watchlist_events","data":"{\"events\":[{\"name\":\"online\",\"user_ids\":[\"2\"]},{\"name\":\"offline\",\"user_ids\":[\"3\"]}]}"}`)
	a2.join("#server-to-user-1")

	// An event to the user reaches both of its connections, and no channel list.
	s.trigger("#server-to-user-1", "hi", "1")
	for _, p := range []*peer{a, a2} {
		p.expect(`{"event":"hi","channel":"#server-to-user-1","data":"1"}`)
	}
	if _, text := s.call("GET", "/channels", nil, ""); text != `{"channels":{"presence-a":{}}}` {
		t.Errorf("channels %s", text)
	}
	if status, text := s.call("POST", "/users/1/events", nil, `{"name":"e","data":"2"}`); status != 200 || text != "{}" {
		t.Errorf("%d %s", status, text)
	}
	a.expect(`{"event":"e","channel":"#server-to-user-1","data":"2"}`)

	_ = b.ws.Close()
	a.expect(`{"event":"pusher_internal:watchlist_events","data":"{\"events\":[{\"name\":\"offline\",\"user_ids\":[\"2\"]}]}"}`)
}

func TestSignInRefusals(t *testing.T) {
	app := testApp()
	app.Watchlist = true
	s := newSite(t, Config{Apps: []App{app}})
	p := s.dial()
	for _, tt := range []struct{ data, want string }{
		{`{}`, "user_data must be a JSON object with an id"},
		{`{"id":true}`, "user_data must be"},
		{`{"ID":"1"}`, "user_data must be"},
		{`{"id":""}`, "1 to 128 characters"},
		{`[`, "user_data must be"},
		{`{"id":"1","watchlist":"2"}`, "user_data must be"},
		{`{"id":"1","user_info":"` + strings.Repeat("x", 1023) + `"}`, "exceeds the allowed maximum (1024 bytes)"},
	} {
		p.signIn(tt.data)
		if f := p.read(); f.Event != "pusher:error" || !strings.Contains(f.raw, `"code":4009`) || !strings.Contains(f.raw, tt.want) {
			t.Errorf("%.40s gives %s", tt.data, f)
		}
	}
	p.send(`{"event":"pusher:signin","data":{"auth":"` + testKey + `:00","user_data":"{\"id\":\"1\"}"}}`)
	if f := p.read(); !strings.Contains(f.raw, `::user::{\"id\":\"1\"}, but got 00`) {
		t.Errorf("a bad signature gives %s", f)
	}
	many := `{"id":"1","watchlist":["` + strings.Repeat(`x","`, 100) + `y"]}`
	p.signIn(many)
	p.read()
	if f := p.read(); !strings.Contains(f.raw, `"code":4302`) {
		t.Errorf("a long watchlist gives %s", f)
	}
	p.expect(`{"event":"pusher_internal:watchlist_events","data":"{\"events\":[{\"name\":\"offline\",\"user_ids\":[\"x\"]}]}"}`)
}

func TestTerminate(t *testing.T) {
	app := testApp()
	s := newSite(t, Config{Apps: []App{app}})
	a, a2, member, other := s.dial(), s.dial(), s.dial(), s.dial()
	for _, p := range []*peer{a, a2} {
		p.signIn(`{"id":"a b/c"}`)
		p.read()
	}
	member.subscribe("presence-a", `{"user_id":"a b/c"}`)
	member.read()
	other.signIn(`{"id":"other"}`)
	other.read()
	for _, body := range []string{"{}", ""} {
		if status, text := s.call("POST", "/users/a%20b%2Fc/terminate_connections", nil, body); status != 200 || text != "{}" {
			t.Errorf("%d %s", status, text)
		}
	}
	for _, p := range []*peer{a, a2} {
		if f := p.read(); !strings.Contains(f.raw, `"code":4009`) || p.closed() != 4009 {
			t.Errorf("received %s", f)
		}
	}
	other.quiet()
	member.quiet() // to be in a presence channel is not to be signed in

	if status, _ := s.call("POST", "/users/other/force_reconnect", nil, "{}"); status != 200 || other.closed() != 4200 {
		t.Errorf("force_reconnect: %d", status)
	}
	// An old Python library leaves the app out.
	if status, text, _ := s.raw("POST", sign("POST", "/users/nobody/terminate_connections", nil, "{}"), "{}"); status != 200 || text != "{}" {
		t.Errorf("without the app: %d %s", status, text)
	}
}

func TestTerminateMembers(t *testing.T) {
	app := testApp()
	app.TerminateMembers = true
	s := newSite(t, Config{Apps: []App{app}})
	p := s.dial()
	p.subscribe("presence-a", `{"user_id":"1"}`)
	p.read()
	s.call("POST", "/users/1/terminate_connections", nil, "{}")
	if code := p.closed(); code != 4009 {
		t.Errorf("closed with %d", code)
	}
}

func TestSubscriptionCount(t *testing.T) {
	app := testApp()
	app.SubscriptionCount = true
	s := newSite(t, Config{Apps: []App{app}})
	count := func(n string) string {
		return `{"event":"pusher_internal:subscription_count","channel":"c","data":"{\"subscription_count\":` + n + `}"}`
	}
	a, b := s.dial(), s.dial()
	a.join("c")
	a.expect(count("1"))
	b.join("c")
	a.expect(count("2"))
	b.expect(count("2"))
	_ = b.ws.Close()
	a.expect(count("1"))
	a.subscribe("presence-a", `{"user_id":"1"}`)
	a.read()
	a.quiet()
}
