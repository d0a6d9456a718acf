package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"poosh/server/admission"
	"poosh/server/idempotency"
	"poosh/server/pusher"
	"poosh/server/pusher/pushertest"
	"poosh/server/sends"
)

// An answer is what a request with a key came to.
type answer struct {
	status   int
	body     string
	id       string
	replayed bool
}

func (a answer) String() string {
	return fmt.Sprintf("%d %s, id %s, replayed %v", a.status, a.body, a.id, a.replayed)
}

// publish sends a signed request with headers and a query.
func publish(s *pushertest.Site, path, body string, query url.Values, header ...string) answer {
	s.T.Helper()
	r, err := http.NewRequest("POST", s.Server.URL+pushertest.Sign("POST", "/apps/"+pushertest.ID+path, query, body), strings.NewReader(body))
	if err != nil {
		s.T.Error(err)
		return answer{}
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	res, err := s.Server.Client().Do(r)
	if err != nil {
		s.T.Error(err)
		return answer{}
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		s.T.Error(err)
	}
	return answer{res.StatusCode, string(text), res.Header.Get(sends.Header), res.Header.Get(idempotency.Replayed) == "true"}
}

// withKey is an event for channel a with a key in its body.
func withKey(key, data string) string {
	return `{"name":"e","channel":"a","data":"` + data + `","idempotency_key":` + pushertest.Quoted(key) + `}`
}

func expect(t *testing.T, p *pushertest.Peer, data ...string) {
	t.Helper()
	for _, want := range data {
		if f := p.Read(); f.Text() != want {
			t.Errorf("received %s, want data %s", f, want)
		}
	}
	p.Quiet()
}

// A key stands in the body or in a header, under two names.
func TestKeys(t *testing.T) {
	const plain = `{"name":"e","channel":"a","data":"1"}`
	for _, tt := range []struct {
		name, body string
		header     []string
	}{
		{"body", withKey("k", "1"), nil},
		{"Sockudo's header", plain, []string{"X-Idempotency-Key", "k"}},
		{"header", plain, []string{"Idempotency-Key", "k"}},
		{"the body wins", withKey("k", "1"), []string{"X-Idempotency-Key", "other"}},
		{"Node's library: both", withKey("k", "1"), []string{"X-Idempotency-Key", "k"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := pushertest.New(t, pusher.Config{})
			p := s.Dial()
			p.Join("a")
			first := publish(s, "/events", tt.body, nil, tt.header...)
			if first.status != 200 || first.body != "{}" || first.replayed || first.id == "" {
				t.Fatal(first)
			}
			expect(t, p, "1")
			for range 2 {
				if again := publish(s, "/events", tt.body, nil, tt.header...); again != (answer{200, "{}", first.id, true}) {
					t.Errorf("%s, then %s", first, again)
				}
			}
			// However it is written down, k is taken.
			if other := publish(s, "/events", withKey("k", "2"), nil); other.status != 409 || !strings.Contains(other.body, `"code":"conflict"`) ||
				!strings.Contains(other.body, idempotency.ErrConflict.Error()) || other.replayed || other.id != "" {
				t.Errorf("another content: %s", other)
			}
			expect(t, p)
			if n := s.Dialect.Stats().Counts["api 409"]; n != 1 {
				t.Errorf("%d conflicts counted", n)
			}
		})
	}
}

// A key is bound to what is sent to whom, and to the app.
func TestKeyOfAnotherContent(t *testing.T) {
	s := pushertest.New(t, pusher.Config{Apps: []pusher.App{pushertest.App(), {ID: "4", Key: "k4", Secret: "another-secret"}}})
	const first = `{"name":"e","channels":["a","b"],"data":"1","idempotency_key":"k"}`
	if got := publish(s, "/events", first, nil); got.status != 200 {
		t.Fatal(got)
	}
	for _, body := range []string{
		`{"name":"f","channels":["a","b"],"data":"1","idempotency_key":"k"}`,
		`{"name":"e","channels":["a","c"],"data":"1","idempotency_key":"k"}`,
		`{"name":"e","channels":["a"],"data":"1","idempotency_key":"k"}`,
		`{"name":"e","channels":["a","b"],"data":"2","idempotency_key":"k"}`,
		`{"name":"e","channels":["a","b"],"data":"1","socket_id":"1.2","idempotency_key":"k"}`,
	} {
		if got := publish(s, "/events", body, nil); got.status != 409 {
			t.Errorf("%s: %s", body, got)
		}
	}
	// Other blanks and other names for the same are the same content.
	for _, body := range []string{
		` { "idempotency_key": "k", "data": "1", "channels": ["a", "b", "a"], "name": "e" } `,
		`{"name":"e","channels":["a","b"],"data":"1","idempotency_key":"\u006b"}`,
	} {
		if got := publish(s, "/events", body, nil); got.status != 200 || !got.replayed {
			t.Errorf("%s: %s", body, got)
		}
	}
	other := s.Dialect.Apps().ID("4")
	turn, err := other.Keys.Take(t.Context(), idempotency.Event, "k", idempotency.Content{}, func() bool { return false })
	if err != nil || turn.Claim == nil {
		t.Errorf("in another app: %+v, %v", turn, err)
	}
}

// What is refused takes no key.
func TestRefusedTakesNoKey(t *testing.T) {
	b := new(backlog)
	s := pushertest.New(t, pusher.Config{Gate: admission.New(b, time.Millisecond)})
	p := s.Dial()
	p.Join("a")
	for name, body := range map[string]string{
		"no data":      `{"name":"e","channel":"a","idempotency_key":"k"}`,
		"bad channel":  `{"name":"e","channel":"a b","data":"1","idempotency_key":"k"}`,
		"bad info":     `{"name":"e","channel":"a","data":"1","info":"x","idempotency_key":"k"}`,
		"too much":     withKey("k", strings.Repeat("x", 20_000)),
		"empty key":    withKey("", "1"),
		"long key":     withKey(strings.Repeat("k", 129), "1"),
		"key a number": `{"name":"e","channel":"a","data":"1","idempotency_key":1}`,
	} {
		if got := publish(s, "/events", body, nil); got.status != 400 && got.status != 413 {
			t.Errorf("%s: %s", name, got)
		}
	}
	if got := publish(s, "/events", `{"name":"e","channel":"a","data":"1"}`, nil, "Idempotency-Key", "k", "Idempotency-Key", "k"); got.status != 400 {
		t.Errorf("two keys: %s", got)
	}
	if got := publish(s, "/batch_events", `{"batch":[`+withKey("k", "1")+`,{"name":"e"}]}`, nil, "Idempotency-Key", "k"); got.status != 400 {
		t.Errorf("a batch: %s", got)
	}
	b.behind()
	if got := publish(s, "/events", withKey("k", "1"), nil); got.status != 503 || !strings.Contains(got.body, "backpressure") {
		t.Errorf("while clients are behind: %s", got)
	}
	if got := publish(s, "/batch_events", `{"batch":[`+withKey("k", "1")+`]}`, nil, "Idempotency-Key", "k"); got.status != 503 {
		t.Errorf("a batch while clients are behind: %s", got)
	}
	b.caughtUp()
	p.Quiet()
	for _, replayed := range []bool{false, true} {
		if got := publish(s, "/events", withKey("k", "2"), nil); got.status != 200 || got.replayed != replayed {
			t.Errorf("corrected: %s", got)
		}
		if got := publish(s, "/batch_events", `{"batch":[`+withKey("l", "3")+`]}`, nil, "Idempotency-Key", "k"); got.status != 200 || got.replayed != replayed {
			t.Errorf("a batch, corrected: %s", got)
		}
	}
	expect(t, p, "2", "3")
	// null is no key.
	for range 2 {
		if got := publish(s, "/events", `{"name":"e","channel":"a","data":"4","idempotency_key":null}`, nil); got.status != 200 || got.replayed {
			t.Error(got)
		}
	}
	expect(t, p, "4", "4")
}

// What was told about channels is told again as it was, to who asks the same.
func TestReplayedInfo(t *testing.T) {
	s := pushertest.New(t, pusher.Config{})
	const body = `{"name":"e","channel":"a","data":"1","info":"subscription_count","idempotency_key":"k"}`
	first := publish(s, "/events", body, nil)
	if first.body != `{"channels":{"a":{"subscription_count":0}}}` {
		t.Fatal(first)
	}
	s.Dial().Join("a")
	if again := publish(s, "/events", body, nil); again != (answer{200, first.body, first.id, true}) {
		t.Errorf("%s, then %s", first, again)
	}
	if again := publish(s, "/events", withKey("k", "1"), nil); again != (answer{200, "{}", first.id, true}) {
		t.Errorf("who asks nothing: %s", again)
	}
	batch := `{"batch":[{"name":"e","channel":"a","data":"1","info":"subscription_count"}]}`
	for _, replayed := range []bool{false, true} {
		if got := publish(s, "/batch_events", batch, nil, "Idempotency-Key", "k"); got.status != 200 || got.replayed != replayed || got.body != `{"batch":[{"subscription_count":1}]}` {
			t.Error(got)
		}
		s.Dial().Join("a")
	}
}

// What a request asks about a channel takes no more memory than its names, however it is
// written, and goes for no other key.
func TestAskedIsSmall(t *testing.T) {
	keys := idempotency.New(idempotency.Config{Bytes: 64 << 10})
	s := pushertest.New(t, pusher.Config{Keys: keys})
	body := func(key, info string) string {
		return `{"name":"e","channel":"presence-a","data":"1","info":"` + info + `","idempotency_key":"` + key + `"}`
	}
	const asked = `{"channels":{"presence-a":{"user_count":0}}}`
	one := publish(s, "/events", body("one", "user_count"), nil)
	for key, info := range map[string]string{
		"blanks": strings.Repeat(" ", 8000) + "user_count", "repeated": strings.Repeat("user_count, ", 300) + "user_count",
	} {
		if got := publish(s, "/events", body(key, info), nil); got.status != 200 || got.body != asked {
			t.Errorf("%s: %s", key, got)
		}
		// Another spelling asks the same.
		if got := publish(s, "/events", body(key, "user_count"), nil); got.body != asked || !got.replayed {
			t.Errorf("%s: %s", key, got)
		}
	}
	if again := publish(s, "/events", body("one", "user_count"), nil); again != (answer{200, asked, one.id, true}) {
		t.Errorf("%s, then %s", one, again)
	}
	for _, r := range keys.Readings() {
		if r.Name == "idempotency_bytes" && r.Samples[0].Value > 3*600 {
			t.Errorf("three keys take %v bytes", r.Samples[0].Value)
		}
	}
}

// A panic behind the publication does not have the event go out again.
func TestPanicBehindThePublication(t *testing.T) {
	pushertest.Alone(t, "the hub does not call receivers in the request")
	for _, tt := range []struct {
		path, body string
		header     []string
	}{
		{"/events", withKey("k", "1"), nil},
		{"/events", `{"name":"e","channels":["a","b"],"data":"1","idempotency_key":"k"}`, nil},
		{"/batch_events", `{"batch":[{"name":"e","channel":"a","data":"1"}]}`, []string{"X-Idempotency-Key", "k"}},
	} {
		var log panicking
		s := pushertest.NewLogged(t, pusher.Config{}, slog.New(&log))
		p := s.Dial()
		p.Join("a")
		log.panics.Store(true)
		if got := publish(s, tt.path, tt.body, nil, tt.header...); got.status != 500 {
			t.Fatal(got)
		}
		log.panics.Store(false)
		expect(t, p, "1")
		if got := publish(s, tt.path, tt.body, nil, tt.header...); got.status != 200 || !got.replayed || got.id == "" {
			t.Error(got)
		}
		p.Quiet()
	}
}

// A panicking log takes nothing but what is said of an event, where it panics if it is told.
type panicking struct{ panics atomic.Bool }

func (p *panicking) Enabled(_ context.Context, level slog.Level) bool {
	return level == slog.LevelDebug && p.panics.Load()
}
func (p *panicking) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "event" {
		panic("a log that is broken")
	}
	return nil
}
func (p *panicking) WithAttrs([]slog.Attr) slog.Handler { return p }
func (p *panicking) WithGroup(string) slog.Handler      { return p }

