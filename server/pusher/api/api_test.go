package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"poosh/auth"
	"poosh/server/pusher"
	"poosh/server/pusher/pushertest"
	"poosh/server/rate"
)

func TestMain(m *testing.M) { pushertest.Main(m) }

// TestPublish sends every kind of body to the two addresses that publish.
func TestPublish(t *testing.T) {
	app := pushertest.App()
	app.MaxEventBytes, app.MaxEventChannels, app.MaxBatch = 100, 3, 2
	s := pushertest.New(t, pusher.Config{Apps: []pusher.App{app}, MaxBodyBytes: 4000})
	p := s.Dial()
	p.Join("a", "b", "private-p")
	p.Subscribe("presence-u", `{"user_id":"1"}`)
	p.Read()
	x100, x201 := strings.Repeat("x", 100), strings.Repeat("x", 201)
	tests := []struct {
		name, path, body string
		status           int
		want             string // all of a 200, a part of anything else
		sent             string // channel:data of what arrives
	}{
		{"one channel", "/events", `{"name":"e","channel":"a","data":"1"}`, 200, `{}`, "a:1"},
		{"channels", "/events", `{"name":"e","channels":["a","b","a"],"data":"1"}`, 200, `{}`, "a:1 b:1"},
		{"channels as a text", "/events", `{"name":"e","channels":"a","data":"1"}`, 200, `{}`, "a:1"},
		{"an empty list and a channel", "/events", `{"name":"e","channels":[],"channel":"a","data":"1"}`, 200, `{}`, "a:1"},
		{"empty data", "/events", `{"name":"e","channel":"a","data":""}`, 200, `{}`, "a:"},
		{"data that is no text", "/events", `{"name":"e","channel":"a","data":{"b": [1.50, 9007199254740993] }}`, 200, `{}`, `a:{"b":[1.50,9007199254740993]}`},
		{"null", "/events", `{"name":"e","channel":"a","data":null}`, 200, `{}`, "a:null"},
		{"nothing known", "/events", `{"name":"e","channel":"a","data":"1","idempotency_key":"k","socket_id":null}`, 200, `{}`, "a:1"},
		{"a client's name", "/events", `{"name":"client-e","channel":"a","data":"1"}`, 200, `{}`, "a:1"},
		{"somebody else left out", "/events", `{"name":"e","channel":"a","data":"1","socket_id":"1.2"}`, 200, `{}`, "a:1"},
		{"this connection left out", "/events", `{"name":"e","channel":"a","data":"1","socket_id":"` + p.SocketID + `"}`, 200, `{}`, ""},
		{"an empty socket_id", "/events", `{"name":"e","channel":"a","data":"1","socket_id":""}`, 200, `{}`, "a:1"},
		{"as much data as may be", "/events", `{"name":"e","channel":"a","data":"` + x100 + `"}`, 200, `{}`, "a:" + x100},
		{"counts", "/events", `{"name":"e","channels":["a","presence-u","empty"],"data":"1","info":"user_count, subscription_count"}`, 200,
			`{"channels":{"a":{"subscription_count":1},"presence-u":{"user_count":1,"subscription_count":1},"empty":{"subscription_count":0}}}`, "a:1 presence-u:1"},
		{"too much data", "/events", `{"name":"e","channel":"a","data":"` + x100 + `1"}`, 413,
			"The data content of this event exceeds the allowed maximum (100 bytes): it has 101", ""},
		{"a body too large", "/events", `{"name":"e","channel":"a","data":"` + strings.Repeat("x", 4000) + `"}`, 413, "larger than 4000 bytes", ""},
		{"not JSON", "/events", `x`, 400, "must be a JSON object", ""},
		{"a list", "/events", `[]`, 400, "must be a JSON object", ""},
		{"half a body", "/events", `{"name":`, 400, "must be a JSON object", ""},
		{"names in other letters", "/events", `{"name":"e","NAME":"x","channel":"a","Channels":["b"],"data":"1","Data":"2","SOCKET_ID":"x","Info":"x"}`, 200, `{}`, "a:1"},
		{"only names in other letters", "/events", `{"Name":"e","channel":"a","data":"1"}`, 400, "name is missing", ""},
		{"a name twice", "/events", `{"name":"x","channel":"b","data":"1","channel":"a","data":"2"}`, 200, `{}`, "a:2"},
		{"an escaped name", "/events", `{"\u006eame":"e","channel":"a","data":"1"}`, 200, `{}`, "a:1"},
		{"a batch in other letters", "/batch_events", `{"Batch":[]}`, 400, "batch is missing", ""},
		{"an event of a batch in other letters", "/batch_events", `{"batch":[{"name":"e","channel":"a","Channel":"b","data":"1"}]}`, 200, `{}`, "a:1"},
		{"a batch that is none", "/batch_events", `{"batch":{}}`, 400, "batch may not be a JSON object", ""},
		{"an event of a batch that is none", "/batch_events", `{"batch":[1]}`, 400, "event 1 of the batch: the body must be a JSON object", ""},
		{"a channel that is a number", "/events", `{"name":"e","channels":["a",1],"data":"1"}`, 400, "a channel may not be a JSON number", ""},
		{"channels that are none", "/events", `{"name":"e","channels":{},"data":"1"}`, 400, "channels may not be a JSON object", ""},
		{"no body", "/events", ``, 400, "must be a JSON object", ""},
		{"no name", "/events", `{"channel":"a","data":"1"}`, 400, "name is missing", ""},
		{"a number for a name", "/events", `{"name":1,"channel":"a","data":"1"}`, 400, "name may not be a JSON number", ""},
		{"a long name", "/events", `{"name":"` + x201 + `","channel":"a","data":"1"}`, 400, "more than 200 characters", ""},
		{"a name of the protocol", "/events", `{"name":"pusher:error","channel":"a","data":"1"}`, 400, "the protocol's own", ""},
		{"another", "/events", `{"name":"pusher_internal:x","channel":"a","data":"1"}`, 400, "the protocol's own", ""},
		{"no data", "/events", `{"name":"e","channel":"a"}`, 400, "data is missing", ""},
		{"no channel", "/events", `{"name":"e","data":"1"}`, 400, "no channel is named", ""},
		{"empty channels", "/events", `{"name":"e","data":"1","channels":[],"channel":""}`, 400, "no channel is named", ""},
		{"many channels", "/events", `{"name":"e","data":"1","channels":["a","b","c","d"]}`, 400, "more than 3 channels", ""},
		{"one bad channel", "/events", `{"name":"e","data":"1","channels":["a","b c"]}`, 400, `invalid channel name \"b c\"`, ""},
		{"a # channel", "/events", `{"name":"e","data":"1","channel":"#a"}`, 400, "invalid channel name", ""},
		{"a bad socket_id", "/events", `{"name":"e","data":"1","channel":"a","socket_id":"1"}`, 400, "socket_id is not", ""},
		{"another bad one", "/events", `{"name":"e","data":"1","channel":"a","socket_id":"1.2\n"}`, 400, "socket_id is not", ""},
		{"unknown info", "/events", `{"name":"e","data":"1","channel":"a","info":"age"}`, 400, "info should be a comma separated list of attributes", ""},
		{"an encrypted channel and another", "/events", `{"name":"e","data":"1","channels":["private-encrypted-a","a"]}`, 400, "encrypted", ""},

		{"a batch", "/batch_events", `{"batch":[{"name":"e","channel":"a","data":"1"},{"name":"e","channel":"b","data":"2"}]}`, 200, `{}`, "a:1 b:2"},
		{"a batch with counts", "/batch_events", `{"batch":[{"name":"e","channel":"presence-u","data":"1","info":"user_count"},{"name":"e","channel":"b","data":"2"}]}`, 200,
			`{"batch":[{"user_count":1},{}]}`, "presence-u:1 b:2"},
		{"an empty batch", "/batch_events", `{"batch":[]}`, 200, `{}`, ""},
		{"no batch", "/batch_events", `{}`, 400, "batch is missing", ""},
		{"a batch too large", "/batch_events", `{"batch":[{},{},{}]}`, 400, "Batch too large", ""},
		{"a batch with one bad event", "/batch_events", `{"batch":[{"name":"e","channel":"a","data":"1"},{"name":"e","channel":"b"}]}`, 400, "event 2 of the batch: data is missing", ""},
		{"a batch with one large event", "/batch_events", `{"batch":[{"name":"e","channel":"a","data":"1"},{"name":"e","channel":"b","data":"` + x100 + `1"}]}`, 413,
			"The data content of this event exceeds the allowed maximum (100 bytes)", ""},
		{"two channels in a batch", "/batch_events", `{"batch":[{"name":"e","channels":["a","b"],"data":"1"}]}`, 400, "more than one channel", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s.T, p.T = t, t
			status, text := s.Call("POST", tt.path, nil, tt.body)
			if status != tt.status || status == 200 && text != tt.want || !strings.Contains(text, tt.want) {
				t.Errorf("%d %s, want %d %s", status, text, tt.status, tt.want)
			}
			var e struct {
				Error, Code string
				Status      int
			}
			if status != 200 && (json.Unmarshal([]byte(text), &e) != nil || e.Error == "" || e.Code == "" || e.Status != status) {
				t.Errorf("an error in the form of %s", text)
			}
			for want := range strings.FieldsSeq(tt.sent) {
				if f := p.Read(); f.Channel+":"+f.Text() != want {
					t.Errorf("received %s, want %s", f, want)
				}
			}
			p.Quiet()
		})
	}
	s.T, p.T = t, t
}

