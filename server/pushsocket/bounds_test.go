package pushsocket

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"poosh/server/admission"
	"poosh/server/metric"
	"poosh/server/pushsocket/store"
	"poosh/server/quota"
)

// backlog is a server that does not keep up while behind holds a channel.
type backlog struct{ behind atomic.Pointer[chan struct{}] }

func (b *backlog) Late() bool { return b.CaughtUp() != nil }

func (b *backlog) CaughtUp() <-chan struct{} {
	if c := b.behind.Load(); c != nil {
		return *c
	}
	return nil
}

// Whoever may send waits while outboxes fill faster than they are written, and is
// refused when that goes on. Strangers, and those whose input is bad, are answered
// at once and hold no place.
func TestBackPressure(t *testing.T) {
	b := new(backlog)
	gate := admission.New(b, 50*time.Millisecond)
	s := newSite(t, Config{Gate: gate})
	p, stranger := s.registered("1", 1), s.newPerson("1")
	good := `{"messages":[{"headers":[{"recipient":` + quote(p.username) + `,"messageHeader":"h"}],"body":"b"}]}`
	late := make(chan struct{})
	b.behind.Store(&late)
	for _, test := range []struct {
		who    *person
		body   string
		status int
	}{{stranger, good, 401}, {p, `{"messages":[{}]}`, 415}, {p, `{"messages":[]}`, 200}, {p, good, 503}} {
		before := gate.Refused()
		status, answer, header := test.who.request("POST", "/api/v1/message/", test.body)
		if status != test.status {
			t.Errorf("%s: %d %s, want %d", test.body, status, answer, test.status)
		}
		if asked := gate.Refused() - before; asked != 0 && status != 503 {
			t.Errorf("%d: the gate was asked", status)
		}
		if status == 503 && (header.Get("Retry-After") != admission.RetryAfter || answer != `{"error":"server is overloaded, try again"}`) {
			t.Errorf("%s %v", answer, header)
		}
	}
	if n := s.dialect.Stats().Counts["refused: overloaded"]; n != 1 {
		t.Errorf("counted %d", n)
	}
	s.stored(0)
	b.behind.Store(nil)
	close(late)
	if r := p.mail(p.username, "x"); r.MessagesQueued != 1 {
		t.Errorf("%+v", r)
	}
	// Nobody is left inside.
	if err := gate.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if status, answer, _ := p.request("POST", "/api/v1/message/", good); status != 503 || answer != `{"error":"server is shutting down"}` {
		t.Error(status, answer)
	}
}

// A device gets a message once, however often one request names it: one of 100 KB
// with 500 headers became 61 MB.
func TestRecipientTwice(t *testing.T) {
	s := newSite(t, Config{})
	p, q := s.registered("1", 1), s.registered("1", 1)
	header := func(recipient, text string) string {
		return fmt.Sprintf(`{"recipient":%s,"messageHeader":%s}`, quote(recipient), quote(text))
	}
	unpadded := strings.ReplaceAll(q.username, "=", "")
	same := strings.Repeat(header(q.username, "h")+","+header(unpadded, "h")+",", 200) + header(p.username, "h")
	status, answer, _ := p.request("POST", "/api/v1/message/", `{"messages":[{"headers":[`+same+`],"body":"once"}]}`)
	if status != 200 || !strings.HasPrefix(answer, `{"messagesQueued":2,`) {
		t.Errorf("%d %s", status, answer)
	}
	s.stored(2)
	status, answer, _ = p.request("POST", "/api/v1/message/", `{"messages":[{"headers":[`+header(q.username, "h")+","+header(unpadded, "other")+`],"body":"x"}]}`)
	if status != 415 || answer != `{"error":"a message has two headers for one recipient"}` {
		t.Errorf("%d %s", status, answer)
	}
	q.authorized().bodies("once")
}

// Two requests of one stranger filled a mailbox.
func TestShareOfMailbox(t *testing.T) {
	s := newSite(t, Config{Limits: store.Limits{MessagesPerDevice: 40}})
	victim, stranger, friend := s.registered("1", 1), s.registered("1", 1), s.registered("1", 1)
	many := slices.Repeat([]string{"spam"}, 40)
	r := stranger.mail(victim.username, many...)
	if r.MessagesQueued != 10 || !slices.Equal(r.FullDevices, []string{victim.username}) {
		t.Errorf("%+v", r)
	}
	if r := friend.mail(victim.username, "hello"); r.MessagesQueued != 1 {
		t.Errorf("%+v", r)
	}
	if n := s.dialect.Stats().Counts["messages refused: share of a mailbox"]; n != 30 {
		t.Errorf("counted %d", n)
	}
}