// A user's events have keys as others do.
func TestKeyOfUserEvent(t *testing.T) {
	s := pushertest.New(t, pusher.Config{})
	const body = `{"name":"e","data":"1","idempotency_key":"k"}`
	for _, replayed := range []bool{false, true} {
		if got := publish(s, "/users/1/events", body, nil); got.status != 200 || got.replayed != replayed {
			t.Error(got)
		}
	}
	if got := publish(s, "/users/2/events", body, nil); got.status != 409 {
		t.Errorf("another user: %s", got)
	}
}

// The key of a batch is for all of it, and those of its events are for each.
func TestBatchKeys(t *testing.T) {
	s := pushertest.New(t, pusher.Config{})
	p := s.Dial()
	p.Join("a")
	batch := func(events ...string) string { return `{"batch":[` + strings.Join(events, ",") + `]}` }

	first := publish(s, "/batch_events", batch(withKey("1", "1"), withKey("2", "2")), nil, "X-Idempotency-Key", "1")
	if first.status != 200 || first.body != "{}" || first.replayed {
		t.Fatal(first)
	}
	expect(t, p, "1", "2")
	if again := publish(s, "/batch_events", batch(withKey("1", "1"), withKey("2", "2")), nil, "X-Idempotency-Key", "1"); again != (answer{200, "{}", first.id, true}) {
		t.Errorf("the same: %s", again)
	}
	if got := publish(s, "/batch_events", batch(withKey("1", "1")), nil, "X-Idempotency-Key", "1"); got.status != 409 {
		t.Errorf("another batch: %s", got)
	}
	// What is known of a batch is left out, and the rest goes out, in its order.
	if got := publish(s, "/batch_events", batch(withKey("3", "3"), withKey("2", "2"), `{"name":"e","channel":"a","data":"4"}`, withKey("1", "1")), nil); got.status != 200 || got.replayed {
		t.Errorf("a part of it is known: %s", got)
	}
	expect(t, p, "3", "4")
	if got := publish(s, "/batch_events", batch(withKey("2", "2"), withKey("1", "1")), nil); got.status != 200 || !got.replayed {
		t.Errorf("all is known: %s", got)
	}
	// An event is one, whichever way it comes.
	if got := publish(s, "/events", withKey("2", "2"), nil); got != (answer{200, "{}", first.id + ".2", true}) {
		t.Errorf("by itself: %s", got)
	}
	// Twice the same in one batch is once, and two under one key are refused, with all of it.
	if got := publish(s, "/batch_events", batch(withKey("5", "5"), withKey("5", "5"), withKey("5", "5")), nil); got.status != 200 {
		t.Error(got)
	}
	expect(t, p, "5")
	for _, body := range []string{batch(withKey("6", "6"), withKey("6", "7")), batch(withKey("6", "6"), withKey("5", "6"))} {
		if got := publish(s, "/batch_events", body, nil, "Idempotency-Key", "six"); got.status != 409 || !strings.Contains(got.body, "event 2 of the batch") {
			t.Error(got)
		}
	}
	expect(t, p)
	if got := publish(s, "/batch_events", batch(withKey("6", "7")), nil, "Idempotency-Key", "six"); got.status != 200 || got.replayed {
		t.Errorf("corrected: %s", got)
	}
	expect(t, p, "7")
}

