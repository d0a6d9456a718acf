package pushsocket

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"poosh/server/pushsocket/store"
	"poosh/server/sends"
)

func TestPaths(t *testing.T) {
	s := newSite(t, Config{})
	p := s.registered("1", 9)
	for _, test := range []struct {
		method, path, body string
		status             int
		answer             string
	}{
		{"GET", "/", "", 200, greeting},
		{"POST", "/", "", 405, `{"error":"method not allowed"}`},
		{"GET", "/x", "", 404, `{"error":"not found"}`},
		{"GET", "/api/v1/x", "", 404, `{"error":"not found"}`},
		{"GET", "/operator/store", "", 404, `{"error":"not found"}`},
		{"POST", "/api/v1/key/addDevice", "", 403, "Forbidden"},
		{"POST", "/api/v1/key/addDevice/", "", 403, "Forbidden"},
		{"GET", "/api/v1/key/initial", "", 405, `{"error":"method not allowed"}`},
		{"GET", "/api/v1/message/", "", 405, `{"error":"method not allowed"}`},
		{"POST", "/api/v1/key/", "", 405, `{"error":"method not allowed"}`},
		{"HEAD", keyPath(p.key), "", 405, ""},
		{"PUT", "/api/v1/key/update", `{"prekeys":[]}`, 200, "OK"},
		{"POST", "/API/V1/Key/Update/", `{"prekeys":[]}`, 200, "OK"},
		{"GET", keyPath(p.key) + "/", "", 200, `{"1":{"id": 0,"preKey":"k"}}`},
		{"GET", keyPath(strings.TrimRight(p.key, "=")), "", 200, `{"1":{"id": 1,"preKey":"k"}}`},
		{"GET", keyPath(s.newPerson("1").key), "", 404, "Not Found"},
		{"GET", "/api/v1/key/nonsense", "", 404, "Not Found"},
	} {
		status, answer, header := p.request(test.method, test.path, test.body)
		if status != test.status || answer != test.answer {
			t.Errorf("%s %s: %d %s, want %d %s", test.method, test.path, status, answer, test.status, test.answer)
		}
		if status == 405 && header.Get("Allow") == "" {
			t.Errorf("%s %s: %v", test.method, test.path, header)
		}
	}
}

func TestCredentials(t *testing.T) {
	s := newSite(t, Config{})
	p, stranger, gone := s.registered("1", 1), s.newPerson("1"), s.registered("3", 1)
	if status, _, _ := gone.request("DELETE", "/api/v1/key", ""); status != 200 {
		t.Fatal(status)
	}
	now := time.Now().UnixMilli()
	for _, test := range []struct{ name, method, path, username, password, reason string }{
		{"none", "GET", keyPath(p.key), "", "", "badly formed credentials"},
		{"odd", "GET", keyPath(p.key), "x", "y", "badly formed credentials"},
		{"unknown", "GET", keyPath(p.key), stranger.username, stranger.password(), "not registered"},
		{"other device", "GET", keyPath(p.key), p.key + "|7", p.password(), "not registered"},
		{"revoked", "GET", keyPath(p.key), gone.username, gone.password(), "revoked"},
		{"late", "GET", keyPath(p.key), p.username, p.passwordAt(now - 61_000), "time"},
		{"time 0", "GET", keyPath(p.key), p.username, "0|AAAA", "time"},
		{"no number", "GET", keyPath(p.key), p.username, "x|AAAA", "time"},
		{"signature", "GET", keyPath(p.key), p.username, stranger.password(), "signature"},
		{"message", "POST", "/api/v1/message/", stranger.username, stranger.password(), "not registered"},
		{"remove", "DELETE", "/api/v1/key/", stranger.username, stranger.password(), "not registered"},
		{"update", "POST", "/api/v1/key/update", stranger.username, stranger.password(), "not registered"},
		{"initial", "POST", "/api/v1/key/initial", p.username, p.passwordAt(1), "registered"},
		{"initial, other device", "POST", "/api/v1/key/initial", p.key + "|2", p.password(), "registered"},
		{"initial, revoked", "POST", "/api/v1/key/initial", gone.username, gone.password(), "registered"},
		{"initial, late", "POST", "/api/v1/key/initial", stranger.username, p.passwordAt(now - 61_000), "time"},
		{"initial, signature", "POST", "/api/v1/key/initial", stranger.username, p.password(), "signature"},
		{"initial, odd", "POST", "/api/v1/key/initial", "x", "y", "badly formed credentials"},
	} {
		status, answer, header := s.request(test.method, test.path, keysJSON(1), test.username, test.password)
		if status != 401 || answer != test.reason {
			t.Errorf("%s: %d %s, want %s", test.name, status, answer, test.reason)
		}
		if header.Get("WWW-Authenticate") != `Basic realm="Authorization Required"` || !strings.HasPrefix(header.Get("Content-Type"), "text/html") {
			t.Errorf("%s: %v", test.name, header)
		}
		ms, _ := strconv.ParseInt(header.Get("Server-Time"), 10, 64)
		if test.reason == "time" && time.Since(time.UnixMilli(ms)).Abs() > patience || test.reason != "time" && ms != 0 {
			t.Errorf("%s: Server-Time %d", test.name, ms)
		}
	}
	if status, answer, _ := p.request("GET", keyPath(gone.key), ""); status != 410 || answer != "Gone" {
		t.Error(status, answer)
	}
}

