package client_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"poosh/server/pusher"
	"poosh/server/pusher/pushertest"
)

func TestMain(m *testing.M) { pushertest.Main(m) }

func TestRefusedConnections(t *testing.T) {
	off := false
	apps := []pusher.App{pushertest.App(),
		{ID: "4", Key: "off", Secret: pushertest.Secret, Enabled: &off},
		{ID: "5", Key: "pages", Secret: pushertest.Secret, AllowedOrigins: []string{"example.com", "*.example.org", "https://whole.net:8443"}},
		{ID: "6", Key: "full", Secret: pushertest.Secret, MaxConnections: 1},
	}
	s := pushertest.New(t, pusher.Config{Apps: apps, PathPrefix: "/push"})
	taken := s.Open("/app/full", nil)
	taken.Established()
	tests := []struct {
		path, origin string
		code         int // 0: taken
	}{
		{"/app/" + pushertest.Key + "?protocol=7", "", 0},
		{"/app/" + pushertest.Key + "?protocol=4", "", 0},
		{"/app/" + pushertest.Key, "", 0},
		{"/push/app/" + pushertest.Key, "", 0},
		{"/app/" + pushertest.Key + "/?protocol=7", "", 0},
		{"/app/" + pushertest.Key + "?protocol=3", "", 4007},
		{"/app/" + pushertest.Key + "?protocol=8", "", 4007},
		{"/app/" + pushertest.Key + "?protocol=x", "", 4006},
		{"/app/unknown?protocol=7", "", 4001},
		{"/app/unknown?protocol=2", "", 4001},
		{"/app/off?protocol=7", "", 4003},
		{"/app/full?protocol=7", "", 4004},
		{"/app", "", 4005},
		{"/app/" + pushertest.Key + "/more", "", 4005},
		{"/elsewhere", "", 4005},
		{"/", "", 4005},
		{"/app/pages", "https://example.com", 0},
		{"/app/pages", "https://EXAMPLE.com:444", 0},
		{"/app/pages", "https://a.b.example.org", 0},
		{"/app/pages", "https://whole.net:8443", 0},
		{"/app/pages", "", 0},
		{"/app/pages", "https://example.org", 4009},
		{"/app/pages", "https://whole.net", 4009},
		{"/app/pages", "https://badexample.com", 4009},
		{"/app/pages", "null", 4009},
	}
	for _, tt := range tests {
		t.Run(tt.path+" "+tt.origin, func(t *testing.T) {
			header := http.Header{}
			if tt.origin != "" {
				header.Set("Origin", tt.origin)
			}
			s.T = t
			p := s.Open(tt.path, header)
			if tt.code == 0 {
				p.Established()
				return
			}
			// The code must be a number in the error, which comes before anything else.
			event := "pusher:error"
			if strings.HasSuffix(tt.path, "protocol=2") {
				event = "sockudo:error"
			}
			if f := p.Read(); f.Event != event || !strings.HasPrefix(string(f.Data), fmt.Sprintf(`{"code":%d,"message":"`, tt.code)) {
				t.Errorf("first frame %s", f)
			}
			if got := p.Closed(); got != tt.code {
				t.Errorf("closed with %d, want %d", got, tt.code)
			}
		})
	}
	s.T = t
	_ = taken.WS.Close()
	pushertest.Eventually(t, "a place to be free again", func() bool {
		p := s.Open("/app/full", nil)
		f := p.Read()
		_ = p.WS.Close()
		return f.Event == "pusher:connection_established"
	})
}

func TestNotAWebSocket(t *testing.T) {
	s := pushertest.New(t, pusher.Config{})
	if status, text, h := s.Raw("GET", "/app/"+pushertest.Key, ""); status != 426 || h.Get("Upgrade") != "websocket" {
		t.Errorf("%d %s", status, text)
	}
	req, _ := http.NewRequest("GET", s.Server.URL+"/app/"+pushertest.Key, nil)
	req.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"8"}}
	resp, err := s.Server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != 400 || s.Dialect.Stats().Connections != 0 {
		t.Errorf("%s, %d connections", resp.Status, s.Dialect.Stats().Connections)
	}
}

