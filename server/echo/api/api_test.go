package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"poosh/server/http1"
	"poosh/server/http1/http1test"
	"poosh/server/hub"
	"poosh/server/route"
	"poosh/server/sends"
)

// A world is a dialect with channels that a test fills.
type world struct {
	mu       sync.Mutex
	channels map[string][]Member // a member with no id is a connection of a channel without members
	events   []Event
	err      error
	handed   int // to how many connections events go; set once
}

func (w *world) fault() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

func (w *world) Connections(context.Context) (int, error) { return 2, w.fault() }

func (w *world) of(name string) Channel {
	users := make(map[string]bool)
	for _, m := range w.channels[name] {
		users[string(m.UserID)] = true
	}
	return Channel{Name: name, Count: len(w.channels[name]), Users: len(users)}
}

func (w *world) Channels(_ context.Context, prefix string) iter.Seq2[Channel, error] {
	return func(yield func(Channel, error) bool) {
		if err := w.fault(); err != nil {
			yield(Channel{}, err)
			return
		}
		for _, name := range slices.Sorted(maps.Keys(w.channels)) {
			if strings.HasPrefix(name, prefix) && !yield(w.of(name), nil) {
				return
			}
		}
	}
}

func (w *world) Channel(_ context.Context, name string) (Channel, error) {
	return w.of(name), w.fault()
}

func (w *world) Members(_ context.Context, name string) ([]Member, error) {
	return w.channels[name], w.fault()
}

func (w *world) Publish(_ context.Context, e Event, explain bool) (Sent, error) {
	if err := w.fault(); err != nil {
		return Sent{}, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
	sent := Sent{ID: "the-id", Handed: w.handed}
	if explain {
		sent.Account = sends.Explain(sent.ID, e.Name)
	}
	return sent, nil
}

// taken are the events that were published.
func (w *world) taken() []Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.events)
}

// serve serves an API of a world, on the stack that ships.
func serve(t *testing.T, cfg Config, w *world) (*http1test.Server, *API) {
	t.Helper()
	a := New(cfg, w, nil)
	r := route.New(route.Decoded)
	a.Mount(r)
	return http1test.Serve(t, http1test.NewSockets(t), r, func(*http.Request) http1.Where { return http1.Here }), a
}

type answer struct {
	status int
	body   string
	head   http.Header
}

