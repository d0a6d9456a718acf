package socktopus

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"poosh/server/admission"
	"poosh/server/quota"
)

func TestRequests(t *testing.T) {
	s := newSite(t, Config{MaxBody: 1000, MaxToken: 600})
	good := `"secretName":"MyApp","secret":"s3cret"`
	for _, test := range []struct {
		name, method, path, body string
		status                   int
		answer                   string
	}{
		{"no messages", "POST", "/send", `{` + good + `}`, 200, `{"succeeded":[],"failed":[]}`},
		{"null list", "POST", "/send", `{` + good + `,"messages":null}`, 200, `{"succeeded":[],"failed":[]}`},
		{"nobody there", "POST", "/send", `{` + good + `,"messages":[{"recipient":"<b>","content":"é"},{}]}`, 200,
			`{"succeeded":[],"failed":[{"recipient":"\u003cb\u003e","content":"é"},{"recipient":"","content":""}]}`},
		{"name in another case", "POST", "/send", `{"secretName":"mYaPP","secret":"s3cret"}`, 200, `{"succeeded":[],"failed":[]}`},
		{"escapes", "POST", "/send", `{"secret\u004eame":"my\u0061pp","secret":"\u00733cret"}`, 200, `{"succeeded":[],"failed":[]}`},
		{"equal names", "POST", "/send", `{"secretName":"x","secret":"x","messages":[{"content":"1"}],"messages":null,` + good + `}`, 200, `{"succeeded":[],"failed":[]}`},
		{"null messages", "POST", "/send", `{` + good + `,"messages":[null,{"recipient":null,"content":null,"content":"x"}]}`, 200,
			`{"succeeded":[],"failed":[{"recipient":"","content":""},{"recipient":"","content":"x"}]}`},
		{"null connection", "POST", "/kick", `{` + good + `,"connections":[null]}`, 200, `200`},
		{"more behind it", "POST", "/send?x=1", ` {` + good + `} trash`, 200, `{"succeeded":[],"failed":[]}`},
		{"kick nobody", "POST", "/kick", `{` + good + `,"connections":["1","2"]}`, 200, `200`},
		{"kick none", "POST", "/kick", `{` + good + `}`, 200, `200`},

		{"no body", "POST", "/send", ``, 400, `{"code":400,"message":"Malformed request"}`},
		{"array", "POST", "/send", `[]`, 400, `{"code":400,"message":"Malformed request"}`},
		{"null", "POST", "/kick", `null`, 400, `{"code":400,"message":"Malformed request"}`},
		{"cut", "POST", "/send", `{` + good, 400, `{"code":400,"message":"Malformed request"}`},
		{"unknown field", "POST", "/send", `{` + good + `,"x":1}`, 400, `{"code":400,"message":"Malformed request"}`},
		{"field in another case", "POST", "/send", `{"secretName":"myapp","SECRET":"s3cret"}`, 400, `{"code":400,"message":"Malformed request"}`},
		{"both cases", "POST", "/send", `{` + good + `,"Secret":"x"}`, 400, `{"code":400,"message":"Malformed request"}`},
		{"another case inside", "POST", "/send", `{` + good + `,"messages":[{"Recipient":"1"}]}`, 400, `{"code":400,"message":"Malformed request"}`},
		{"letters that fold", "POST", "/send", `{` + good + `,"meſſageſ":[]}`, 400, `{"code":400,"message":"Malformed request"}`},
		{"null secret", "POST", "/send", `{"secretName":"myapp","secret":null}`, 401, `{"code":401,"message":"Invalid secret"}`},
		{"unknown field inside", "POST", "/send", `{` + good + `,"messages":[{"x":1}]}`, 400, `{"code":400,"message":"Malformed request"}`},
		{"field of the other", "POST", "/kick", `{` + good + `,"messages":[]}`, 400, `{"code":400,"message":"Malformed request"}`},
		{"wrong type", "POST", "/send", `{"secretName":1}`, 400, `{"code":400,"message":"Malformed request"}`},
		{"wrong type inside", "POST", "/kick", `{` + good + `,"connections":[1]}`, 400, `{"code":400,"message":"Malformed request"}`},
		{"unknown secret", "POST", "/send", `{"secretName":"nobody","secret":"s3cret"}`, 404, `{"code":404,"message":"Secret not found"}`},
		{"empty secret", "POST", "/send", `{"secretName":"empty","secret":""}`, 404, `{"code":404,"message":"Secret not found"}`},
		{"no secret", "POST", "/kick", `{}`, 404, `{"code":404,"message":"Secret not found"}`},
		{"wrong secret", "POST", "/send", `{"secretName":"myapp","secret":"S3cret"}`, 401, `{"code":401,"message":"Invalid secret"}`},
		{"wrong secret", "POST", "/kick", `{"secretName":"myapp"}`, 401, `{"code":401,"message":"Invalid secret"}`},
		{"large", "POST", "/send", `{` + good + `,"messages":[{"content":"` + strings.Repeat("x", 1000) + `"}]}`, 413, `{"code":413,"message":"Request too large"}`},

		{"GET", "GET", "/send", `{` + good + `}`, 405, `{"code":405,"message":"Method not allowed"}`},
		{"OPTIONS", "OPTIONS", "/send", ``, 405, `{"code":405,"message":"Method not allowed"}`},
		{"PUT", "PUT", "/kick", ``, 405, `{"code":405,"message":"Method not allowed"}`},
		{"POST", "POST", "/recieve", ``, 405, `{"code":405,"message":"Method not allowed"}`},
		{"POST home", "POST", "/", ``, 405, `{"code":405,"message":"Method not allowed"}`},
		{"unknown path", "GET", "/send/", ``, 404, `{"code":404,"message":"Not found"}`},
		{"unknown path", "POST", "/x", ``, 404, `{"code":404,"message":"Not found"}`},

		{"no token", "GET", "/recieve", ``, 400, `{"code":400,"message":"Malformed token"}`},
		{"bad token", "GET", "/receive?token=hhh", ``, 400, `{"code":400,"message":"Malformed token"}`},
		{"long token", "GET", "/recieve?token=" + token(strings.Repeat("x", 300), 0), ``, 400, `{"code":400,"message":"Malformed token"}`},
		{"no upgrade", "GET", "/recieve?token=" + token("1", 0), ``, 426, `{"code":426,"message":"WebSocket upgrade required"}`},
	} {
		status, answer, header := s.request(test.method, test.path, test.body)
		if status != test.status || answer != test.answer {
			t.Errorf("%s: %s %s: %d %s, want %d %s", test.name, test.method, test.path, status, answer, test.status, test.answer)
		}
		if sent := status == 200 && strings.HasPrefix(test.path, "/send"); sent != (len(header.Get("X-Poosh-Id")) == 21) || !sent && header["X-Poosh-Id"] != nil {
			t.Errorf("%s: id %q", test.name, header["X-Poosh-Id"])
		}
		if got := header.Get("Content-Type"); got != "application/json" {
			t.Errorf("%s: Content-Type %q", test.name, got)
		}
		if status == 405 && header.Get("Allow") == "" || status == 426 && header.Get("Upgrade") != "websocket" {
			t.Errorf("%s: headers %v", test.name, header)
		}
	}
}