func TestNodeLimit(t *testing.T) {
	pushertest.Alone(t, "the other one has places left")
	s := pushertest.New(t, pusher.Config{MaxConnections: 1})
	s.Dial()
	for probe, want := range map[string]int{"/accept-traffic": 503, "/ready": 200, "/up": 200} {
		if status, text, _ := s.Raw("GET", probe, ""); status != want {
			t.Errorf("%s: %d %s", probe, status, text)
		}
	}
	p := s.Open("/app/"+pushertest.Key, nil)
	if f := p.Read(); !strings.Contains(f.Raw, `"code":4100`) || p.Closed() != 4100 {
		t.Errorf("first frame %s", f)
	}
}

// TestMessages sends what clients may send and compares every byte of the answers;
// whatever it was, the connection lives on.
func TestMessages(t *testing.T) {
	problem := func(code, text string) string {
		return `{"event":"pusher:error","data":{"code":` + code + `,"message":"` + text + `"}}`
	}
	problemAt := func(channel, code, text string) string {
		return `{"event":"pusher:error","channel":"` + channel + `","data":{"code":` + code + `,"message":"` + text + `"}}`
	}
	refused := func(channel, kind, text string) string {
		return "\n" + `{"event":"pusher:subscription_error","channel":"` + channel + `","data":{"type":"` + kind + `","error":"` + text + `","status":401}}`
	}
	long := strings.Repeat("x", 201)
	tests := []struct{ name, in, out string }{
		{"ping", `{"event":"pusher:ping","data":{}}`, `{"event":"pusher:pong","data":"{}"}`},
		{"ping without data", `{"event":"pusher:ping"}`, `{"event":"pusher:pong","data":"{}"}`},
		{"ping with a string", `{"event":"pusher:ping","data":""}`, `{"event":"pusher:pong","data":"{}"}`},
		{"ping and fields nobody knows", `{"x":[1],"event":"pusher:ping"}`, `{"event":"pusher:pong","data":"{}"}`},
		{"pong", `{"event":"pusher:pong"}`, ""},
		{"not JSON", `hello`, problem("null", "a message must be a JSON object")},
		{"an array", `[]`, problem("null", "a message must be a JSON object")},
		{"a half", `{"event":"pusher:ping"`, problem("null", "a message must be a JSON object")},
		{"no event", `{}`, problem("null", "a message must have an event, which is a string")},
		{"an event that is a number", `{"event":1}`, problem("null", "a message must have an event, which is a string")},
		{"an unknown event", `{"event":"pusher:dance"}`, problem("null", `Unknown event \"pusher:dance\": client events begin with client-`)},
		{"the server's own event", `{"event":"pusher_internal:member_added","channel":"a","data":"{}"}`,
			problem("null", `Unknown event \"pusher_internal:member_added\": client events begin with client-`)},
		{"an event without client-", `{"event":"chat","channel":"a","data":"{}"}`, problem("null", `Unknown event \"chat\": client events begin with client-`)},
		{"subscribe to nothing", `{"event":"pusher:subscribe"}`, problem("null", "pusher:subscribe: data must be an object with a channel")},
		{"subscribe to a number", `{"event":"pusher:subscribe","data":{"channel":1}}`, problem("null", "pusher:subscribe: data must be an object with a channel")},
		{"subscribe to a bad name", `{"event":"pusher:subscribe","data":{"channel":"a b"}}`,
			problem("null", `Invalid channel name \"a b\": want 1 to 200 letters, digits and -_=@,.;`) +
				refused("a b", "InvalidChannel", `Invalid channel name \"a b\": want 1 to 200 letters, digits and -_=@,.;`)},
		{"subscribe to an empty name", `{"event":"pusher:subscribe","data":{"channel":""}}`,
			problem("null", `Invalid channel name \"\": want 1 to 200 letters, digits and -_=@,.;`)},
		{"subscribe to a long name", `{"event":"pusher:subscribe","data":{"channel":"` + long + `"}}`,
			problem("null", `Invalid channel name \"`+long[:200]+`...\": want 1 to 200 letters, digits and -_=@,.;`) +
				refused(long, "LimitReached", `Invalid channel name \"`+long[:200]+`...\": want 1 to 200 letters, digits and -_=@,.;`)},
		{"subscribe to another # channel", `{"event":"pusher:subscribe","data":{"channel":"#presence"}}`,
			problem("null", `Invalid channel name \"#presence\": want 1 to 200 letters, digits and -_=@,.;`) +
				refused("#presence", "InvalidChannel", `Invalid channel name \"#presence\": want 1 to 200 letters, digits and -_=@,.;`)},
		{"subscribe", `{"event":"pusher:subscribe","data":{"channel":"a-_=@,.;Z9","auth":""}}`,
			`{"event":"pusher_internal:subscription_succeeded","channel":"a-_=@,.;Z9","data":"{}"}`},
		// Some libraries send the data as a string that holds it.
		{"subscribe with a string", `{"event":"pusher:subscribe","data":"{\"channel\":\"s\",\"auth\":null}"}`,
			`{"event":"pusher_internal:subscription_succeeded","channel":"s","data":"{}"}`},
		{"names in other letters", `{"EVENT":"pusher:dance","event":"pusher:ping","Event":"pusher:dance"}`, `{"event":"pusher:pong","data":"{}"}`},
		{"only names in other letters", `{"Event":"pusher:ping"}`, problem("null", "a message must have an event, which is a string")},
		{"subscribe in other letters", `{"event":"pusher:subscribe","Data":{"channel":"y"},"data":{"channel":"x","Channel":"y"},"DATA":{"channel":"y"}}`,
			`{"event":"pusher_internal:subscription_succeeded","channel":"x","data":"{}"}`},
		{"a name twice", `{"event":"pusher:unsubscribe","data":{"channel":"y","channel":"x"}}`, ""},
		{"subscribe again", `{"event":"pusher:subscribe","data":{"channel":"s"}}`, problem("null", "Existing subscription to channel s")},
		{"unsubscribe", `{"event":"pusher:unsubscribe","data":{"channel":"s"}}`, ""},
		{"unsubscribe again", `{"event":"pusher:unsubscribe","data":{"channel":"s"}}`, problem("null", `No current subscription to channel \"s\"`)},
		{"unsubscribe from nothing", `{"event":"pusher:unsubscribe","data":"x"}`, problem("null", "pusher:unsubscribe: data must be an object with a channel")},
		{"an unsigned private channel", `{"event":"pusher:subscribe","data":{"channel":"private-a"}}`,
			problem("4009", "auth must be the app's key, a colon and a signature") + "\n" +
				`{"event":"pusher:subscription_error","channel":"private-a","data":{"type":"AuthError","error":"auth must be the app's key, a colon and a signature","status":401}}`},
		{"another app's key", `{"event":"pusher:subscribe","data":{"channel":"private-cache-a","auth":"k:00"}}`,
			problem("4009", "auth has another key than the app that this connection is for") + "\n" +
				`{"event":"pusher:subscription_error","channel":"private-cache-a","data":{"type":"AuthError","error":"auth has another key than the app that this connection is for","status":401}}`},
		{"a user's channel, not signed in", `{"event":"pusher:subscribe","data":{"channel":"#server-to-user-1"}}`,
			problem("4009", `only a connection signed in as that user may subscribe to \"#server-to-user-1\"`) + "\n" +
				`{"event":"pusher:subscription_error","channel":"#server-to-user-1","data":{"type":"AuthError","error":"only a connection signed in as that user may subscribe to \"#server-to-user-1\"","status":401}}`},
		{"sign in with nothing", `{"event":"pusher:signin"}`, problem("4009", "pusher:signin: data must be an object with auth and user_data")},
		{"a client event to a public channel", `{"event":"client-x","channel":"a-_=@,.;Z9","data":1}`,
			problemAt("a-_=@,.;Z9", "4301", `client events are for private and presence channels only, not for \"a-_=@,.;Z9\"`)},
		{"a client event elsewhere", `{"event":"client-x","channel":"private-b","data":1}`,
			problemAt("private-b", "null", "client event on channel private-b, which this connection does not subscribe to")},
		{"a client event to a bad name", `{"event":"client-x","channel":"a b","data":1}`,
			problemAt("a b", "null", "invalid channel name: want 1 to 200 letters, digits and -_=@,.;")},
		{"a client event nowhere", `{"event":"client-x","data":1}`, problem("null", "invalid channel name: want 1 to 200 letters, digits and -_=@,.;")},
		{"a client event on a number", `{"event":"client-x","channel":5}`, problem("null", "invalid channel name: want 1 to 200 letters, digits and -_=@,.;")},
	}
	s := pushertest.New(t, pusher.Config{})
	p := s.Dial()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p.T = t
			p.Send(tt.in)
			if tt.out != "" {
				p.Expect(strings.Split(tt.out, "\n")...)
			}
			p.Quiet()
		})
	}
	p.T = t
	if err := p.WS.WriteMessage(websocket.BinaryMessage, []byte(`{"event":"pusher:ping"}`)); err != nil {
		t.Fatal(err)
	}
	p.Expect(problem("null", "binary messages are not understood"))
	p.Send(`{"event":"client-x","channel":"private-y","data":"` + strings.Repeat("x", 64<<10) + `"}`)
	if code := p.Closed(); code != websocket.CloseMessageTooBig {
		t.Errorf("a message over 64 KiB ends with %d", code)
	}
}

