package pusher_test

import (
	"strings"
	"testing"

	"poosh/server/hub"
	"poosh/server/leaktest"
	"poosh/server/pusher"
	"poosh/server/pusher/pushertest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

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
	p := s.Open("/app/"+pushertest.Key, nil)
	if code := p.Closed(); code != 4100 {
		t.Errorf("connecting while draining: %d", code)
	}
}

// TestBridgedEvents has another dialect's event on the way to Pusher clients.
func TestBridgedEvents(t *testing.T) {
	s := pushertest.New(t, pusher.Config{})
	s.Hub.Bridge("", pusher.HubApp(pushertest.ID), pusher.Import)
	s.Hub.Bridge(pusher.HubApp(pushertest.ID), "", pusher.Export)
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