// The status and a header say that the caller has no prekeys left; the body is
// there all the same.
func TestNoPrekeys(t *testing.T) {
	for want, cfg := range map[int]Config{205: {}, 200: {NoPrekeysStatus: 200}} {
		t.Run(fmt.Sprint(want), func(t *testing.T) {
			s := newSite(t, cfg)
			p, q := s.registered("1", 1), s.registered("2", 2)
			check := func(name string, p *person, method, path, body string, status int, answer, left string) {
				t.Helper()
				got, text, header := p.request(method, path, body)
				if got != status || text != answer || header.Get("Prekeys-Left") != left {
					t.Errorf("%s: %d %s, %s left; want %d %s", name, got, text, header.Get("Prekeys-Left"), status, answer)
				}
			}
			word := http.StatusText(want)
			check("own last key", p, "GET", keyPath(p.key), "", want, `{"1":{"id": 0,"preKey":"k"}}`, "0")
			check("another's", p, "GET", keyPath(q.key), "", want, `{"2":{"id": 0,"preKey":"k"}}`, "0")
			check("last resort", q, "GET", keyPath(p.key), "", 200, `{"1":{"id":16777215}}`, "1")
			check("message", p, "POST", "/api/v1/message", `{"messages":[]}`, want,
				`{"messagesQueued":0,"keysNotFound":[],"revokedKeys":[],"missingDevices":[],"fullDevices":[],"droppedFor":[],"messagesDropped":0}`, "0")
			check("update", p, "POST", "/api/v1/key/update", `{"lastResortKey":{"id":1}}`, want, word, "0")
			check("update", p, "POST", "/api/v1/key/update", `{"prekeys":[{}]}`, 200, "OK", "1")
			check("last resort", q, "GET", keyPath(p.key), "", 200, `{"1":{}}`, "1")
			check("last resort", q, "GET", keyPath(p.key), "", 200, `{"1":{"id":1}}`, "1")
			check("none at first", s.newPerson("1"), "POST", "/api/v1/key/initial", `{"lastResortKey":{}}`, want, word, "0")
		})
	}
}