func TestRefusedSignatureNamesWhatToSign(t *testing.T) {
	p := pushertest.New(t, pusher.Config{}).Dial()
	p.Send(`{"event":"pusher:subscribe","data":{"channel":"private-a","auth":"` + pushertest.Key + `:beef"}}`)
	want := "Invalid signature: Expected HMAC SHA256 hex digest of " + p.SocketID + ":private-a, but got beef"
	p.Expect(`{"event":"pusher:error","data":{"code":4009,"message":"`+want+`"}}`,
		`{"event":"pusher:subscription_error","channel":"private-a","data":{"type":"AuthError","error":"`+want+`","status":401}}`)
	// A private channel's data is signed too, when there is some.
	p.Subscribe("private-a", `{"anything":1}`)
	p.Expect(`{"event":"pusher_internal:subscription_succeeded","channel":"private-a","data":"{}"}`)
}

func TestEventsReachSubscribers(t *testing.T) {
	s := pushertest.New(t, pusher.Config{})
	a, b := s.Dial(), s.Dial()
	a.Join("news", "private-a")
	b.Join("news", "private-encrypted-e")
	for _, data := range []string{"", "plain", `{"a":1.50,"n":9007199254740993}`, "\u2028<b>é😀\x00\"\\\n"} {
		s.Trigger("news", `App\Events\Done`, data)
		for _, p := range []*pushertest.Peer{a, b} {
			if f := p.Read(); f.Event != `App\Events\Done` || f.Channel != "news" || f.Text() != data {
				t.Errorf("sent %q, received %s", data, f)
			}
		}
	}
	sealed := `{"nonce":"bm9uY2U=","ciphertext":"c2VhbGVk"}`
	s.Trigger("private-encrypted-e", "e", sealed)
	if f := b.Read(); f.Text() != sealed {
		t.Errorf("received %s", f)
	}
	a.Quiet() // in the channel of another nobody hears anything
}

