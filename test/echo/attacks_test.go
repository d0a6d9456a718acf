package echo

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// killing are frames of one client that ended laravel-echo-server 1.6.3, or that it took for
// what they are not, and others like them.
var killing = []string{
	`["subscribe",null]`, `["unsubscribe",null]`, `["client event",null]`,
	`["subscribe"]`, `["unsubscribe"]`, `["client event"]`, `["subscribe",5]`, `["subscribe","orders"]`, `["subscribe",[]]`, `["subscribe",{}]`, `["subscribe",true]`,
	`["subscribe",{"channel":null}]`, `["subscribe",{"channel":5}]`, `["subscribe",{"channel":{}}]`, `["subscribe",{"channel":["orders"]}]`, `["subscribe",{"channel":""}]`,
	`["subscribe",{"channel":"__proto__"}]`, `["subscribe",{"channel":"constructor"}]`, `["subscribe",{"channel":"presence-"}]`, `["subscribe",{"channel":"private-"}]`,
	`["subscribe",{"channel":"private-x","auth":null}]`, `["subscribe",{"channel":"private-x","auth":5}]`, `["subscribe",{"channel":"private-x","auth":{"headers":5}}]`,
	`["subscribe",{"channel":"private-x","auth":{"headers":{"X-A":null}}}]`, `["subscribe",{"channel":"private-x","auth":{"headers":{"X-A":{}}}}]`, `["subscribe",{"channel":"private-x","auth":{"headers":{"X-A":"a\r\nb"}}}]`,
	`["subscribe",{"channel":"private-x","auth":{"headers":{"Host":"evil","Content-Length":"1000","Transfer-Encoding":"chunked"}}}]`,
	`["unsubscribe",{"channel":"presence-never.joined"}]`, `["unsubscribe",{"channel":"orders"}]`, `["unsubscribe",{}]`, `["unsubscribe",{"channel":null}]`,
	`["client event",{}]`, `["client event","null"]`, `["client event","{"]`, `["client event","{\"channel\":\"presence-room\"}"]`,
	`["client event",{"channel":"presence-room","event":null,"data":1}]`, `["client event",{"channel":"presence-room","event":"client-typing"}]`,
	`["client event",{"channel":"presence-room","event":"client-typing","data":"from somebody who is not in it"}]`, `["client event",{"channel":"orders","event":"client-x","data":1}]`,
	`["client event",{"channel":{"a":1},"event":["client-x"],"data":1}]`,
	`["disconnect"]`, `["disconnecting"]`, `["connect"]`, `["error",null]`, `["connection",null]`, `["presence:joining","presence-room",{"user_id":1}]`, `[]`, `[null]`, `[5]`, `{}`, `"x"`, ``,
	`["subscribe",{"channel":"` + strings.Repeat("x", 10_000) + `"}]`, `["subscribe",` + strings.Repeat("[", 5_000) + strings.Repeat("]", 5_000) + `]`,
	`["subscribe",{"channel":"\ud800"}]`, "[\"subscribe\",{\"channel\":\"\xff\"}]", `["subscribe",{"channel":"a\u0000b"}]`,
}

// A raw client says what it likes, by polling.
type raw struct {
	t   *testing.T
	url string
}

// connectRaw opens a session of Engine.IO 3 or 4 whose client is in the namespace.
func connectRaw(t *testing.T, s *server, version int) *raw {
	t.Helper()
	c := &raw{t, fmt.Sprintf("%s/socket.io/?EIO=%d&transport=polling", s.URL(), version)}
	body := c.do(http.MethodGet, "")
	from, to := strings.IndexByte(body, '{'), strings.IndexByte(body, '}')
	var open struct{ SID string }
	if from < 0 || to < from || json.Unmarshal([]byte(body[from:to+1]), &open) != nil || open.SID == "" {
		t.Fatalf("a session begins with %q", body)
	}
	c.url += "&sid=" + open.SID
	if version == 4 {
		c.do(http.MethodPost, "40")
	}
	return c
}