func TestKeysBodies(t *testing.T) {
	s := newSite(t, Config{Limits: store.Limits{PrekeysPerDevice: 10}})
	p := s.registered("1", 9)
	for _, test := range []struct {
		path, body string
		status     int
	}{
		{"initial", ``, 415}, {"initial", `{}`, 415}, {"initial", `[]`, 415}, {"initial", `null`, 415},
		{"initial", `{"lastResortKey":null,"prekeys":[]}`, 415},
		{"initial", `{"lastResortKey":1}`, 415},
		{"initial", `{"lastResortKey":{},"prekeys":[1]}`, 415},
		{"initial", `{"lastResortKey":{},"prekeys":{}}`, 415},
		{"initial", keysJSON(1) + "x", 415},
		{"initial", `{"LastResortKey":{}}`, 415}, {"initial", `{"lastResortKey":{},"lastresortkey":1,"PREKEYS":1}`, 205},
		{"initial", `{"lastResortKey":{"x":"` + strings.Repeat("x", 5000) + `"}}`, 413},
		{"initial", `{"lastResortKey":{},"prekeys":[{"x":"` + strings.Repeat("x", 5000) + `"}]}`, 413},
		{"initial", keysJSON(11), 413},
		{"initial", keysJSON(8000), 413},
		{"initial", keysJSON(10), 200},
		{"update", `{}`, 415}, {"update", `{"prekeys":[null]}`, 415},
		{"update", keysJSON(2), 413},
		{"update", keysJSON(1), 200},
	} {
		who := p
		if test.path == "initial" {
			who = s.newPerson("1")
		}
		if status, answer, _ := who.request("POST", "/api/v1/key/"+test.path, test.body); status != test.status {
			t.Errorf("%s %.60s: %d %s, want %d", test.path, test.body, status, answer, test.status)
		}
	}
	s.dialect.store.SetLimits(store.Limits{KeyBytesPerDevice: 300})
	if status, answer, _ := p.request("POST", "/api/v1/key/update", keysJSON(10)); status != 413 || answer != `{"error":"a device may have 300 bytes of keys"}` {
		t.Error(status, answer)
	}
	// Nothing of what was refused is there.
	if u, err := s.dialect.store.Usage(t.Context()); err != nil || u.Identities != 3 || u.Prekeys != 20 {
		t.Errorf("%+v, %v", u, err)
	}
	// A body that is not announced as JSON was the end of the original's process.
	req, _ := http.NewRequest("POST", s.url+"/api/v1/key/initial", strings.NewReader(keysJSON(1)))
	q := s.newPerson("1")
	req.SetBasicAuth(q.username, q.password())
	req.Header.Set("Content-Encoding", "gzip")
	if status, answer, _ := s.do(req); status != 415 {
		t.Error(status, answer)
	}
}