// Four strangers filled a mailbox, a fourth each. Whom its device has written to reaches
// it all the same, and what it sent arrives.
func TestStrangersFillNoMailbox(t *testing.T) {
	s := newSite(t, Config{Limits: store.Limits{MessagesPerDevice: 40}})
	victim, friend := s.registered("1", 1), s.registered("1", 1)
	victim.mail(friend.username, "hello")
	many := slices.Repeat([]string{"spam"}, 40)
	queued := 0
	for range 20 {
		queued += s.registered("1", 1).mail(victim.username, many...).MessagesQueued
	}
	last := s.registered("1", 1).mail(victim.username, many...)
	if queued != 20 || last.MessagesQueued != 0 || !slices.Equal(last.FullDevices, []string{victim.username}) {
		t.Errorf("%d messages of strangers were queued, then %+v", queued, last)
	}
	if r := friend.mail(victim.username, "and to you"); r.MessagesQueued != 1 {
		t.Errorf("%+v", r)
	}
	if got := victim.authorized().messages(21); got[20].Body != "and to you" {
		t.Errorf("%+v", got[20])
	}
	// 10 of each of the first two were within its share.
	if n := s.dialect.Stats().Counts["messages refused: strangers' part of a mailbox"]; n != 19*40 {
		t.Errorf("counted %d", n)
	}
}

// forgetting is a store whose devices have contacts that are too old.
type forgetting struct {
	store.Store
	fails  error // of messages
	before time.Time
}

func (f *forgetting) Expire(context.Context, time.Time) (int, error) { return 0, f.fails }

func (f *forgetting) ExpireContacts(_ context.Context, before time.Time) (int, error) {
	f.before = before
	return 3, nil
}

// Contacts go by the age of identities.
func TestContactsExpire(t *testing.T) {
	f := &forgetting{Store: newFailing(t)}
	d := &Dialect{store: f, log: slog.New(slog.DiscardHandler), ctx: t.Context(), counts: metric.Closed[happening](happeningNames[:])}
	now := time.Now()
	d.expireAt(now)
	if want := now.Add(-f.Limits().IdleAge); !f.before.Equal(want) || d.counts.All()["contacts expired"] != 3 {
		t.Errorf("before %v, want %v; %v", f.before, want, d.counts.All())
	}
	if err := f.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// Contacts go when messages cannot.
func TestContactsExpireWithoutMessages(t *testing.T) {
	f := &forgetting{Store: newFailing(t), fails: store.ErrUnavailable}
	d := &Dialect{store: f, log: slog.New(slog.DiscardHandler), ctx: t.Context(), counts: metric.Closed[happening](happeningNames[:])}
	d.expireAt(time.Now())
	if d.counts.All()["contacts expired"] != 3 {
		t.Error(d.counts.All())
	}
	if err := f.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// What is beyond a bound is not looked at: its elements cost nothing.
func TestElementsAreBoundedBeforeTheyAreDecoded(t *testing.T) {
	s := newSite(t, Config{MaxRecipients: 10})
	for name, text := range map[string]string{
		"messages": `{"messages":[` + strings.Repeat(`{"headers":[]},`, 100_000) + `{"headers":[]}]}`,
		"headers":  `{"messages":[{"headers":[` + strings.Repeat(`{"recipient":"x|1"},`, 100_000) + `{"recipient":"x|1"}]}]}`,
	} {
		allocations := testing.AllocsPerRun(3, func() {
			w := httptest.NewRecorder()
			if _, ok := s.dialect.prepare(w, []byte(text)); ok || w.Code != 413 {
				t.Fatal(ok, w.Code)
			}
		})
		if allocations > 200 {
			t.Errorf("%s: %v allocations", name, allocations)
		}
	}
}

// Nothing that a stranger sends on a socket is kept but the credentials it may try.
func TestStrangersEvents(t *testing.T) {
	t.Run("confirmations", func(t *testing.T) {
		s := newSite(t, Config{})
		c := s.connect()
		for range 100 {
			c.received("0123456789abcdef01234567")
		}
		c.synced()
		if n := s.dialect.Stats().Counts["confirmations refused"]; n != 100 || s.dialect.held.Load() != 0 {
			t.Errorf("%d refused, %d bytes held", n, s.dialect.held.Load())
		}
	})
	t.Run("credentials", func(t *testing.T) {
		f := newFailing(t)
		s := newSite(t, Config{Store: f, MaxTries: 3})
		hold := f.hold()
		c := s.connect()
		p := s.newPerson("1")
		for range 5 {
			c.send(authPacket(p.username, p.password()))
		}
		_, err := c.closed()
		hold()
		if !strings.Contains(err.Error(), closedTries.String()) {
			t.Error(err)
		}
	})
	t.Run("all together", func(t *testing.T) {
		f := newFailing(t)
		s := newSite(t, Config{Store: f, MaxEventBytes: 1000})
		hold := f.hold()
		p := s.newPerson("1")
		c := s.connect()
		for range 6 {
			c.send(authPacket(p.username, p.password()))
		}
		_, err := c.closed()
		hold()
		if !strings.Contains(err.Error(), closedEvents.String()) {
			t.Error(err)
		}
		for end := time.Now().Add(patience); s.dialect.held.Load() != 0; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d bytes are held", s.dialect.held.Load())
			}
		}
		c = s.connect()
		c.authenticate(p.username, p.password())
		c.want(`42["not authorized",{"message":"not registered"}]`)
	})
}

