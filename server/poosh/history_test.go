package poosh

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"poosh/auth"
	"poosh/server/hub"
	"poosh/server/hub/history"
)

// An extract is what GET /history answers.
type extract struct {
	Room     *string
	ID       string
	Complete *bool
	More     *bool
	Events   []struct {
		ID, Event, Except string
		Time              time.Time
		Payload           json.RawMessage
	}
}

// payloads says what the events are, and want wants it.
func (a extract) payloads() (list []string) {
	for _, e := range a.Events {
		list = append(list, string(e.Payload))
	}
	return list
}

func (a extract) want(t *testing.T, complete, more bool, payloads ...string) {
	t.Helper()
	if *a.Complete != complete || *a.More != more || !slices.Equal(a.payloads(), payloads) {
		t.Errorf("complete %v, more %v: %.60q; want %v, %v: %.60q", *a.Complete, *a.More, a.payloads(), complete, more, payloads)
	}
}

// newArchive is an API whose events are kept.
func newArchive(t *testing.T, cfg Config) *stage {
	t.Helper()
	s := newStage(t, cfg)
	s.hub = hub.NewWith(nil, history.New(history.Config{Age: time.Hour, Bytes: 16 << 20, Events: 2000}, App))
	cfg.Secret = apiSecret
	s.API = NewAPI(cfg, s.hub, slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	s.Handler = s.API.Router()
	return s
}

// reads is a request for a page, signed.
func reads(path string) *http.Request {
	r := httptest.NewRequest("GET", path, nil)
	r.Header.Set("Authorization", sign(path))
	return r
}

func (s *stage) page(t *testing.T, query string) (a extract) {
	t.Helper()
	w := s.do(reads("/history" + query))
	if w.Code != 200 || w.Header().Get("Content-Type") != "application/json" || w.Header().Get("Cache-Control") != "no-store" {
		t.Fatalf("%s: %d %v %s", query, w.Code, w.Header(), w.Body)
	}
	if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil || a.Complete == nil || a.More == nil || a.Events == nil {
		t.Fatalf("%s: %s: %v", query, w.Body, err)
	}
	return a
}

// A sender reads what it sent, and the position with which a page joins.
func TestHistory(t *testing.T) {
	s := newArchive(t, Config{})
	s.page(t, "?room=r").want(t, true, false)
	for n, body := range []string{
		`{"room":"r","event":"e\"<","payload":{"b":1.50,"a":"\u00e9<"}}`, `{"event":"all","payload":[2]}`, `{"room":"r","event":"e","except":"lone"}`,
		`{"room":"x","event":"e","payload":4}`, `{"room":"r","event":"e","payload":5}`,
	} {
		text := []string{`{"b":1.5,"a":"é<"}`, "[2]", "undefined", "4", "5"}[n]
		if w := s.do(post("/send", body, text)); w.Code != 200 {
			t.Fatalf("%s: %d", body, w.Code)
		}
	}
	first, second, third := `{"b":1.50,"a":"\u00e9<"}`, "null", "5"
	a := s.page(t, "?room=r")
	a.want(t, true, false, first, second, third)
	if e := a.Events[0]; e.Event != `e"<` || e.Except != "" || time.Since(e.Time) > time.Hour || e.Time.After(time.Now().Add(time.Second)) || *a.Room != "r" {
		t.Errorf("the first is %+v, of %q", e, *a.Room)
	}
	if a.Events[1].Except != "lone" || a.ID != a.Events[2].ID || a.Events[0].ID >= a.Events[1].ID {
		t.Errorf("got %+v", a)
	}
	s.page(t, "?room=r&limit=2").want(t, true, false, second, third)
	s.page(t, "?room=r&limit=4").want(t, true, false, first, second, third)
	s.page(t, "?room=r&since="+a.Events[0].ID).want(t, true, false, second, third)
	s.page(t, "?room=r&since="+a.ID).want(t, true, false)
	s.page(t, "?room=r&since=0000000001-0000000001").want(t, false, false, first, second, third)
	s.page(t, "?room=nobody").want(t, true, false)
	s.page(t, "?room=").want(t, true, false)
	if b := s.page(t, ""); b.Room != nil || b.ID != a.ID {
		t.Errorf("of everyone: %+v", b)
	} else {
		b.want(t, true, false, "[2]")
	}
	page := s.page(t, "?room=r&since=all&limit=2")
	page.want(t, true, true, first, second)
	if page.ID != page.Events[1].ID {
		t.Errorf("it goes on from %s, behind %s", page.ID, page.Events[1].ID)
	}
	s.page(t, "?limit=2&since="+page.ID+"&room=r").want(t, true, false, third)
	if !strings.Contains(s.log.String(), "history read") {
		t.Errorf("the log has %s", s.log)
	}
}

// A page has about a megabyte at the most, and always one event.
func TestHistoryIsBounded(t *testing.T) {
	s := newArchive(t, Config{})
	payload := func(n int) string { return fmt.Sprintf(`"%d%s"`, n, strings.Repeat("x", 400<<10)) }
	for n := range 5 {
		s.hub.Publish(&hub.Publication{App: App, Room: "r", Event: "e", Data: []byte(payload(n))})
	}
	large := `"` + strings.Repeat("y", 2<<20) + `"`
	s.hub.Publish(&hub.Publication{App: App, Room: "large", Event: "e", Data: []byte(large)})
	s.page(t, "?room=r").want(t, false, false, payload(3), payload(4))
	next := s.page(t, "?room=r&since=all")
	next.want(t, true, true, payload(0), payload(1))
	next = s.page(t, "?room=r&since="+next.ID)
	next.want(t, true, true, payload(2), payload(3))
	s.page(t, "?room=r&since="+next.ID).want(t, true, false, payload(4))
	s.page(t, "?room=large").want(t, true, false, large)
	s.page(t, "?room=large&since=all").want(t, true, false, large)
	// What an answer has is counted as it stands there, and all of it.
	long := strings.Repeat("<", 400<<10)
	for n := range 5 {
		s.hub.Publish(&hub.Publication{App: App, Room: "except", Event: "e", Data: []byte(strconv.Itoa(n)), Except: long})
		s.hub.Publish(&hub.Publication{App: App, Room: "event", Event: long, Data: []byte(strconv.Itoa(n))})
	}
	for _, room := range []string{"except", "event"} {
		s.page(t, "?room="+room).want(t, false, false, "4")
		next := s.page(t, "?room="+room+"&since=all")
		next.want(t, true, true, "0")
		s.page(t, "?room="+room+"&since="+next.ID).want(t, true, true, "1")
	}
	for range 1500 {
		s.hub.Publish(&hub.Publication{App: App, Room: "many", Event: "e", Data: []byte("1")})
	}
	for query, n := range map[string]int{"?room=many": 100, "?room=many&limit=1000": 1000, "?room=many&limit=1": 1} {
		if a := s.page(t, query); len(a.Events) != n {
			t.Errorf("%s: %d events", query, len(a.Events))
		}
	}
}

// Nobody reads without a token over the very path and query; that of a payload is none, nor
// is a token of this a payload's.
func TestHistoryIsForSenders(t *testing.T) {
	s := newArchive(t, Config{Previous: "the secret before it"})
	s.hub.Publish(&hub.Publication{App: App, Room: "r", Event: "e", Data: []byte("1")})
	const path = "/history?room=r"
	for name, token := range map[string]string{
		"none": "", "another secret": sign("x" + path), "no payload": sign("undefined"), "a payload": sign("1"), "the path alone": sign("/history"),
		"another room": sign("/history?room=x"), "a payload that looks like it": sign(`"` + path + `"`), "upper case": strings.ToUpper(sign(path)),
	} {
		r := httptest.NewRequest("GET", path, nil)
		if token != "" {
			r.Header.Set("Authorization", token)
		}
		if w := s.do(r); w.Code != 401 || w.Body.Len() > 0 {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	r := httptest.NewRequest("GET", path, nil)
	r.Header.Set("Authorization", auth.PooshSign("the secret before it", []byte(path)))
	if w := s.do(r); w.Code != 200 || len(s.previous.Samples()) == 0 {
		t.Errorf("the previous secret: %d %s", w.Code, w.Body)
	}
	if w := s.do(post("/send", `{"room":"r","event":"e","payload":"`+path+`"}`, path)); w.Code != 401 {
		t.Errorf("a send with the token of a page: %d", w.Code)
	}
	for _, method := range []string{"HEAD", "POST", "DELETE"} {
		r := reads(path)
		r.Method = method
		if w := s.do(r); w.Code != 401 {
			t.Errorf("%s: %d", method, w.Code)
		}
	}
	off := newStage(t, Config{})
	if w := off.do(reads(path)); w.Code != 401 {
		t.Errorf("without a history: %d", w.Code)
	}
}

func TestHistoryRefusals(t *testing.T) {
	s := newArchive(t, Config{})
	for _, query := range []string{
		"room=r&limit=0", "room=r&limit=1001", "room=r&limit=x", "room=r&limit=", "room=r&since=x", "room=r&since=17", "room=r&room=x",
		"room=r&since=all&since=all", "room=r&page=2", "room=%zz", "room=a;b=c", "Room=r",
	} {
		w := s.do(reads("/history?" + query))
		if w.Code != 400 || !strings.Contains(w.Body.String(), "limit from 1 to 1000") {
			t.Errorf("%s: %d %s", query, w.Code, w.Body)
		}
	}
	if n := s.Stats().Refused["page"]; n != 12 {
		t.Errorf("%d were counted", n)
	}
	// Names are as their senders spelled them, escaped or not; it is the spelling that is signed.
	s.hub.Publish(&hub.Publication{App: App, Room: "a b&é", Event: "e", Data: []byte("1")})
	for _, query := range []string{"room=" + url.QueryEscape("a b&é"), "room=a%20b%26%C3%A9"} {
		s.page(t, "?"+query).want(t, true, false, "1")
	}
}

// Whatever stands behind /history?, it is a page of one room that there may be, or refused.
func FuzzHistoryQuery(f *testing.F) {
	for _, s := range []string{
		"", "room=r", "room=", "room=a%20b&limit=1000", "limit=1001", "limit=+5", "limit=0x10", "limit=1e3", "since=all", "since=ALL", "since=0000000001-0000000002",
		"since=0000000000-0000000000", "since=vvvvvvvvvv-vvvvvvvvvv", "room=a;since=all", "room=%ff", "room=%zz", "room=r&room=r", "%72oom=x", "room", "&&&", "limit=",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		ask, err := readPageAsk(text)
		if err != nil {
			return
		}
		if ask.Limit < 1 || ask.Limit > maxPage || ask.Everyone && ask.Room != "" || !ask.Since && !ask.After.IsZero() {
			t.Fatalf("%q asks for %+v", text, ask)
		}
		if !ask.After.IsZero() && !strings.Contains(text, "since") && !strings.Contains(text, "%") {
			t.Fatalf("%q asks for what is behind %v", text, ask.After)
		}
		var p hub.Page // of an empty log
		if body := pageBody(&ask, &p); !json.Valid(body) {
			t.Fatalf("%q is answered %q", text, body)
		}
	})
}