func (c *raw) do(method, body string) string {
	c.t.Helper()
	req, err := http.NewRequest(method, c.url, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "text/plain;charset=UTF-8")
	client := http.Client{Timeout: 20 * time.Second}
	res, err := client.Do(req)
	if err != nil {
		c.t.Fatalf("the server has gone: %v", err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatalf("the server has gone: %v", err)
	}
	return string(text)
}

// say sends an event as it is.
func (c *raw) say(version int, event string) {
	packet := "42" + event
	if version == 3 {
		packet = fmt.Sprintf("%d:%s", len([]rune(packet)), packet)
	}
	c.do(http.MethodPost, packet)
}

// Whatever a client, a sender or a program on that Redis says, everybody else goes on.
func TestKillingFrames(t *testing.T) {
	s := start(t)
	b := newBroadcaster(t, s.redis, prefix)
	witness := open(t, s.URL(), "echo-1", "sio-2.5.0", 1)
	witness.join("presence", "room", ".said")
	witness.wants(fmt.Sprintf(`["here","room",[%s]]`, ann(1)))
	witness.hears(b, "room", "presence-room")
	n := 0
	goesOn := func(after string) {
		t.Helper()
		n++
		b.send(broadcast{Channels: []string{"presence-room"}, Event: "said", Data: map[string]any{"n": n}})
		if got, want := witness.next(), fmt.Sprintf(`["event","room",".said",{"n":%d}]`, n); got != want {
			t.Fatalf("after %.200s: %s, want %s", after, got, want)
		}
	}
	for _, version := range []int{3, 4} {
		for _, event := range killing {
			connectRaw(t, s, version).say(version, event)
			goesOn(event)
		}
	}
	for _, body := range []string{"", "{", "null", "[]", "5", `"x"`, "\xff\xfe", `{"channel":"a"}`, `{"channels":"a","name":"b","data":"c"}`, `{"channel":{},"name":[],"data":{}}`, strings.Repeat("[", 100_000)} {
		res, err := http.Post(s.URL()+"/apps/app/events?auth_key="+appKey, "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != 400 || !strings.HasPrefix(string(text), `{"error":`) {
			t.Errorf("%.40q is answered %d %s", body, res.StatusCode, text)
		}
		goesOn(body)
	}
	for _, message := range []string{"", "null", "{", "[]", "5", `{}`, `{"event":null}`, `{"event":5,"data":1}`, `{"event":{},"data":1}`, `{"data":1}`, `{"event":"","data":1}`,
		`{"event":"disconnect","data":1}`, `{"event":"connect","data":1}`, `{"event":"newListener","data":1}`, `{"event":"presence:joining","data":{"user_id":9}}`, `{"event":"subscription_error","data":1}`,
		"\xff\xfe\x00", strings.Repeat("[", 100_000), `{"event":"x","data":` + strings.Repeat("[", 20_000) + `}`, `{"event":"\ud800"}`, `{"event":"x","data":"` + strings.Repeat("y", 2<<20) + `"}`} {
		s.redis.Do("PUBLISH", prefix+"presence-room", message)
		s.redis.Do("PUBLISH", "another-program", message)
		s.redis.Do("PUBLISH", prefix, message)
		goesOn(message)
	}
	b.send(broadcast{Channels: []string{"presence-room"}, Event: "last", Data: nil})
	if strings.Contains(s.Log(), "panic") {
		t.Error("something panicked")
	}
}

// What is there over HTTP is what is there.
func TestHTTP(t *testing.T) {
	s := start(t)
	b := newBroadcaster(t, s.redis, prefix)
	one, two := open(t, s.URL(), "echo-1", "sio-2.5.0", 1), open(t, s.URL(), "echo-2", "sio-4.8.1", 2)
	for _, p := range []*page{one, two} {
		p.join("private", "orders", ".paid")
		p.hears(b, "orders", "private-orders")
	}
	one.join("presence", "room")
	one.wants(fmt.Sprintf(`["here","room",[%s]]`, ann(1)))
	ask := func(method, path, body, want string) {
		t.Helper()
		req, err := http.NewRequest(method, s.URL()+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+appKey)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if text, _ := io.ReadAll(res.Body); string(text) != want {
			t.Errorf("%s %s: %d %s, want %s", method, path, res.StatusCode, text, want)
		}
	}
	ask("GET", "/", "", "OK")
	ask("GET", "/apps/app/channels?filter_by_prefix=presence-", "", `{"channels":{"presence-room":{"subscription_count":1,"occupied":true}}}`)
	ask("GET", "/apps/app/channels?filter_by_prefix=private-", "", `{"channels":{"private-orders":{"subscription_count":2,"occupied":true}}}`)
	ask("GET", "/apps/app/channels/presence-room", "", `{"subscription_count":1,"occupied":true,"user_count":1}`)
	ask("GET", "/apps/app/channels/presence-room/users", "", `{"users":[{"id":1,"user_info":{"id":1,"name":"Ann \u00e9 1"}}]}`)
	ask("GET", "/apps/app/channels/none", "", `{"subscription_count":0,"occupied":false}`)
	ask("POST", "/apps/app/events", `{"channel":"private-orders","name":"paid","data":"{\"n\":1}","socket_id":"`+one.id+`"}`, `{"message":"ok"}`)
	ask("POST", "/apps/app/events", `{"channels":["private-orders"],"name":"paid","data":{"n":2}}`, `{"message":"ok"}`)
	one.wants(`["event","orders",".paid",{"n":2}]`)
	two.wants(`["event","orders",".paid",{"n":1}]`, `["event","orders",".paid",{"n":2}]`)
}