// Pages of other origins may not ask; programs name none.
func TestOrigins(t *testing.T) {
	for _, test := range []struct {
		allowed []string
		origin  string
		status  int
	}{
		{nil, "https://any.test", 200}, {[]string{"*"}, "https://any.test", 200}, {[]string{"https://a.test"}, "", 200},
		{[]string{"https://b.test", "https://a.test"}, "https://A.test", 200},
		{[]string{"https://a.test"}, "https://a.test.evil", 403}, {[]string{"https://a.test"}, "http://a.test", 403},
		{[]string{"https://a.test"}, "null", 403},
	} {
		cfg := Config{}
		cfg.SocketIO.Origins = test.allowed
		s := newSite(t, cfg)
		req, err := http.NewRequest("GET", s.url+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if test.origin != "" {
			req.Header.Set("Origin", test.origin)
		}
		if status, answer, _ := s.do(req); status != test.status {
			t.Errorf("%v: %d %s", test, status, answer)
		}
		if n := s.dialect.Stats().Counts["refused: origin"]; (n == 1) != (test.status == 403) {
			t.Errorf("%v: counted %d", test, n)
		}
	}
}

// Every refusal has a count, which the status line shows.
func TestRefusalsAreCounted(t *testing.T) {
	s := newSite(t, Config{OperatorToken: "open sesame open", MaxBody: 1000})
	p, stranger := s.registered("1", 1), s.newPerson("1")
	refusals := func() (n uint64) {
		for name, count := range s.dialect.Stats().Counts {
			if strings.HasPrefix(name, "refused: ") {
				n += count
			}
		}
		return n
	}
	for _, test := range []struct {
		who                *person
		method, path, body string
		status             int
	}{
		{p, "GET", "/x", "", 404}, {p, "POST", "/", "", 405}, {p, "GET", "/api/v1/x", "", 404},
		{p, "POST", "/api/v1/key/addDevice", "", 403}, {p, "GET", "/api/v1/key/x", "", 404},
		{p, "GET", keyPath(stranger.key), "", 404}, {stranger, "GET", keyPath(p.key), "", 401},
		{p, "POST", "/api/v1/key/initial", "{}", 401}, {p, "POST", "/api/v1/key/update", "{}", 415},
		{p, "POST", "/api/v1/message", strings.Repeat("x", 1001), 413}, {p, "GET", "/operator/store", "", 401},
	} {
		before := refusals()
		if status, answer, _ := test.who.request(test.method, test.path, test.body); status != test.status {
			t.Errorf("%s %s: %d %s", test.method, test.path, status, answer)
		}
		if n := refusals() - before; n != 1 {
			t.Errorf("%s %s, %d: counted %d times", test.method, test.path, test.status, n)
		}
	}
}

func TestOperatorRemoves(t *testing.T) {
	s := newSite(t, Config{OperatorToken: "open sesame open"})
	p, q := s.registered("1", 3), s.registered("1", 3)
	do := func(method, path string) (int, string) {
		t.Helper()
		req, err := http.NewRequest(method, s.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer open sesame open")
		status, answer, _ := s.do(req)
		return status, answer
	}
	escaped := strings.NewReplacer("+", "%2B", "/", "%2F", "=", "%3D").Replace(p.key)
	for _, test := range []struct {
		method, path string
		status       int
		answer       string
	}{
		{"GET", "/operator/store/identities", 405, ""},
		{"DELETE", "/operator/store/identities", 400, ""},
		{"DELETE", "/operator/store/identities?key=x", 400, ""},
		{"DELETE", "/operator/store/identities?unusedFor=1h", 400, ""},
		{"DELETE", "/operator/store/identities?unusedFor=48h&key=" + escaped, 400, ""},
		{"DELETE", "/operator/store/identities?unusedFor=48h", 200, `{"identitiesRemoved":0}`},
		{"DELETE", "/operator/store/identities?key=" + strings.Repeat("A", 43), 404, ""},
		{"DELETE", "/operator/store/prekeys", 400, ""},
		{"DELETE", "/operator/store/prekeys?key=" + escaped, 200, `{"prekeysRemoved":3}`},
	} {
		if status, answer := do(test.method, test.path); status != test.status || test.answer != "" && answer != test.answer {
			t.Errorf("%s %s: %d %s, want %d %s", test.method, test.path, status, answer, test.status, test.answer)
		}
	}
	if status, answer, header := q.request("GET", keyPath(p.key), ""); status != 200 || !strings.Contains(answer, "16777215") || header.Get("Prekeys-Left") != "3" {
		t.Error(status, answer)
	}
	c := p.authorized()
	q.mail(p.username, "x")
	c.bodies("x")
	if status, answer := do("DELETE", "/operator/store/identities?key="+p.key); status != 200 || answer != `{"identitiesRemoved":1}` {
		t.Error(status, answer)
	}
	c.want(`42["not authorized",{"message":"not registered"}]`)
	if r := q.mail(p.username, "y"); !slices.Equal(r.KeysNotFound, []string{p.username}) {
		t.Errorf("%+v", r)
	}
	if status, _, _ := p.request("POST", "/api/v1/key/initial", keysJSON(1)); status != 200 {
		t.Error("it may not register again")
	}
	_, answer := do("GET", "/operator/store")
	var v view
	if err := json.Unmarshal([]byte(answer), &v); err != nil || v.Counts["identities removed"] != 1 || v.Counts["prekeys removed"] != 3 || v.Usage.Unused != 1 {
		t.Errorf("%s, %v", answer, err)
	}
}

// The key of zeros, for which anybody can sign, neither registers nor acts.
func TestWeakKeys(t *testing.T) {
	s := newSite(t, Config{})
	for _, key := range []string{strings.Repeat("A", 43) + "=", "B" + "Q" + strings.Repeat("A", 42)} {
		for n := range 32 { // some time is signed by R = the identity, S = 0
			digits := strconv.FormatInt(time.Now().UnixMilli()+int64(n), 10)
			forged := digits + "|AQ" + strings.Repeat("A", 84) + "=="
			if status, answer, _ := s.request("POST", "/api/v1/key/initial", keysJSON(1), key+"|1", forged); status != 401 || answer != "badly formed credentials" {
				t.Fatal(status, answer)
			}
		}
		c := s.connect()
		c.authenticate(key+"|1", strconv.FormatInt(time.Now().UnixMilli(), 10)+"|"+strings.Repeat("A", 86)+"==")
		c.want(`42["not authorized",{"message":"badly formed credentials"}]`)
	}
	if u, err := s.dialect.store.Usage(t.Context()); err != nil || u.Identities != 0 {
		t.Errorf("%+v, %v", u, err)
	}
}

// Identities that nobody uses go by themselves, and a device that is connected is
// told.
func TestIdentitiesExpire(t *testing.T) {
	s := newSite(t, Config{Limits: store.Limits{UnusedAge: 200 * time.Millisecond, IdleAge: time.Hour, Identities: 2}, ExpireEvery: 20 * time.Millisecond})
	p := s.registered("1", 1)
	c := p.authorized()
	s.registered("1", 1)
	for end := time.Now().Add(patience); s.dialect.Stats().Counts["identities expired"] == 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("nothing expires")
		}
	}
	s.registered("1", 1)
	p.mail(p.username, "x")
	c.bodies("x")
}