// Whoever asks what became of a repetition is told.
func TestExplainedReplays(t *testing.T) {
	s := pushertest.New(t, pusher.Config{})
	p := s.Dial()
	p.Join("a")
	ask := url.Values{"explain": {"1"}}
	type told struct {
		sends.Account
		Events   []sends.Account
		Channels json.RawMessage
	}
	read := func(a answer) (got told) {
		t.Helper()
		if err := json.Unmarshal([]byte(a.body), &got); err != nil || a.status != 200 || got.ID != a.id {
			t.Errorf("%s: %v", a, err)
		}
		return got
	}
	// Both ask.
	first := read(publish(s, "/events", withKey("1", "1"), ask))
	again := read(publish(s, "/events", withKey("1", "1"), ask))
	if first.Replayed != nil || again.Replayed == nil || again.Replayed.Text == "" || again.ID != first.ID || again.Handed != 1 || len(again.Rooms) != 1 {
		t.Errorf("%+v, then %+v", first, again)
	}
	if plain := publish(s, "/events", withKey("1", "1"), nil); plain.body != "{}" || !plain.replayed {
		t.Error(plain)
	}
	// Only the second asks, about its channels too.
	sent := publish(s, "/events", withKey("2", "2"), nil)
	again = read(publish(s, "/events", `{"name":"e","channel":"a","data":"2","info":"subscription_count","idempotency_key":"2"}`, ask))
	if again.Replayed == nil || again.ID != sent.id || len(again.Rooms) != 0 || string(again.Channels) != `{"a":{"subscription_count":1}}` {
		t.Errorf("%+v", again)
	}
	// A batch of what is known, twice the same, and new.
	batch := `{"batch":[` + withKey("2", "2") + `,` + withKey("3", "3") + `,` + withKey("3", "3") + `]}`
	both := read(publish(s, "/batch_events", batch, ask, "Idempotency-Key", "b"))
	if len(both.Events) != 3 || both.Events[0].ID != sent.id || both.Events[0].Replayed == nil || both.Events[1].Replayed != nil || both.Events[1].Handed != 1 ||
		both.Events[2].Replayed == nil || both.Events[2].ID != both.Events[1].ID || both.Replayed != nil {
		t.Errorf("%+v", both)
	}
	if whole := read(publish(s, "/batch_events", batch, ask, "Idempotency-Key", "b")); whole.Replayed == nil || whole.ID != both.ID || len(whole.Events) != 3 {
		t.Errorf("%+v", whole)
	}
	if known := read(publish(s, "/batch_events", batch, ask)); known.ID == both.ID || len(known.Events) != 3 || known.Events[1].Replayed == nil || known.Events[1].ID != both.Events[1].ID {
		t.Errorf("%+v", known)
	}
	unasked := publish(s, "/batch_events", `{"batch":[`+withKey("4", "4")+`]}`, nil, "Idempotency-Key", "c")
	if late := read(publish(s, "/batch_events", `{"batch":[`+withKey("4", "4")+`]}`, ask, "Idempotency-Key", "c")); late.ID != unasked.id || len(late.Events) != 1 || late.Events[0].Replayed == nil {
		t.Errorf("%+v", late)
	}
	expect(t, p, "1", "2", "3", "4")
}