// TestSocketIDIsNoChannel publishes to a channel that is named as a connection is.
func TestSocketIDIsNoChannel(t *testing.T) {
	s := pushertest.New(t, pusher.Config{})
	p := s.Dial()
	s.Trigger(p.SocketID, "e", "secret")
	p.Quiet()
}

func TestClientEvents(t *testing.T) {
	app := pushertest.App()
	app.MaxEventBytes = 40
	app.ClientEventRate = pusher.Rate{Limit: 3, Per: time.Hour}
	s := pushertest.New(t, pusher.Config{Apps: []pusher.App{app}})
	a, b := s.Dial(), s.Dial()
	a.Join("private-c")
	b.Join("private-c")
	a.Send(`{"event":"client-x","channel":"private-c","data":{"a": 1.50, "b":"é"}}`)
	b.Expect(`{"event":"client-x","channel":"private-c","data":"{\"a\":1.50,\"b\":\"é\"}"}`)
	a.Send(`{"event":"client-x","channel":"private-c","data":"a string"}`)
	b.Expect(`{"event":"client-x","channel":"private-c","data":"a string"}`)
	a.Send(`{"event":"client-x","channel":"private-c","data":"` + strings.Repeat("x", 41) + `"}`)
	if f := a.Read(); !strings.Contains(f.Raw, `"code":4301`) || !strings.Contains(f.Raw, "exceeds the allowed maximum (40 bytes)") {
		t.Errorf("too much data gives %s", f)
	}
	a.Send(`{"event":"client-x","channel":"private-c"}`)
	if f := a.Read(); !strings.Contains(f.Raw, `"code":4301`) || !strings.Contains(f.Raw, "faster than 3/3600s") {
		t.Errorf("too many give %s", f)
	}
	a.Send(`{"event":"client-` + strings.Repeat("x", 200) + `","channel":"private-c"}`)
	if f := a.Read(); !strings.Contains(f.Raw, "200 characters") {
		t.Errorf("a long name gives %s", f)
	}
	a.Quiet()
	b.Quiet()
}