func TestHome(t *testing.T) {
	s := newSite(t, Config{})
	s.join("1")
	_, first, header := s.request("GET", "/", "")
	for _, part := range []string{"There are currently 1 connected client(s)", "<li>myapp</li>", "<li>other</li>", `<code id="secret">`} {
		if !strings.Contains(first, part) {
			t.Errorf("no %q in\n%s", part, first)
		}
	}
	if strings.Contains(first, "s3cret") || strings.Contains(first, "empty") {
		t.Error("the page tells too much")
	}
	if got := header.Get("Content-Type"); got != "text/html; charset=utf-8" {
		t.Errorf("Content-Type %q", got)
	}
	secret := func(page string) string {
		_, rest, _ := strings.Cut(page, `id="secret">`)
		return rest[:64]
	}
	_, second, _ := s.request("GET", "/", "")
	if secret(first) == secret(second) || strings.Trim(secret(first), "0123456789abcdef") != "" {
		t.Errorf("secrets %q and %q", secret(first), secret(second))
	}
}

func TestSend(t *testing.T) {
	s := newSite(t, Config{})
	one, two, empty := s.join("1"), s.join("caf\u00e9"), s.join("")
	if ok, failed := s.send(message{"1", "a"}, message{"caf\u00e9", "\U0001F600 <b>"}, message{"2", "x"}, message{"1", ""},
		message{"", "none"}, message{"1", "CLOSE"}, message{"1", "last\nline"}); ok != 6 || failed != 1 {
		t.Errorf("%d succeeded, %d failed", ok, failed)
	}
	want(t, one, "DATA:a", "DATA:", "DATA:CLOSE", "DATA:last\nline")
	want(t, two, "DATA:\U0001F600 <b>")
	want(t, empty, "DATA:none")
	// Another application's clients are out of reach.
	_, body, _ := s.request("POST", "/send", `{"secretName":"other","secret":"0ther","messages":[{"recipient":"1","content":"x"}]}`)
	if !strings.HasPrefix(body, `{"succeeded":[],`) {
		t.Error(body)
	}
	if got := s.dialect.Stats(); got.Connected != 3 || got.Sent != 6 || got.Failed != 2 {
		t.Errorf("%+v", got)
	}
}

// A content that no outbox holds fails and costs nobody a connection.
func TestTooLargeForAnOutbox(t *testing.T) {
	s := newSite(t, Config{MaxBody: 10_000, Outbox: 10_000})
	ws := s.join("1")
	content := strings.Repeat("\xff", 5000) // each becomes U+FFFD, three bytes
	_, body, _ := s.request("POST", "/send", `{"secretName":"myapp","secret":"s3cret","messages":[{"recipient":"1","content":"`+content+`"}]}`)
	if !strings.HasPrefix(body, `{"succeeded":[],"failed":[{"recipient":"1"`) {
		t.Errorf("%.100s", body)
	}
	s.synced(ws)
}

