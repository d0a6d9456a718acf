package pusher_test

import (
	"encoding/json"
	"net/url"
	"os/exec"
	"strings"
	"testing"
)

// callPython has the Python library do something and returns its result as JSON.
func callPython(t *testing.T, s *server, call string, args ...any) string {
	t.Helper()
	if args == nil {
		args = []any{}
	}
	out, err := exec.Command(python, "sender.py", s.settings(nil), call, marshal(args)).Output()
	var answer struct {
		OK     bool
		Result json.RawMessage
	}
	if err != nil || json.Unmarshal(out, &answer) != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if !answer.OK {
		return "error: " + string(answer.Result)
	}
	return string(answer.Result)
}

// callGo has the Go library do something.
func callGo(t *testing.T, s *server, call string, args map[string]any) string {
	t.Helper()
	out, err := exec.Command(goSender, s.settings(nil), call, marshal(args)).Output()
	var answer struct {
		Result json.RawMessage
		Error  string
	}
	if err != nil || json.Unmarshal(out, &answer) != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if answer.Error != "" {
		return "error: " + answer.Error
	}
	return string(answer.Result)
}

// callPHP sends a request as the PHP library does.
func callPHP(t *testing.T, s *server, more map[string]any, method, path string, params map[string]any, body string) (int, string) {
	t.Helper()
	status, text, _ := askPHP(t, s, more, method, path, params, body)
	return status, text
}

// askPHP is callPHP, and tells whether the answer is that of a request before.
func askPHP(t *testing.T, s *server, more map[string]any, method, path string, params map[string]any, body string) (status int, text string, replayed bool) {
	t.Helper()
	if params == nil {
		params = map[string]any{}
	}
	out, err := exec.Command("php", "sender.php", s.settings(more), method, path, marshal(params), body).Output()
	var answer struct {
		Status   int
		Body     string
		Replayed bool
	}
	if err != nil || json.Unmarshal(out, &answer) != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return answer.Status, answer.Body, answer.Replayed
}

// crowd is two users in a public, a private and a presence channel.
func crowd(t *testing.T, s *server) (d *driver, a, b *client) {
	t.Helper()
	d = drive(t, s)
	a, b = d.dial(s, ways[2], "a", "1"), d.dial(s, ways[2], "b", "2")
	for _, c := range []*client{a, b} {
		c.join("news", "private-p", "presence-p", "private-encrypted-p")
	}
	return d, a, b
}

func TestPythonSender(t *testing.T) {
	s := start(t)
	d, a, b := crowd(t, s)
	python := func(want, call string, args ...any) {
		t.Helper()
		if got := callPython(t, s, call, args...); got != want && !(strings.HasSuffix(want, "...") && strings.HasPrefix(got, strings.TrimSuffix(want, "..."))) {
			t.Errorf("%s gives %s, want %s", call, got, want)
		}
	}
	python(`{}`, "trigger", []string{"news", "private-p"}, "py", map[string]any{"a": "é"})
	for _, channel := range []string{"news", "private-p"} {
		if got := b.events(channel, "py", 1); got[0] != `{"a":"é"}` {
			t.Errorf("received %s", got)
		}
	}
	python(`{}`, "trigger", "news", "py-others", "x", a.connections(1)[0])
	b.events("news", "py-others", 1)
	python(`{}`, "trigger", "private-encrypted-p", "py-sealed", map[string]any{"secret": 1})
	if got := a.events("private-encrypted-p", "py-sealed", 1); got[0] != `{"secret":1}` {
		t.Errorf("received %s", got)
	}
	python(`{}`, "trigger_batch", []map[string]any{{"channel": "news", "name": "py-1", "data": 1}, {"channel": "private-p", "name": "py-2", "data": 2}})
	a.events("private-p", "py-2", 1)
	if n := len(d.seen(a.id, "channel", "py-others", "news")); n != 0 {
		t.Errorf("the sender heard its own event %d times", n)
	}
	python(`{"channels": {"presence-p": {"user_count": 2}}}`, "channels_info", "presence-", []string{"user_count"})
	python(`{"occupied": true, "subscription_count": 2}`, "channel_info", "news", []string{"subscription_count"})
	python(`{"users": [{"id": "1"}, {"id": "2"}]}`, "users_info", "presence-p")
	python(`error: "PusherBadRequest: ...`, "channels_info", "", []string{"user_count"})
	python(`error: "PusherBadStatus: 413: ...`, "trigger", "news", "py", strings.Repeat("x", 20000))

	auth := callPython(t, s, "authenticate", "private-q", a.connections(1)[0])
	if !strings.Contains(auth, appKey) {
		t.Errorf("authenticate gives %s", auth)
	}
	python(`{}`, "send_to_user", "nobody", "e", map[string]any{})
	// The Python library leaves the app out of this path.
	python(`{}`, "terminate_user_connections", "nobody")
}