func TestQueries(t *testing.T) {
	s := pushertest.New(t, pusher.Config{})
	a, b := s.Dial(), s.Dial()
	a.Join("public", "private-p")
	b.Join("public")
	for i, p := range []*pushertest.Peer{a, b} {
		p.Subscribe("presence-u", fmt.Sprintf(`{"user_id":%d,"user_info":{"n":%d}}`, i, i))
		p.Read()
	}
	a.Read() // of b
	a.Join("x;y")
	tests := []struct {
		name, path string
		query      url.Values
		status     int
		want       []string // any of them; the order of channels is open
	}{
		{"channels of a prefix", "/channels", url.Values{"filter_by_prefix": {"pu"}}, 200, []string{`{"channels":{"public":{}}}`}},
		{"a prefix that is no separator", "/channels", url.Values{"filter_by_prefix": {"x;"}}, 200, []string{`{"channels":{"x;y":{}}}`}},
		{"no channels", "/channels", url.Values{"filter_by_prefix": {"nothing"}}, 200, []string{`{"channels":{}}`}},
		{"users", "/channels", url.Values{"filter_by_prefix": {"presence-"}, "info": {"user_count"}}, 200, []string{`{"channels":{"presence-u":{"user_count":2}}}`}},
		{"connections", "/channels", url.Values{"filter_by_prefix": {"pu"}, "info": {"subscription_count"}}, 200, []string{`{"channels":{"public":{"subscription_count":2}}}`}},
		{"users of all", "/channels", url.Values{"info": {"user_count"}}, 400, []string{"user_count is for presence channels only"}},
		{"users of others", "/channels", url.Values{"filter_by_prefix": {"presence"}, "info": {"user_count"}}, 400, []string{"user_count is for presence"}},
		{"unknown info", "/channels", url.Values{"info": {"cache"}}, 400, []string{"info should be a comma separated list of attributes"}},
		{"a channel", "/channels/public", nil, 200, []string{`{"occupied":true}`}},
		{"an escaped name", "/channels/x%3By", nil, 200, []string{`{"occupied":true}`}},
		{"an empty channel", "/channels/nobody", url.Values{"info": {"subscription_count"}}, 200, []string{`{"occupied":false,"subscription_count":0}`}},
		{"all of a channel", "/channels/presence-u", url.Values{"info": {"user_count,subscription_count"}}, 200, []string{`{"occupied":true,"user_count":2,"subscription_count":2}`}},
		{"users of a public channel", "/channels/public", url.Values{"info": {"user_count"}}, 400, []string{"presence channels only"}},
		{"cache of another channel", "/channels/public", url.Values{"info": {"cache"}}, 400, []string{"cache channels only"}},
		{"a bad name", "/channels/a%20b", nil, 400, []string{"invalid channel name"}},
		{"users", "/channels/presence-u/users", nil, 200, []string{`{"users":[{"id":"0"},{"id":"1"}]}`}},
		{"users with info", "/channels/presence-u/users", url.Values{"with_user_info": {"1"}}, 200, []string{`{"users":[{"id":"0","user_info":{"n":0}},{"id":"1","user_info":{"n":1}}]}`}},
		{"users of nobody", "/channels/presence-none/users", nil, 200, []string{`{"users":[]}`}},
		{"users of a public channel", "/channels/public/users", nil, 400, []string{"presence channels only"}},
		{"users and more", "/channels/presence-u/users", url.Values{"extra": {"1"}}, 400, []string{"extraneous"}},
		{"connections", "/connections", nil, 200, []string{`{"connections":2}`}},
		{"nothing", "/nothing", nil, 404, []string{"no such address"}},
		{"the wrong method", "/events", nil, 405, []string{"want POST"}},
	}
	for _, tt := range tests {
		status, text := s.Call("GET", tt.path, tt.query, "")
		ok := false
		for _, want := range tt.want {
			ok = ok || text == want || status != 200 && strings.Contains(text, want)
		}
		if status != tt.status || !ok {
			t.Errorf("%s: %d %s, want %d %q", tt.name, status, text, tt.status, tt.want)
		}
	}
}