func TestClientEventsSwitchedOff(t *testing.T) {
	app := pushertest.App()
	app.ClientEvents = false
	s := pushertest.New(t, pusher.Config{Apps: []pusher.App{app}})
	p := s.Dial()
	p.Join("private-c")
	p.Send(`{"event":"client-x","channel":"private-c","data":{}}`)
	p.Expect(`{"event":"pusher:error","channel":"private-c","data":{"code":4301,"message":"client events are not enabled for this app"}}`)
	p.Quiet()
}

func TestTooManyChannels(t *testing.T) {
	app := pushertest.App()
	app.MaxChannels = 2
	p := pushertest.New(t, pusher.Config{Apps: []pusher.App{app}}).Dial()
	p.Join("a", "b")
	p.Subscribe("c", "")
	const text = "this connection subscribes to 2 channels, as many as it may"
	p.Expect(`{"event":"pusher:error","data":{"code":4100,"message":"`+text+`"}}`,
		`{"event":"pusher:subscription_error","channel":"c","data":{"type":"LimitReached","error":"`+text+`","status":401}}`)
	p.Send(`{"event":"pusher:unsubscribe","data":{"channel":"a"}}`)
	p.Join("c")
}

func TestCacheChannels(t *testing.T) {
	app := pushertest.App()
	app.CacheTTL = pusher.Duration(3 * time.Second) // which an answer tells rounded down
	s := pushertest.New(t, pusher.Config{Apps: []pusher.App{app}})
	left := regexp.MustCompile(`^{"occupied":true,"cache":{"data":"2","ttl":[012]}}$`)
	channels := []string{"cache-a", "private-cache-a", "private-encrypted-cache-a"}
	for _, channel := range channels {
		s.Trigger(channel, "first", "1") // also when nobody listens
		s.Trigger(channel, "last", "2")
		p := s.Dial()
		p.Subscribe(channel, "")
		p.Expect(`{"event":"pusher_internal:subscription_succeeded","channel":"`+channel+`","data":"{}"}`,
			`{"event":"last","channel":"`+channel+`","data":"2"}`)
		status, text := s.Call("GET", "/channels/"+channel, map[string][]string{"info": {"cache"}}, "")
		if status != 200 || !left.MatchString(text) {
			t.Errorf("%d %s", status, text)
		}
	}
	time.Sleep(3050 * time.Millisecond)
	for _, channel := range channels {
		p := s.Dial()
		p.Subscribe(channel, "")
		p.Expect(`{"event":"pusher_internal:subscription_succeeded","channel":"`+channel+`","data":"{}"}`,
			`{"event":"pusher:cache_miss","channel":"`+channel+`","data":"{}"}`)
		_, text := s.Call("GET", "/channels/"+channel, map[string][]string{"info": {"cache"}}, "")
		if text != `{"occupied":true,"cache":null}` {
			t.Errorf("expired: %s", text)
		}
	}
	// A client event is never cached.
	a, b := s.Dial(), s.Dial()
	a.Subscribe("private-cache-c", "")
	a.Read()
	a.Read()
	a.Send(`{"event":"client-x","channel":"private-cache-c","data":"1"}`)
	a.Quiet()
	b.Subscribe("private-cache-c", "")
	b.Read()
	b.Expect(`{"event":"pusher:cache_miss","channel":"private-cache-c","data":"{}"}`)
}