func ask(t *testing.T, s *http1test.Server, method, path, body string, headers ...string) answer {
	t.Helper()
	req, err := http.NewRequest(method, s.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	got, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{got.StatusCode, string(text), got.Header}
}

var one = Config{Apps: []App{{"a1b2", "0123456789abcdef"}, {"other", "keyofanotherapp"}, {"keyless", ""}}}

const key = "auth_key=0123456789abcdef"

// What is answered is what the original answered, to the byte.
func TestAnswers(t *testing.T) {
	w := &world{channels: map[string][]Member{
		"orders":          {{}},
		"private-<b>&\"":  {{}, {}},
		"presence-room.1": {{json.RawMessage(`1`), json.RawMessage(`{"name":"<A>"}`)}, {json.RawMessage(`"x"`), nil}, {json.RawMessage(`1`), nil}},
	}}
	s, _ := serve(t, one, w)
	const asJSON, asText = "application/json; charset=utf-8", "text/html; charset=utf-8"
	for _, row := range []struct {
		method, path string
		status       int
		body, kind   string
	}{
		{"GET", "/", 200, "OK", asText},
		{"GET", "/apps/a1b2/channels?" + key, 200, `{"channels":{"orders":{"subscription_count":1,"occupied":true},"presence-room.1":{"subscription_count":3,"occupied":true},"private-<b>&\"":{"subscription_count":2,"occupied":true}}}`, asJSON},
		{"GET", "/apps/a1b2/channels?filter_by_prefix=presence-&" + key, 200, `{"channels":{"presence-room.1":{"subscription_count":3,"occupied":true}}}`, asJSON},
		{"GET", "/apps/a1b2/channels?filter_by_prefix=no&" + key, 200, `{"channels":{}}`, asJSON},
		{"GET", "/apps/a1b2/channels/orders?" + key, 200, `{"subscription_count":1,"occupied":true}`, asJSON},
		{"GET", "/apps/a1b2/channels/nobody?" + key, 200, `{"subscription_count":0,"occupied":false}`, asJSON},
		{"GET", "/apps/a1b2/channels/presence-room.1?" + key, 200, `{"subscription_count":3,"occupied":true,"user_count":2}`, asJSON},
		{"GET", "/apps/a1b2/channels/presence-none?" + key, 200, `{"subscription_count":0,"occupied":false,"user_count":0}`, asJSON},
		{"GET", "/apps/a1b2/channels/presence-room.1/users?" + key, 200, `{"users":[{"id":1,"user_info":{"name":"<A>"}},{"id":"x"},{"id":1}]}`, asJSON},
		{"GET", "/apps/a1b2/channels/presence-none/users?" + key, 200, `{"users":[]}`, asJSON},
		{"GET", "/apps/a1b2/channels/orders/users?" + key, 400, `{"error":"User list is only possible for Presence Channels"}`, asJSON},
		{"GET", "/apps/a1b2/channels/private-%3Cb%3E%26%22?" + key, 200, `{"subscription_count":2,"occupied":true}`, asJSON},
		{"GET", "/apps/a1b2/channels", 403, `{"error":"Unauthorized"}`, asJSON},
	} {
		got := ask(t, s, row.method, row.path, "")
		if got.status != row.status || got.body != row.body || got.head.Get("Content-Type") != row.kind {
			t.Errorf("%s %s: %d %s %q, want %d %s", row.method, row.path, got.status, got.body, got.head.Get("Content-Type"), row.status, row.body)
		}
	}
	got := ask(t, s, "GET", "/apps/a1b2/status?"+key, "")
	var status struct {
		Count  int                `json:"subscription_count"`
		Uptime float64            `json:"uptime"`
		Memory map[string]float64 `json:"memory_usage"`
	}
	if err := json.Unmarshal([]byte(got.body), &status); err != nil || status.Count != 2 || status.Uptime <= 0 || status.Memory["rss"] <= status.Memory["heapUsed"] || status.Memory["heapUsed"] <= 0 {
		t.Errorf("%v %s", err, got.body)
	}
	if got := ask(t, s, "POST", "/apps/a1b2/batch_events?"+key, `{"batch":[]}`); got.status != 404 {
		t.Errorf("batch_events is answered %d", got.status)
	}
}

// Who does not show the key of the app in the path learns nothing and changes nothing.
func TestKeys(t *testing.T) {
	w := &world{}
	s, _ := serve(t, one, w)
	event := `{"channel":"a","name":"b","data":"c"}`
	for _, row := range []struct {
		path, head string
		status     int
	}{
		{"/apps/a1b2/events?" + key, "", 200},
		{"/apps/a1b2/events", "Bearer 0123456789abcdef", 200},
		{"/apps/a1b2/events", "0123456789abcdef", 200}, // as the original took it
		{"/apps/a1b2/events?auth_key=wrong", "Bearer 0123456789abcdef", 200},
		{"/apps/a1b2/events?" + key, "Bearer wrong", 403},
		{"/apps/a1b2/events", "", 403},
		{"/apps/a1b2/events?auth_key=", "", 403},
		{"/apps/a1b2/events?auth_key=keyofanotherapp", "", 403},
		{"/apps/other/events?" + key, "", 403},
		{"/apps/keyless/events?auth_key=", "", 403},
		{"/apps/keyless/events", "Bearer ", 403},
		{"/apps/none/events?" + key, "", 403},
		{"/apps/a1b2/events?auth_key[]=0123456789abcdef", "", 403},
	} {
		var headers []string
		if row.head != "" {
			headers = []string{"Authorization", row.head}
		}
		if got := ask(t, s, "POST", row.path, event, headers...); got.status != row.status || got.status == 403 && got.body != `{"error":"Unauthorized"}` {
			t.Errorf("%s with %q: %d %s, want %d", row.path, row.head, got.status, got.body, row.status)
		}
	}
	if n := len(w.taken()); n != 4 {
		t.Errorf("%d events were published", n)
	}
}

// Every body is answered, and what is taken means what the original took it for.
func TestEvents(t *testing.T) {
	const missing = `{"error":"Event must include channel, event name and data"}`
	for _, row := range []struct {
		body, want string // the event, or what is answered
	}{
		{`{"channel":"a","name":"n","data":"{\"x\":1.0}"}`, `[a] n {"x":1.0} ""`},
		{`{"channel":"a","name":"n","data":{"x":1},"socket_id":"IC6M"}`, `[a] n {"x":1} "IC6M"`},
		{`{"channels":["a","b"],"channel":"c","name":"n","data":"plain","socket_id":null}`, `[a b] n "plain" ""`},
		{`{"channels":[],"name":"n","data":[]}`, ""},
		{`{"channels":null,"channel":"c","name":"n","data":[],"socket_id":7}`, `[c] n [] ""`},
		{`{"channel":"a","name":"n","data":5}`, `[a] n 5 ""`},
		{`{"channel":"a","name":"n","data":true}`, `[a] n true ""`},
		{`{"channel":"a","name":"n","data":" "}`, `[a] n " " ""`},
		{`{"channel":"a","name":"n","data":"false"}`, `[a] n false ""`},
		{`{"channel":"a","name":"n","data":0.0}`, missing},
		{`{"channel":"a","name":"n","data":""}`, missing},
		{`{"channel":"a","name":"n","data":null}`, missing},
		{`{"channel":"a","name":"n","data":false}`, missing},
		{`{"channel":"a","name":"n"}`, missing},
		{`{"channel":"a","data":"x"}`, missing},
		{`{"channel":"a","name":5,"data":"x"}`, missing},
		{`{"channel":"","name":"n","data":"x"}`, missing},
		{`{"channel":{},"name":"n","data":"x"}`, missing},
		{`{"channels":"a","name":"n","data":"x"}`, missing},
		{`{"channels":[1],"name":"n","data":"x"}`, missing},
		{`{"channels":["a",null],"name":"n","data":"x"}`, missing},
		{`{"Channel":"a","name":"n","data":"x"}`, missing},
		{`null`, missing}, {`[]`, missing}, {`7`, missing}, {`"x"`, missing}, {`{}`, missing},
		{``, `{"error":"the body is no JSON"}`},
		{`{"channel":`, `{"error":"the body is no JSON"}`},
		{"{\"channel\":\"\xff\",\"name\":\"n\",\"data\":\"x\"}", `{"error":"the body is no JSON"}`},
		{`{"channels":["a","b","c","d"],"name":"n","data":"x"}`, `{"error":"the event has 4 channels: 3 are the most"}`},
	} {
		w := &world{}
		cfg := one
		cfg.MaxChannels = 3
		s, _ := serve(t, cfg, w)
		got := ask(t, s, "POST", "/apps/a1b2/events?"+key, row.body)
		said := ""
		for _, e := range w.taken() {
			said += fmt.Sprintf("%v %s %s %q", e.Channels, e.Name, e.Data, e.Except)
		}
		if strings.HasPrefix(row.want, `{"error"`) {
			if got.status != 400 || got.body != row.want || said != "" {
				t.Errorf("%s: %d %s %s, want %s", row.body, got.status, got.body, said, row.want)
			}
		} else if got.status != 200 || got.body != `{"message":"ok"}` || said != row.want {
			t.Errorf("%s: %d %s %s, want %s", row.body, got.status, got.body, said, row.want)
		}
	}
}

// Bodies are bounded, and what the dialect cannot do is said with a status that libraries
// try again after.
func TestRefusals(t *testing.T) {
	w := &world{}
	cfg := one
	cfg.MaxBody = 100
	s, a := serve(t, cfg, w)
	big := `{"channel":"a","name":"n","data":"` + strings.Repeat("x", 100) + `"}`
	if got := ask(t, s, "POST", "/apps/a1b2/events?"+key, big); got.status != 413 || got.body != `{"error":"the body is larger than 100 bytes"}` {
		t.Errorf("%d %s", got.status, got.body)
	}
	cfg.MaxBody = 1000
	a.Change(cfg)
	if got := ask(t, s, "POST", "/apps/a1b2/events?"+key, big); got.status != 200 {
		t.Errorf("%d %s", got.status, got.body)
	}
	for _, row := range []struct {
		err    error
		status int
		body   string
	}{
		{hub.ErrFull, 503, `{"error":` + strconv.Quote(hub.ErrFull.Error()) + `}`},
		{hub.ErrUncertain, 503, `{"error":` + strconv.Quote(hub.ErrUncertain.Error()) + `}`},
		{&Error{Status: 400, Text: "the event's name is reserved"}, 400, `{"error":"the event's name is reserved"}`},
		{context.DeadlineExceeded, 503, `{"error":"the answer takes too long"}`},
		{errors.New("a secret"), 503, `{"error":"the server cannot answer now"}`},
	} {
		w.mu.Lock()
		w.err = row.err
		w.mu.Unlock()
		for _, path := range []string{"POST /apps/a1b2/events", "GET /apps/a1b2/status", "GET /apps/a1b2/channels", "GET /apps/a1b2/channels/a", "GET /apps/a1b2/channels/presence-a/users"} {
			method, path, _ := strings.Cut(path, " ")
			body := ""
			if method == "POST" {
				body = `{"channel":"a","name":"n","data":"x"}`
			}
			got := ask(t, s, method, path+"?"+key, body)
			if got.status != row.status || got.body != row.body || (got.head.Get("Retry-After") == "1") != (got.status == 503 && row.err != hub.ErrUncertain) {
				t.Errorf("%v, %s: %d %s %v", row.err, path, got.status, got.body, got.head)
			}
		}
	}
	if n := a.Readings()[0].Samples[int(answer503)].Value; n != 20 {
		t.Errorf("%v answers 503 are counted", n)
	}
}

// Pages of other origins are told what the operator lets them do, or nothing.
func TestCORS(t *testing.T) {
	s, a := serve(t, one, &world{})
	for _, path := range []string{"/", "/apps/a1b2/channels", "/apps/a1b2/events"} {
		if got := ask(t, s, "OPTIONS", path, ""); got.status != 200 || got.head.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s without CORS: %d %v", path, got.status, got.head)
		}
	}
	cfg := one
	cfg.CORS = CORS{"http://localhost:80", "GET, POST", "Origin, Content-Type"}
	a.Change(cfg)
	for _, request := range []string{"GET /", "OPTIONS /", "OPTIONS /apps/a1b2/channels", "GET /apps/a1b2/channels", "POST /apps/a1b2/events"} {
		method, path, _ := strings.Cut(request, " ")
		h := ask(t, s, method, path, "").head
		got := h.Get("Access-Control-Allow-Origin") + "; " + h.Get("Access-Control-Allow-Methods") + "; " + h.Get("Access-Control-Allow-Headers")
		if got != "http://localhost:80; GET, POST; Origin, Content-Type" {
			t.Errorf("%s: %s", request, got)
		}
	}
}