func TestSignaturesAtTheDoor(t *testing.T) {
	pushertest.Alone(t, "it looks at what one has counted")
	off := false
	s := pushertest.New(t, pusher.Config{PathPrefix: "push/", Apps: []pusher.App{pushertest.App(), {ID: "4", Key: "k4", Secret: "secret-of-4"},
		{ID: "5", Key: pushertest.Key + "5", Secret: pushertest.Secret, Enabled: &off}}})
	good := pushertest.Sign("GET", "/apps/3/channels", nil, "")
	tests := []struct {
		name, method, target, body string
		status                     int
		want                       string
	}{
		{"good", "GET", good, "", 200, "channels"},
		{"with the prefix, unsigned", "GET", "/push" + good, "", 200, "channels"},
		{"with the prefix, signed", "GET", pushertest.Sign("GET", "/push/apps/3/channels", nil, ""), "", 200, "channels"},
		{"with a slash", "GET", pushertest.Sign("GET", "/apps/3/channels/", nil, ""), "", 200, "channels"},
		{"no query", "GET", "/apps/3/channels", "", 401, "auth_key is missing"},
		{"an unknown key", "GET", strings.Replace(good, pushertest.Key, "k", 1), "", 401, "auth_key is not the key of this app"},
		{"another app's key", "GET", strings.Replace(good, pushertest.Key, "k4", 1), "", 401, "auth_key is not the key of this app"},
		{"another app", "GET", strings.Replace(good, "/3/", "/4/", 1), "", 401, "auth_key is not the key of this app"},
		{"an unknown app", "GET", strings.Replace(good, "/3/", "/9/", 1), "", 404, "no app has this id"},
		{"a changed query", "GET", good + "&info=x", "", 401, `HmacSHA256Hex(\"GET\\n/apps/3/channels\\nauth_key=`},
		{"a broken escape", "GET", good + "&info=%", "", 400, "percent escape"},
		{"an unsigned body", "POST", pushertest.Sign("POST", "/apps/3/events", nil, ""), "{}", 401, "body_md5 is missing"},
		{"a changed body", "POST", pushertest.Sign("POST", "/apps/3/events", nil, "{}"), "{ }", 401, "body_md5 does not match"},
		{"nothing there", "GET", "/nothing", "", 404, "no such address"},
		{"no app", "GET", "/apps", "", 404, "no such address"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			status, text, h := s.Raw(tt.method, tt.target, tt.body)
			if status != tt.status || !strings.Contains(text, tt.want) {
				t.Errorf("%d %s, want %d %s", status, text, tt.status, tt.want)
			}
			if strings.Contains(text, pushertest.Secret) || h.Get("Content-Type") != "application/json" || h.Get("Access-Control-Allow-Origin") != "*" {
				t.Errorf("%s with %v", text, h)
			}
		})
	}
	// A disabled app is 403 to who is it, and nothing to strangers.
	raw := strings.Replace(strings.Split(pushertest.Sign("GET", "/apps/5/channels", nil, ""), "&auth_signature")[0], pushertest.Key, pushertest.Key+"5", 1)
	query := strings.Split(raw, "?")[1]
	if status, text, _ := s.Raw("GET", raw+"&auth_signature="+auth.PusherSign(pushertest.Secret, "GET\n/apps/5/channels\n"+query), ""); status != 403 {
		t.Errorf("disabled: %d %s", status, text)
	}
	if status, _, h := s.Raw("OPTIONS", "/apps/3/events", ""); status != 204 || h.Get("Access-Control-Allow-Methods") != "GET, POST, OPTIONS" {
		t.Errorf("preflight: %d %v", status, h)
	}
	if got := s.Dialect.Stats().Counts; got["api 200"] != 4 || got["api 401"] != 7 {
		t.Errorf("counts %v", got)
	}
}