// Those who send the same at once, events and batches that want the same keys the other way
// round, are answered, and each event is sent once.
func TestSameAtOnce(t *testing.T) {
	b := new(backlog)
	s := pushertest.New(t, pusher.Config{Gate: admission.New(b, time.Minute)})
	p := s.Dial()
	p.Join("a")
	requests := [][2]string{
		{"/events", withKey("1", "1")}, {"/events", withKey("2", "2")},
		{"/batch_events", `{"batch":[` + withKey("1", "1") + `,` + withKey("2", "2") + `]}`},
		{"/batch_events", `{"batch":[` + withKey("2", "2") + `,` + withKey("1", "1") + `]}`},
	}
	b.behind()
	var all sync.WaitGroup
	for i := range 3 * len(requests) {
		all.Go(func() {
			for {
				r := requests[i%len(requests)]
				got := publish(s, r[0], r[1], nil)
				if got.status == 503 && strings.Contains(got.body, "backpressure") {
					continue // where this machine stands still for long
				}
				if got.status != 200 || got.body != "{}" {
					t.Errorf("%s: %s", r, got)
				}
				return
			}
		})
	}
	time.Sleep(50 * time.Millisecond) // for most of them to be there; all is right without it
	b.caughtUp()
	all.Wait()
	seen := p.Read().Text() + p.Read().Text()
	if seen != "12" && seen != "21" {
		t.Errorf("received %s", seen)
	}
	p.Quiet()
}