func TestMessageReport(t *testing.T) {
	feed := sends.New()
	s := newSite(t, Config{Sends: feed, Limits: store.Limits{MessagesPerDevice: 3, SenderPercent: 100, StrangersPercent: 100}})
	w, err := feed.Watch(sends.Filter{Payload: true})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	p, q, gone, stranger := s.registered("1", 1), s.registered("2", 1), s.registered("1", 1), s.newPerson("1")
	if status, _, _ := gone.request("DELETE", "/api/v1/key/", ""); status != 200 {
		t.Fatal(status)
	}
	header := func(recipient, text string) string {
		return fmt.Sprintf(`{"recipient":%s,"messageHeader":%s}`, quote(recipient), quote(text))
	}
	body := `{"messages":[
		{"headers":[` + header(p.username, "h1") + `,` + header(q.username, "h2") + `,` + header(stranger.username, "x") + `],"body":"b1"},
		{"headers":[` + header("nonsense", "x") + `,` + header(gone.username, "x") + `,` + header(q.key+"|9", "x") + `,` + header(stranger.username, "x") + `],"body":"lost"},
		{"headers":[],"body":"nobody"},
		{"headers":[` + header(q.username, "h3") + `],"body":"b3"}]}`
	status, answer, head := p.request("POST", "/api/v1/message/", body)
	want := fmt.Sprintf(`{"messagesQueued":3,"keysNotFound":["nonsense",%q],"revokedKeys":[%q],"missingDevices":[%q],"fullDevices":[],"droppedFor":[],"messagesDropped":0}`,
		stranger.username, gone.username, q.key+"|9")
	if status != 200 || answer != want {
		t.Errorf("%d %s\nwant %s", status, answer, want)
	}
	// Who watches is told of what was stored, by its place among the copies, and not of
	// what is in it.
	list, _ := w.Take()
	var places []string
	for _, c := range list {
		places = append(places, strings.TrimPrefix(c.ID, head.Get("X-Poosh-Id")))
		if c.Payload != nil || c.Room == "" || c.Size != len(`"b1""h1"`) {
			t.Errorf("told of %+v", c)
		}
	}
	if head.Get("X-Poosh-Id") == "" || !slices.Equal(places, []string{".1", ".2", ".7"}) || list[1].Room != list[2].Room || list[0].Room == list[1].Room {
		t.Errorf("told of %q of %q: %+v", places, head.Get("X-Poosh-Id"), list)
	}
	// Several messages and recipients do not mix.
	if got := q.authorized().messages(2); got[0].Header != "h2" || got[0].Body != "b1" || got[1].Header != "h3" || got[1].Body != "b3" || got[0].ID == got[1].ID {
		t.Errorf("%+v", got)
	}
	if got := p.authorized().messages(1); got[0].Header != "h1" || got[0].Body != "b1" {
		t.Errorf("%+v", got)
	}
	if r := p.mail(q.username, "3", "4", "5"); r.MessagesQueued != 1 || !slices.Equal(r.FullDevices, []string{q.username}) {
		t.Errorf("%+v", r)
	}
	l := s.dialect.store.Limits()
	l.DropOldest = true
	s.dialect.store.SetLimits(l)
	if r := p.mail(q.username, "6", "7"); r.MessagesQueued != 2 || r.MessagesDropped != 2 || !slices.Equal(r.DroppedFor, []string{q.username}) || len(r.FullDevices) != 0 {
		t.Errorf("%+v", r)
	}
	q.authorized().bodies("3", "6", "7")
}

// Each copy is looked at, or not, for itself: of a flood that comes in few requests a part
// is, not all of a request or nothing.
func TestCopiesAreLookedAtOneByOne(t *testing.T) {
	feed := sends.New()
	feed.Remember()
	s := newSite(t, Config{Sends: feed})
	p, q := s.registered("1", 1), s.registered("2", 1)
	for range 1500 { // a second with so many has every other one looked at
		feed.Report(sends.Send{Dialect: "nobody's"})
	}
	feed.Second()
	const copies = 60
	p.mail(q.username, slices.Repeat([]string{"b"}, copies)...)
	rooms, _, _ := feed.Top(10)
	told := 0
	for _, r := range rooms {
		if r.Dialect == "push socket" {
			told += int(r.Sends) / 2
		}
	}
	if told == 0 || told == copies { // by chance once in 2^59 times
		t.Errorf("%d of %d copies were looked at", told, copies)
	}
}