// behind is a backlog that is never caught up.
type behind struct{}

func (behind) Late() bool { return true }

func (behind) CaughtUp() <-chan struct{} { return make(chan struct{}) }

// What is refused for now says when to try again, and nobody but a sender with the
// right secret waits for it.
func TestGate(t *testing.T) {
	gate := admission.New(behind{}, time.Millisecond)
	s := newSite(t, Config{Gate: gate})
	refused := func(want string) {
		t.Helper()
		status, answer, header := s.request("POST", "/send", `{"secretName":"myapp","secret":"s3cret","messages":[{"recipient":"1"}]}`)
		if status != 503 || answer != want || header.Get("Retry-After") != "1" || header.Get("Content-Type") != "application/json" {
			t.Errorf("%d %s %v", status, answer, header)
		}
	}
	refused(`{"code":503,"message":"Too much is waiting to be written"}`)
	for _, body := range []string{`{"secretName":"myapp","secret":"x"}`, `{"secretName":"x"}`, `{`} {
		s.request("POST", "/send", body)
	}
	if n := gate.Refused(); n != 1 {
		t.Errorf("%d asked the gate", n)
	}
	if err := gate.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	refused(`{"code":503,"message":"Server is shutting down"}`)
}

// A publication leaves the gate once it is with the hub.
func TestGateIsLeft(t *testing.T) {
	gate := admission.New(caughtUp{}, 0)
	s := newSite(t, Config{Gate: gate})
	s.join("1")
	if ok, failed := s.send(message{"1", "x"}, message{"2", "x"}); ok != 1 || failed != 1 {
		t.Errorf("%d succeeded, %d failed", ok, failed)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := gate.Close(ctx); err != nil {
		t.Error(err)
	}
}

type caughtUp struct{}

func (caughtUp) Late() bool { return false }

func (caughtUp) CaughtUp() <-chan struct{} { return nil }

// lateBacklog is caught up a number of times, and then does something or is behind.
type lateBacklog struct {
	left atomic.Int64
	then func()
}

func (b *lateBacklog) Late() bool { return b.left.Load() < 0 }

func (b *lateBacklog) CaughtUp() <-chan struct{} {
	if b.left.Add(-1) >= 0 {
		return nil
	}
	if b.then != nil {
		b.then()
		return nil
	}
	return make(chan struct{})
}

// A request that outruns the server in the middle: what was not published has failed,
// and is named so. One that is inside when the gate closes is published whole.
func TestGateInTheMiddle(t *testing.T) {
	list := make([]message, 10)
	for i := range list {
		list[i] = message{"1", strings.Repeat(fmt.Sprint(i), stride)}
	}
	for _, test := range []struct {
		name       string
		closes     bool
		ok, failed int
	}{
		{"behind", false, 3, 7},
		{"closed", true, 10, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := new(lateBacklog)
			b.left.Store(3)
			gate := admission.New(b, time.Millisecond)
			ended := make(chan error, 1)
			if test.closes {
				var closing atomic.Bool
				b.then = func() {
					if !closing.CompareAndSwap(false, true) {
						return
					}
					go func() { ended <- gate.Close(t.Context()) }() // ends when the request has left
					for gate.Try() == nil {                          // until it is closed
						gate.Leave()
					}
				}
			}
			s := newSite(t, Config{Gate: gate})
			ws := s.join("1")
			ok, failed := s.send(list...)
			if ok != test.ok || failed != test.failed {
				t.Errorf("%d succeeded, %d failed", ok, failed)
			}
			for _, m := range list[:test.ok] {
				want(t, ws, "DATA:"+m.Content)
			}
			if test.closes {
				if err := <-ended; err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// What all bodies together may hold is used up.
func TestQuotaIsFull(t *testing.T) {
	s := newSite(t, Config{})
	req := httptest.NewRequest("POST", "/send", iotest.ErrReader(fmt.Errorf("body: %w", quota.ErrFull)))
	w := httptest.NewRecorder()
	s.dialect.ServeHTTP(w, req)
	if w.Code != 503 || w.Header().Get("Retry-After") != "1" || w.Body.String() != `{"code":503,"message":"Too much input is waiting for its end"}` {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	if s.dialect.Stats().Refused["Too much input is waiting for its end"] != 1 {
		t.Error("not counted")
	}
}

func TestMaxKicks(t *testing.T) {
	s := newSite(t, Config{MaxKicks: 1})
	s.join("1")
	done := make(chan time.Duration)
	go func() { done <- s.kick("1") }() // ends with the wait of the kick
	for s.dialect.rules.Load().apps["myapp"].allBars() == nil || len(s.dialect.rules.Load().kicks) == 0 {
		time.Sleep(time.Millisecond)
	}
	status, answer, _ := s.request("POST", "/kick", `{"secretName":"myapp","secret":"s3cret"}`)
	if status != 503 || answer != `{"code":503,"message":"Too many requests to /kick are waiting"}` {
		t.Errorf("%d %s", status, answer)
	}
	<-done
}