// TestCacheAndLiveEventsAreInOrder subscribes while events are published: each
// newcomer sees the cached one and then all that follow, none twice.
func TestCacheAndLiveEventsAreInOrder(t *testing.T) {
	s := pushertest.New(t, pusher.Config{})
	a := s.App()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 2000 {
			a.Publish("cache-n", "e", fmt.Appendf(nil, `"%d"`, i), "")
		}
	}()
	for range 20 {
		p := s.Dial()
		p.Subscribe("cache-n", "")
		if f := p.Read(); f.Event != "pusher_internal:subscription_succeeded" {
			t.Fatalf("first %s", f)
		}
		next := -1
		for range 20 {
			f := p.Read()
			if f.Event == "pusher:cache_miss" {
				continue
			}
			var n int
			_, _ = fmt.Sscan(f.Text(), &n)
			if next >= 0 && n != next {
				t.Fatalf("after %d came %d", next-1, n)
			}
			if next = n + 1; next == 2000 {
				break
			}
		}
		_ = p.WS.Close()
	}
	<-done
}

func TestActivityTimeout(t *testing.T) {
	app := pushertest.App()
	app.ActivityTimeout = pusher.Duration(time.Second)
	s := pushertest.New(t, pusher.Config{Apps: []pusher.App{app}, PongTimeout: 500 * time.Millisecond})
	silent, pinged, ponging := s.Dial(), s.Dial(), s.Dial()
	// silent answers neither the pusher:ping nor WebSocket's.
	silent.WS.SetPingHandler(func(string) error { return nil })
	silent.Expect(`{"event":"pusher:ping","data":"{}"}`)
	// The WebSocket pong that a library sends by itself is life enough.
	go func() {
		for {
			if _, _, err := pinged.WS.ReadMessage(); err != nil {
				return
			}
		}
	}()
	ponging.WS.SetPingHandler(func(string) error { return nil })
	ponging.Expect(`{"event":"pusher:ping","data":"{}"}`)
	ponging.Send(`{"event":"pusher:pong","data":{}}`)
	if code := silent.Closed(); code != 4201 {
		t.Errorf("closed with %d", code)
	}
	ponging.Expect(`{"event":"pusher:ping","data":"{}"}`)
	ponging.Send(`{"event":"pusher:pong","data":{}}`)
	if err := pinged.WS.WriteMessage(websocket.TextMessage, []byte(`{"event":"pusher:ping"}`)); err != nil || s.Dialect.Stats().Connections != 2 {
		t.Errorf("%v, %d connections", err, s.Dialect.Stats().Connections)
	}
}

// TestVersion4IsNotPinged has a client of a version without pusher:ping.
func TestVersion4IsNotPinged(t *testing.T) {
	app := pushertest.App()
	app.ActivityTimeout = pusher.Duration(time.Second)
	s := pushertest.New(t, pusher.Config{Apps: []pusher.App{app}, PongTimeout: 300 * time.Millisecond})
	p := s.Open("/app/"+pushertest.Key+"?protocol=4", nil)
	p.Established()
	pings := make(chan struct{}, 10)
	p.WS.SetPingHandler(func(string) error { pings <- struct{}{}; return nil })
	_ = p.WS.SetReadDeadline(time.Now().Add(2500 * time.Millisecond))
	_, data, err := p.WS.ReadMessage()
	if err == nil || websocket.IsCloseError(err, 4201) || len(pings) == 0 {
		t.Errorf("received %s, %v and %d pings", data, err, len(pings))
	}
}