func TestGoSender(t *testing.T) {
	s := start(t)
	d, a, b := crowd(t, s)
	golang := func(want, call string, args map[string]any) {
		t.Helper()
		if got := callGo(t, s, call, args); got != want && !(strings.HasPrefix(want, "error") && strings.Contains(got, want[6:])) {
			t.Errorf("%s gives %s, want %s", call, got, want)
		}
	}
	golang(`null`, "trigger", map[string]any{"channel": "news", "event": "go", "data": map[string]any{"a": "é"}})
	if got := b.events("news", "go", 1); got[0] != `{"a":"é"}` {
		t.Errorf("received %s", got)
	}
	golang(`null`, "trigger", map[string]any{"channel": "private-encrypted-p", "event": "go-sealed", "data": "s"})
	if got := b.events("private-encrypted-p", "go-sealed", 1); got[0] != `"s"` {
		t.Errorf("received %s", got)
	}
	golang(`{"channels":{"news":{"subscription_count":2},"presence-p":{"user_count":2,"subscription_count":2}}}`, "triggerMulti", map[string]any{
		"channels": []string{"news", "presence-p"}, "event": "go-others", "data": "x", "socket": a.connections(1)[0], "info": "user_count,subscription_count"})
	b.events("presence-p", "go-others", 1)
	if n := len(d.seen(a.id, "channel", "go-others", "")); n != 0 {
		t.Errorf("the sender heard its own event %d times", n)
	}
	golang(`{"batch":[{"subscription_count":2},{}]}`, "triggerBatch", map[string]any{"batch": []map[string]any{
		{"Channel": "news", "Name": "go-1", "Data": "1", "Info": "subscription_count"}, {"Channel": "private-p", "Name": "go-2", "Data": "2"}}})
	golang(`null`, "sendToUser", map[string]any{"user": "nobody", "event": "e", "data": "x"})
	golang(`{"channels":{"presence-p":{"user_count":2}}}`, "channels", map[string]any{"prefix": "presence-", "info": "user_count"})
	golang(`{"Name":"presence-p","occupied":true,"user_count":2,"subscription_count":2}`, "channel", map[string]any{"channel": "presence-p", "info": "user_count,subscription_count"})
	golang(`{"users":[{"id":"1"},{"id":"2"}]}`, "users", map[string]any{"channel": "presence-p"})
	golang(`error user_count is for presence channels only`, "channel", map[string]any{"channel": "news", "info": "user_count"})

	// What the Go library signs, the server believes: by the hand of a client.
	checkTokens(t, s, func(socket, channel, user string) (token, data string) {
		body := url.Values{"socket_id": {socket}, "channel_name": {channel}}.Encode()
		call := "authorizePrivate"
		if strings.HasPrefix(channel, "presence-") {
			call = "authorizePresence"
		}
		var text string
		var answer struct{ Auth, Channel_data string }
		if json.Unmarshal([]byte(callGo(t, s, call, map[string]any{"body": body, "user": user})), &text) != nil || json.Unmarshal([]byte(text), &answer) != nil {
			t.Fatalf("%s gives %s", call, text)
		}
		return answer.Auth, answer.Channel_data
	})
}