// A device that is connected for long counts as used though it says nothing.
func TestConnectedDevicesAreUsed(t *testing.T) {
	f := newFailing(t)
	s := newSite(t, Config{Store: f})
	p, q := s.registered("1", 1), s.registered("1", 1)
	p.authorized()
	q.authorized().synced()
	d := s.dialect
	for end := time.Now().Add(patience); d.Stats().Authorized < 2; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the mailboxes are not open")
		}
	}
	d.mu.Lock()
	var old store.DeviceID
	for id, m := range d.mailboxes {
		old = id
		m.used = m.used.Add(-usedEvery)
		break
	}
	d.mu.Unlock()
	for range 2 {
		f.used.Store(nil)
		d.stillUsed()
		if list := f.used.Load(); old != 0 && (list == nil || len(*list) != 1 || (*list)[0].ID != old) {
			t.Errorf("%v, want %d", list, old)
		} else if old == 0 && list != nil && len(*list) != 0 {
			t.Errorf("again: %v", *list)
		}
		old = 0
	}
}

// fullBody is a body that there is no room for.
type fullBody struct{}

func (fullBody) Read([]byte) (int, error) { return 0, fmt.Errorf("reading: %w", quota.ErrFull) }

func TestNoRoomForInput(t *testing.T) {
	s := newSite(t, Config{})
	p := s.registered("1", 1)
	r := httptest.NewRequest("POST", "/api/v1/message/", fullBody{})
	r.SetBasicAuth(p.username, p.password())
	w := httptest.NewRecorder()
	s.dialect.ServeHTTP(w, r)
	if w.Code != 503 || w.Header().Get("Retry-After") == "" || s.dialect.Stats().Counts["refused: input full"] != 1 {
		t.Error(w.Code, w.Body, s.dialect.Stats().Counts)
	}
}