// A long list is written in pieces and is one object.
func TestManyChannels(t *testing.T) {
	w := &world{channels: make(map[string][]Member)}
	for i := range 3000 {
		w.channels[fmt.Sprintf("private-channel.%d.%s", i, strings.Repeat("y", 40))] = []Member{{}}
	}
	s, _ := serve(t, one, w)
	var got struct {
		Channels map[string]count `json:"channels"`
	}
	if err := json.Unmarshal([]byte(ask(t, s, "GET", "/apps/a1b2/channels?"+key, "").body), &got); err != nil || len(got.Channels) != 3000 {
		t.Errorf("%v, %d channels", err, len(got.Channels))
	}
}

// Whatever a body is, it is read as one event or refused.
func FuzzEvent(f *testing.F) {
	for _, body := range []string{`{"channel":"a","name":"n","data":"{\"x\":1}"}`, `{"channels":["a"],"name":"n","data":{},"socket_id":"x"}`, `null`, `{"data":[1,{"a":null}]}`, "\xff"} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		e, err := readEvent(body, 10)
		if err != nil {
			if asError(err).Status != 400 {
				t.Fatalf("%q: %v", body, err)
			}
			return
		}
		if e.Name == "" || !json.Valid(e.Data) || len(e.Channels) > 10 || slices.Contains(e.Channels, "") {
			t.Fatalf("%q: %+v", body, e)
		}
	})
}