func TestPythonTokens(t *testing.T) {
	s := start(t)
	checkTokens(t, s, func(socket, channel, user string) (token, data string) {
		args := []any{channel, socket}
		if strings.HasPrefix(channel, "presence-") {
			args = append(args, map[string]any{"user_id": user, "user_info": map[string]any{"name": "é"}})
		}
		var answer struct{ Auth, Channel_data string }
		if text := callPython(t, s, "authenticate", args...); json.Unmarshal([]byte(text), &answer) != nil {
			t.Fatalf("authenticate gives %s", text)
		}
		return answer.Auth, answer.Channel_data
	})
}

func TestPHPTokens(t *testing.T) {
	s := start(t)
	checkTokens(t, s, func(socket, channel, user string) (token, data string) {
		if strings.HasPrefix(channel, "presence-") {
			// json_encode escapes slashes and accents, and older code has numbers for ids.
			data = `{"user_id":10,"user_info":{"name":"\u00e9\/"}}`
		}
		out, err := exec.Command("php", "sender.php", s.settings(nil), "authorize", socket, channel, data).Output()
		var answer struct{ Auth, Channel_data string }
		if err != nil || json.Unmarshal(out, &answer) != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return answer.Auth, answer.Channel_data
	})
}

// checkTokens subscribes with what a library has signed.
func checkTokens(t *testing.T, s *server, sign func(socket, channel, user string) (token, data string)) {
	t.Helper()
	p := dialRaw(t, s, "")
	for _, channel := range []string{"private-t", "presence-t", "private-encrypted-t", "private-cache-t"} {
		token, data := sign(p.socketID, channel, "u")
		fields := map[string]any{"channel": channel, "auth": token}
		if data != "" {
			fields["channel_data"] = data
		}
		p.send(marshal(map[string]any{"event": "pusher:subscribe", "data": fields}))
		if got := p.read(); !strings.Contains(got, "subscription_succeeded") || !strings.Contains(got, channel) {
			t.Errorf("%s: %s", channel, got)
		}
		if strings.Contains(channel, "cache") {
			p.read()
		}
	}
}

func TestPHPSender(t *testing.T) {
	s := start(t, "PUSHER_PATH_PREFIX=/push")
	d, a, b := crowd(t, s)
	php := func(wantStatus int, want, method, path string, params map[string]any, body string) {
		t.Helper()
		for _, more := range []map[string]any{nil, {"prefix": "/push"}} {
			if status, text := callPHP(t, s, more, method, path, params, body); status != wantStatus || !strings.Contains(text, want) {
				t.Errorf("%s %s with %v: %d %s, want %d %s", method, path, more, status, text, wantStatus, want)
			}
		}
	}
	php(200, `{}`, "POST", "/events", nil, `{"name":"App\\Events\\OrderShipped","data":"{\"path\":\"a\\\/b\",\"text\":\"\\u00e9\",\"float\":1.50}","channel":"news"}`)
	if got := b.events("news", `App\Events\OrderShipped`, 2); got[0] != `{"path":"a/b","text":"é","float":1.5}` {
		t.Errorf("received %s", got)
	}
	php(200, `{}`, "POST", "/events", nil, `{"name":"php-others","data":"[]","channels":["news","private-p"],"socket_id":"`+a.connections(1)[0]+`"}`)
	b.events("private-p", "php-others", 2)
	if n := len(d.seen(a.id, "channel", "php-others", "")); n != 0 {
		t.Errorf("the sender heard its own event %d times", n)
	}
	php(200, `{}`, "POST", "/batch_events", nil, `{"batch":[{"name":"php-1","data":"1","channel":"news"}]}`)
	php(200, `{"channels":{"presence-p":{"user_count":2}}}`, "GET", "/channels", map[string]any{"filter_by_prefix": "presence-", "info": "user_count"}, "")
	// The library signs an array as one value and sends it as several.
	php(400, `info should be a comma separated list`, "GET", "/channels/news", map[string]any{"info": "a", "more": []string{"x", "y"}}, "")
	php(200, `{"users":[{"id":"1"},{"id":"2"}]}`, "GET", "/channels/presence-p/users", nil, "")
	php(200, `{}`, "POST", "/users/nobody/terminate_connections", nil, `{}`)
	php(413, `The data content of this event exceeds the allowed maximum (10240 bytes)`, "POST", "/events", nil,
		`{"name":"e","data":"`+strings.Repeat("x", 10241)+`","channel":"news"}`)
}