func TestMessageBodies(t *testing.T) {
	s := newSite(t, Config{MaxRecipients: 3, MaxBody: 1000})
	p := s.registered("1", 1)
	h := `{"recipient":"x|1","messageHeader":""}`
	for _, test := range []struct {
		body   string
		status int
	}{
		{``, 415}, {`{}`, 415}, {`[]`, 415}, {`{"messages":null}`, 415}, {`{"messages":{}}`, 415}, {`{"messages":[1]}`, 415},
		{`{"messages":[{"body":1}]}`, 415}, {`{"messages":[{"body":"x","headers":[{}]}]}`, 415},
		{`{"messages":[{"body":"x","headers":[{"recipient":1}]}]}`, 415},
		{`{"messages":[{"body":"x","headers":[{"recipient":"x|1","messageHeader":{}}]}]}`, 415},
		// A message that names nobody was answered as if it had been queued.
		{`{"messages":[{}]}`, 415}, {`{"messages":[{"body":"x"}]}`, 415}, {`{"messages":[{"headers":null,"body":"x"}]}`, 415},
		{`{"messages":[{"headers":{},"body":"x"}]}`, 415}, {`{"messages":[{"headers":[null],"body":"x"}]}`, 415},
		{`{"messages":[{"headers":[` + h + `],"body":"x"},{"body":"x"}]}`, 415},
		{`{"messages":[]}`, 200}, {`{"messages":[{"headers":[],"body":"x"}]}`, 200},
		// Names are exact, and of equal ones the last counts.
		{`{"Messages":[]}`, 415}, {`{"messages":[{"HEADERS":[],"body":"x"}]}`, 415},
		{`{"messages":[{"headers":[{"Recipient":"x|1"}],"body":"x"}]}`, 415},
		{`{"messages":1,"messages":[]}`, 200}, {`{"messages":[],"messages":1}`, 415},
		{`{"messages":[],"MESSAGES":1}`, 200},
		{`{"messages":[` + strings.Repeat(`{"headers":[]},`, 3) + `{"headers":[]}]}`, 413},
		{`{"messages":[{"headers":[` + h + `,` + h + `]},{"headers":[` + h + `]}]}`, 200},
		{`{"messages":[{"headers":[` + h + `,` + h + `]},{"headers":[` + h + `,` + h + `]}]}`, 413},
		{`{"messages":[],"x":"` + strings.Repeat("x", 1000) + `"}`, 413},
	} {
		if status, answer, _ := p.request("POST", "/api/v1/message/", test.body); status != test.status {
			t.Errorf("%.80s: %d %s, want %d", test.body, status, answer, test.status)
		}
	}
}

func TestStoreFails(t *testing.T) {
	f := newFailing(t)
	s := newSite(t, Config{Store: f})
	p := s.registered("1", 1)
	f.fail.Store(true)
	for _, path := range []string{"message/", "key/update"} {
		status, answer, header := p.request("POST", "/api/v1/"+path, `{"messages":[]}`)
		if status != 503 || answer != `{"error":"store is not available"}` || header.Get("Retry-After") == "" {
			t.Errorf("%s: %d %s %v", path, status, answer, header)
		}
	}
	f.fail.Store(false)
	p.mail(p.username, "x")
	if got := s.dialect.Stats().Counts; got["store failed"] != 2 || got["messages stored"] != 1 {
		t.Errorf("%v", got)
	}
}