func TestAuthorizedConnections(t *testing.T) {
	app := pushertest.App()
	app.Authorize, app.AuthorizeTimeout = true, pusher.Duration(2*time.Second)
	s := pushertest.New(t, pusher.Config{Apps: []pusher.App{app}})
	stranger, member, user := s.Dial(), s.Dial(), s.Dial()
	stranger.Join("public")
	member.Join("private-a")
	user.SignIn(`{"id":"1"}`)
	user.Read()
	if f := stranger.Read(); !strings.Contains(f.Raw, `"code":4009`) || stranger.Closed() != 4009 {
		t.Errorf("received %s", f)
	}
	time.Sleep(300 * time.Millisecond)
	member.Quiet()
	user.Quiet()
}

// TestSubscribeRate has one connection come and go from channel to channel. As many
// as it may be in at all it may enter at once.
func TestSubscribeRate(t *testing.T) {
	app := pushertest.App()
	app.MaxChannels, app.SubscribeRate = 3, pusher.Rate{Limit: 2, Per: time.Hour}
	s := pushertest.New(t, pusher.Config{Apps: []pusher.App{app}})
	p := s.Dial()
	p.Join("a", "b", "c")
	p.Send(`{"event":"pusher:unsubscribe","data":{"channel":"a"}}`)
	p.Subscribe("d", "")
	const text = "subscriptions come faster than 2/3600s"
	p.Expect(`{"event":"pusher:error","data":{"code":4100,"message":"`+text+`"}}`,
		`{"event":"pusher:subscription_error","channel":"d","data":{"type":"LimitReached","error":"`+text+`","status":401}}`)
	p.Quiet()
	s.Dial().Join("d")
	if n := s.Dialect.Stats().Counts["subscribe refused"]; n != 1 {
		t.Errorf("%d are counted", n)
	}
}

// TestNumbersAndOtherLetters goes through the door with what an app may have signed.
func TestNumbersAndOtherLetters(t *testing.T) {
	s := pushertest.New(t, pusher.Config{})
	p := s.Dial()
	p.SignIn(`{"id":1}`)
	p.Expect(`{"event":"pusher:signin_success","data":{"user_data":"{\"id\":1}"}}`)
	p.Join("#server-to-user-1")
	s.Trigger("#server-to-user-1", "e", "x")
	p.Expect(`{"event":"e","channel":"#server-to-user-1","data":"x"}`)
	p.Subscribe("presence-c", `{"user_id":"safe","USER_ID":"admin"}`)
	p.Expect(`{"event":"pusher_internal:subscription_succeeded","channel":"presence-c","data":"{\"presence\":{\"ids\":[\"safe\"],\"hash\":{\"safe\":{}},\"count\":1}}"}`)
}

// TestMissesOfConnections is the same through the door: one connection that
// subscribes and unsubscribes.
func TestMissesOfConnections(t *testing.T) {
	s := pushertest.New(t, pusher.Config{CacheBytes: 20_000})
	s.Trigger("cache-price", "e", "7")
	p := s.Dial()
	for i := range 150 {
		channel := fmt.Sprint("cache-", i)
		p.Subscribe(channel, "")
		p.Expect(`{"event":"pusher_internal:subscription_succeeded","channel":"`+channel+`","data":"{}"}`,
			`{"event":"pusher:cache_miss","channel":"`+channel+`","data":"{}"}`)
		p.Send(`{"event":"pusher:unsubscribe","data":{"channel":"` + channel + `"}}`)
	}
	p.Subscribe("cache-price", "")
	p.Expect(`{"event":"pusher_internal:subscription_succeeded","channel":"cache-price","data":"{}"}`,
		`{"event":"e","channel":"cache-price","data":"7"}`)
}