// TestPHPSenderSendsOnce has the PHP library send again what it has no answer to. What it is given
// beside the event stands in the body (pusher-http-php 7.2, Pusher::make_event), so Laravel's
// broadcaster can have a key too, where its payload has what that adds.
func TestPHPSenderSendsOnce(t *testing.T) {
	s := start(t)
	d, a, b := crowd(t, s)
	socket := a.connections(1)[0]
	event := func(key, text string) string {
		return `{"name":"App\\Events\\OrderShipped","data":"{\"text\":\"` + text + `\",\"socket\":\"` + socket + `\"}","channels":["news","private-p"],"socket_id":"` + socket + `","idempotency_key":"` + key + `"}`
	}
	item := func(key, name string) string {
		return `{"channel":"presence-p","name":"` + name + `","data":"1","idempotency_key":"` + key + `"}`
	}
	for _, tt := range []struct {
		path, body string
		status     int
		replayed   bool
	}{
		{"/events", event("one", "first"), 200, false},
		{"/events", event("one", "first"), 200, true},
		{"/events", event("one", "other"), 409, false},
		{"/events", event("two", "first"), 200, false},
		{"/events", event("", "first"), 400, false},
		{"/batch_events", `{"batch":[` + item("three", "php-1") + `]}`, 200, false},
		{"/batch_events", `{"batch":[` + item("three", "php-1") + `,` + item("four", "php-2") + `]}`, 200, false},
	} {
		status, text, replayed := askPHP(t, s, nil, "POST", tt.path, nil, tt.body)
		if status != tt.status || replayed != tt.replayed {
			t.Errorf("%s %s: %d %s, again %v; want %d, %v", tt.path, tt.body, status, text, replayed, tt.status, tt.replayed)
		}
	}
	d.wait(b.id, "channel", "php-2", "presence-p", 1)
	for channel, want := range map[string]int{"news": 2, "private-p": 2} {
		if n := len(b.events(channel, `App\Events\OrderShipped`, want)); n != want {
			t.Errorf("%d events came to %s, want %d", n, channel, want)
		}
	}
	if n := len(d.seen(b.id, "channel", "php-1", "presence-p")); n != 1 {
		t.Errorf("an item of two batches came %d times", n)
	}
	if n := len(d.seen(a.id, "channel", `App\Events\OrderShipped`, "")); n != 0 {
		t.Errorf("the sender heard its own event %d times", n)
	}
}

func TestNodeSender(t *testing.T) {
	s := start(t)
	d, a, b := crowd(t, s)
	node := func(status, want, call string, args ...any) {
		t.Helper()
		if r := d.call(call, args...); r.Name != status || !strings.Contains(r.Text, want) {
			t.Errorf("%s gives %+v, want %s %s", call, r, status, want)
		}
	}
	node("200", `{}`, "trigger", []string{"news", "private-p"}, "js", map[string]any{"a": 1}, map[string]any{"socket_id": a.connections(1)[0]})
	b.events("private-p", "js", 1)
	node("200", `{"channels":{"news":{"subscription_count":2}}}`, "trigger", "news", "js-info", "x", map[string]any{"info": "subscription_count"})
	node("200", `{}`, "triggerBatch", []map[string]any{{"channel": "news", "name": "js-1", "data": "1"}, {"channel": "private-encrypted-p", "name": "js-2", "data": "2"}})
	if got := b.events("private-encrypted-p", "js-2", 1); got[0] != `"2"` {
		t.Errorf("received %s", got)
	}
	node("400", `invalid channel name`, "get", map[string]any{"path": "/channels/a%20b"})
	node("404", `no such address`, "get", map[string]any{"path": "/nothing"})
	node("200", `{}`, "post", map[string]any{"path": "/users/nobody/terminate_connections", "body": map[string]any{}})
}