func TestRateLimits(t *testing.T) {
	app := pushertest.App()
	app.APIRate = rate.Rate{Limit: 2, Per: time.Hour}
	app.ConnectRate = rate.Rate{Limit: 1, Per: time.Hour}
	s := pushertest.New(t, pusher.Config{Apps: []pusher.App{app}, APIRate: rate.Rate{Limit: 3, Per: time.Hour}, ConnectRate: rate.Rate{Limit: 5, Per: time.Hour}})
	get := func(want int, limit, remaining, retry string) {
		t.Helper()
		status, text, h := s.Raw("GET", pushertest.Sign("GET", "/apps/3/channels", nil, ""), "")
		if status != want || h.Get("X-RateLimit-Limit") != limit || h.Get("X-RateLimit-Remaining") != remaining ||
			h.Get("X-RateLimit-Reset") == "" || h.Get("Retry-After") != retry {
			t.Errorf("%d %s %v", status, text, h)
		}
	}
	get(200, "2", "1", "")
	get(200, "2", "0", "")
	get(429, "2", "0", "1800") // the app's
	get(429, "3", "0", "1200") // the address's
	s.Dial()
	status, text, h := s.Raw("GET", "/up", "")
	if status != 200 || h.Get("X-RateLimit-Limit") != "" {
		t.Errorf("health is limited: %d %s", status, text)
	}
	req, _ := http.NewRequest("GET", s.Server.URL+"/app/"+pushertest.Key, nil)
	req.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}}
	resp, err := s.Server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != 429 || resp.Header.Get("Retry-After") != "3600" || resp.Header.Get("X-RateLimit-Remaining") != "0" {
		t.Errorf("a second connect: %s %v", resp.Status, resp.Header)
	}
}

// TestAskedOnce: an event that is served again where it may wait counts once.
func TestAskedOnce(t *testing.T) {
	s := pushertest.New(t, pusher.Config{APIRate: rate.Rate{Limit: 100, Per: time.Hour}})
	for i, body := range []string{
		`{"name":"e","channel":"one","data":"x"}`,
		`{"name":"e","channels":["one","two"],"data":"x"}`,
		`{"name":"e","channel":"cache-one","data":"x"}`,
	} {
		status, text, h := s.Raw("POST", pushertest.Sign("POST", "/apps/3/events", nil, body), body)
		if left := h.Get("X-RateLimit-Remaining"); status != 200 || left != strconv.Itoa(99-i) {
			t.Errorf("%s: %d %s, %s are left of 100", body, status, text, left)
		}
	}
}