func TestOperator(t *testing.T) {
	s := newSite(t, Config{OperatorToken: "open sesame"})
	p := s.registered("1", 1)
	p.mail(p.username, "a", "b")
	do := func(method, path, token, body string) (int, string) {
		t.Helper()
		req, err := http.NewRequest(method, s.url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if token != "" {
			req.Header.Set("Authorization", token)
		}
		status, answer, _ := s.do(req)
		return status, answer
	}
	const token = "Bearer open sesame"
	for _, wrong := range []string{"", "Bearer", "Bearer x", "Basic open sesame", token + "!"} {
		if status, answer := do("GET", "/operator/store", wrong, ""); status != 401 {
			t.Errorf("%q: %d %s", wrong, status, answer)
		}
	}
	show := func(status int, answer string) view {
		t.Helper()
		var v view
		if err := json.Unmarshal([]byte(answer), &v); err != nil || status != 200 {
			t.Fatalf("%d %s", status, answer)
		}
		return v
	}
	v := show(do("GET", "/operator/store/", token, ""))
	if v.Usage.Messages != 2 || v.Usage.Identities != 1 || v.Usage.OnDisk == 0 || *v.Limits.MessagesPerDevice != 1000 ||
		*v.Limits.WhenFull != "refuse" || *v.Limits.MaxAge != "720h0m0s" || v.Counts["messages stored"] != 2 {
		t.Errorf("%+v", v)
	}
	for _, wrong := range []string{``, `[]`, `{"x":1}`, `{"messagesPerDevice":0}`, `{"messagesPerDevice":1000001}`,
		`{"whenFull":"burn"}`, `{"maxAge":"1s"}`, `{"maxAge":"99999h"}`, `{"maxAge":5}`, `{"messagesPerDevice":7,"maxAge":"soon"}`} {
		if status, answer := do("PUT", "/operator/store", token, wrong); status != 400 {
			t.Errorf("%s: %d %s", wrong, status, answer)
		}
	}
	v = show(do("PUT", "/operator/store", token, `{"messagesPerDevice":2,"whenFull":"drop","maxAge":"24h"}`))
	if *v.Limits.MessagesPerDevice != 2 || *v.Limits.WhenFull != "drop" || *v.Limits.MaxAge != "24h0m0s" {
		t.Errorf("%+v", v.Limits)
	}
	if r := p.mail(p.username, "c"); r.MessagesDropped != 1 {
		t.Errorf("%+v", r)
	}
	for _, wrong := range []string{"", "?olderThan=-1s", "?olderThan=x"} {
		if status, _ := do("DELETE", "/operator/store/messages"+wrong, token, ""); status != 400 {
			t.Error(wrong, status)
		}
	}
	if status, answer := do("DELETE", "/operator/store/messages?olderThan=24h", token, ""); status != 200 || answer != `{"messagesRemoved":0}` {
		t.Error(status, answer)
	}
	time.Sleep(2 * time.Millisecond)
	if status, answer := do("DELETE", "/operator/store/messages?olderThan=0s", token, ""); status != 200 || answer != `{"messagesRemoved":2}` {
		t.Error(status, answer)
	}
	for path, method := range map[string]string{"/operator/store": "POST", "/operator/store/messages": "GET"} {
		if status, _ := do(method, path, token, ""); status != 405 {
			t.Error(method, path, status)
		}
	}
	if status, _ := do("GET", "/operator/store/x", token, ""); status != 404 {
		t.Error(status)
	}
}

// Old messages go by themselves.
func TestExpire(t *testing.T) {
	s := newSite(t, Config{Limits: store.Limits{MaxAge: 300 * time.Millisecond}, ExpireEvery: 50 * time.Millisecond})
	p := s.registered("1", 1)
	p.mail(p.username, "a")
	s.stored(0)
	waitUntil(t, "it is counted", func() bool { return s.dialect.Stats().Counts["messages expired"] == 1 })
}

// FuzzMessages takes anything for the body of POST message/: it is refused, or
// becomes copies that are within the bounds and JSON.
func FuzzMessages(f *testing.F) {
	s := newSite(f, Config{MaxRecipients: 3})
	address := s.newPerson("1").username
	f.Add([]byte(`{"messages":[{"headers":[{"recipient":"` + address + `","messageHeader":"h"},{"recipient":"x|1"}],"body":"b"}]}`))
	f.Add([]byte(`{"messages":[{"headers":[]},{"headers":[{}]}]}`))
	f.Add([]byte(`{"messages":[{}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		w := httptest.NewRecorder()
		p, ok := s.dialect.prepare(w, text)
		if !ok {
			if w.Code != 413 && w.Code != 415 {
				t.Fatalf("status %d", w.Code)
			}
			return
		}
		copies := 0
		for _, m := range p.messages {
			copies += len(m.Copies)
			for _, c := range m.Copies {
				if !json.Valid(c.Header) || !json.Valid(m.Body) {
					t.Fatalf("%q %q", c.Header, m.Body)
				}
			}
		}
		if copies != len(p.recipients) || copies+len(p.nobody) > 3 || len(p.messages) > 3 {
			t.Fatalf("%d copies, %+v", copies, p)
		}
	})
}
