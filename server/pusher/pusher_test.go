package pusher_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"poosh/server/hub"
	"poosh/server/pusher"
	"poosh/server/pusher/pushertest"
)

func TestMain(m *testing.M) { pushertest.Main(m) }

func TestNewNamesEveryMistake(t *testing.T) {
	_, err := pusher.New(pusher.Config{Apps: []pusher.App{{ID: "1", Key: "k", Secret: pushertest.Secret}, {ID: "1", Key: "l", Secret: pushertest.Secret}, {ID: "2", Key: "k", Secret: pushertest.Secret}, {ID: "3", Key: "m"}}},
		hub.New(), nil, nil)
	for _, want := range []string{`app "1": another app has the same id`, `app "2": another app has the same key`, `app "3": secret is missing`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
	if _, err := pusher.New(pusher.Config{}, hub.New(), nil, nil); err == nil {
		t.Error("no app is no mistake")
	}
}

func TestHealth(t *testing.T) {
	pushertest.Alone(t, "the other one takes events on")
	s := pushertest.New(t, pusher.Config{PathPrefix: "/push"})
	check := func(path string, status int, text string) {
		t.Helper()
		got, body, h := s.Raw("GET", path, "")
		if got != status || !strings.Contains(body, text) || status != 404 && h.Get("X-Health-Check") != text {
			t.Errorf("%s: %d %s", path, got, body)
		}
	}
	check("/up", 200, "OK")
	check("/push/up", 200, "OK")
	check("/up/3", 200, "OK")
	check("/up/9", 404, "no app has this id")
	check("/live", 200, "OK")
	for _, probe := range []string{"/", "/ready", "/accept-traffic", "/push/", "/push/ready"} { // soketi's
		check(probe, 200, "OK")
	}
	check("/ready/3", 404, "no app has this id")
	s.Dialect.Apps().Drain()
	check("/up", 503, "ERROR")
	check("/live", 200, "OK")
	check("/", 200, "OK")
	check("/ready", 503, "ERROR")
	check("/accept-traffic", 503, "ERROR")
	const event = `{"name":"e","channel":"c","data":"1"}`
	status, text, h := s.Raw("POST", pushertest.Sign("POST", "/apps/3/events", nil, event), event)
	if status != 503 || h.Get("Retry-After") != "2" {
		t.Errorf("publishing while draining: %d %s %v", status, text, h)
	}
	checkNoPlace(t, s)
}

// A server that is full tells so as one that ends does.
func TestFull(t *testing.T) {
	s := pushertest.New(t, pusher.Config{MaxConnections: 1})
	s.Dial()
	checkNoPlace(t, s)
}

// checkNoPlace connects where nobody is taken now: clients are told 4100 on an open connection
// but for those that would stay away for good after two of these.
func checkNoPlace(t *testing.T, s *pushertest.Site) {
	t.Helper()
	const browser = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
	for _, row := range []struct {
		query, agent string
		status       int // of the handshake
	}{
		{"", "", 101},
		{"?protocol=7&client=js&version=4.4.0&flash=false", "", 503},
		{"?protocol=7&client=js&version=7.6.0&flash=false", "", 503},
		{"?protocol=7&client=js&version=7.6.0&flash=false", "okhttp/4.9.1", 503},
		{"?protocol=7&client=js&version=7.6.0&flash=false", browser, 101},
		{"?protocol=7&client=js&version=8.1.0&flash=false", "", 503},
		{"?protocol=7&client=js&version=8.2.0&flash=false", "", 101},
		{"?protocol=7&client=js&version=10.0.0&flash=false", "", 101},
		{"?protocol=7&client=js&version=x", "", 101},
		{"?protocol=7&client=js", "", 101},
		{"?protocol=7&client=java-client&version=2.4.4", "", 101},
	} {
		path, header := "/app/"+pushertest.Key+row.query, http.Header{"User-Agent": {row.agent}}
		if row.status == 101 {
			if code := s.Open(path, header).Closed(); code != 4100 {
				t.Errorf("%s from %q: closed with %d", path, row.agent, code)
			}
			continue
		}
		ws, resp, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(s.Server.URL, "http")+path, header)
		if err == nil {
			_ = ws.Close()
			t.Errorf("%s from %q is taken", path, row.agent)
		} else if resp == nil || resp.StatusCode != row.status || resp.Header.Get("Retry-After") != "5" {
			t.Errorf("%s from %q: %v %v", path, row.agent, err, resp)
		}
	}
	if n := s.Dialect.Stats().Counts["connect refused 4100"]; n != 11 {
		t.Errorf("%d refusals are counted", n)
	}
}

// TestBridgedEvents has another dialect's event on the way to Pusher clients.
func TestBridgedEvents(t *testing.T) {
	s := pushertest.New(t, pusher.Config{})
	for _, h := range s.Hubs() {
		h.Bridge("", pusher.HubApp(pushertest.ID), pusher.Import)
		h.Bridge(pusher.HubApp(pushertest.ID), "", pusher.Export)
	}
	p := s.Dial()
	p.Join("news", "private-x")
	for _, room := range []string{"news", "private-x"} {
		s.Hub.Publish(&hub.Publication{Room: room, Event: "e", Data: []byte(`{"a": 1}`)})
	}
	p.Expect(`{"event":"e","channel":"news","data":"{\"a\":1}"}`)
	p.Quiet()
	got := make(chan string, 2)
	other := s.Hub.Register("", "x", 1, jsonEncoder{}, receiverFunc(func(frame []byte) bool {
		got <- string(frame)
		return true
	}))
	defer s.Hub.Unregister(other)
	if err := s.Hub.Join(other, "news"); err != nil {
		t.Fatal(err)
	}
	s.Trigger("news", "back", "[1, 2]")
	p.Expect(`{"event":"back","channel":"news","data":"[1, 2]"}`)
	if text := <-got; text != `back [1,2]` || len(got) != 0 {
		t.Errorf("the other side has %q and %d more", text, len(got))
	}
	p.Quiet()
}

// jsonEncoder is a dialect whose publications hold JSON.
type jsonEncoder struct{}

func (jsonEncoder) Encode(p *hub.Publication) []byte {
	return []byte(p.Event + " " + string(p.Data))
}

type receiverFunc func([]byte) bool

func (f receiverFunc) Deliver(frame []byte) bool { return f(frame) }
