package authorize

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"poosh/server/logtest"
)

// patience is how long a test waits for what comes.
const patience = 30 * time.Second

// An application answers questions as a test says.
func application(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL + "/broadcasting/auth"
}

func newAsker(t *testing.T, conf Config) (*Asker, *logtest.Buffer) {
	t.Helper()
	said := new(logtest.Buffer)
	a := New(conf, slog.New(slog.NewTextHandler(said, nil)))
	t.Cleanup(a.Close)
	return a, said
}

// ask asks and waits for the answer.
func ask(t *testing.T, a *Asker, q Question) Answer {
	t.Helper()
	got := make(chan Answer, 2)
	if _, refused := a.Ask(q, func(answer Answer) { got <- answer }); refused != nil {
		return *refused
	}
	select {
	case answer := <-got:
		return answer
	case <-time.After(patience):
		t.Fatal("there is no answer")
	}
	return Answer{}
}

// The request is what the original sent, but for what a page must not decide.
func TestRequest(t *testing.T) {
	type request struct {
		method, path, host, body string
		head                     http.Header
	}
	seen := make(chan request, 1)
	url := application(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		seen <- request{r.Method, r.URL.String(), r.Host, string(body), r.Header}
		fmt.Fprint(w, "true")
	})
	a, _ := newAsker(t, Config{URL: url + "?of=1"})
	got := ask(t, a, Question{Channel: "private-orders.1&x=é", SocketID: "IC6M0B7wz6rgF_iyAAAA", Cookie: "laravel_session=a; XSRF-TOKEN=b", Headers: map[string]string{
		"Authorization": "Bearer tok", "x-csrf-token": "csrf", "X-XSRF-TOKEN": "xsrf", "X-Tenant": "7", "Accept": "application/json", "accept-language": "de",
		"Host": "evil", "Cookie": "other=1", "Content-Type": "text/evil", "Content-Length": "1", "Connection": "close", "Transfer-Encoding": "chunked",
		"Forwarded": "for=1.1.1.1", "X-Forwarded-For": "1.1.1.1", "X_Forwarded_For": "1.1.1.1", "X-Real-IP": "1.1.1.1", "X-HTTP-Method-Override": "DELETE",
		"X-Original-URL": "/admin", "X-Rewrite-URL": "/admin", "Upgrade": "h2c", "TE": "trailers", "Origin": "evil", "Referer": "evil", "User-Agent": "evil",
		"X-Requested-With": "evil", "": "evil", "X-": "evil", "X-A B": "evil", "X-A:b": "evil", "Proxy-Authorization": "evil", "Expect": "100-continue", "Idempotency-Key": "evil",
	}})
	if !got.Allowed || got.Status != 200 || got.Member != nil {
		t.Errorf("%+v", got)
	}
	r := <-seen
	r.head.Del("User-Agent") // Go's
	want := request{"POST", "/broadcasting/auth?of=1", strings.TrimPrefix(strings.TrimSuffix(url, "/broadcasting/auth"), "http://"), "channel_name=private-orders.1%26x%3D%C3%A9&socket_id=IC6M0B7wz6rgF_iyAAAA", http.Header{
		"Authorization": {"Bearer tok"}, "X-Csrf-Token": {"csrf"}, "X-Xsrf-Token": {"xsrf"}, "X-Tenant": {"7"}, "Accept": {"application/json"}, "Accept-Language": {"de"},
		"Cookie": {"laravel_session=a; XSRF-TOKEN=b"}, "Content-Type": {"application/x-www-form-urlencoded"}, "X-Requested-With": {"XMLHttpRequest"}, "Content-Length": {"81"},
	}}
	want.head.Set("Content-Length", fmt.Sprint(len(want.body)))
	if !reflect.DeepEqual(r, want) {
		t.Errorf("%+v\nwant %+v", r, want)
	}
}

// What an answer comes to: a yes is only what says so.
func TestAnswers(t *testing.T) {
	var status atomic.Int64
	var body atomic.Value
	url := application(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "/login")
		w.WriteHeader(int(status.Load()))
		_, _ = io.WriteString(w, body.Load().(string))
	})
	a, said := newAsker(t, Config{URL: url, MaxAnswer: 1000})
	for _, row := range []struct {
		status          int
		body            string
		private, member Reason // for a private channel, and for a presence channel
		user, info      string
	}{
		{200, `true`, allowed, noMember, "", ""},
		{200, "\xef\xbb\xbf true\n", allowed, noMember, "", ""},
		{200, `{"auth":"key:abc"}`, allowed, noMember, "", ""},
		{201, `{}`, allowed, noMember, "", ""},
		{200, `{"channel_data":{"user_id":1,"user_info":{"name": "A"}}}`, allowed, allowed, `1`, `{"name":"A"}`},
		{200, `{"channel_data":{"user_id":"u\u00e9"}}`, allowed, allowed, `"u\u00e9"`, ""},
		{200, `{"auth":"k:a","channel_data":"{\"user_id\":\"7\",\"user_info\":null}"}`, allowed, allowed, `"7"`, `null`},
		{200, `{"channel_data":{"user_id":-1.50}}`, allowed, allowed, `-1.50`, ""},
		{200, `{"channel_data":{"user_id":""}}`, allowed, noMember, "", ""},
		{200, `{"channel_data":{"user_id":null}}`, allowed, noMember, "", ""},
		{200, `{"channel_data":{"user_id":true}}`, allowed, noMember, "", ""},
		{200, `{"channel_data":{"user_id":{}}}`, allowed, noMember, "", ""},
		{200, `{"channel_data":{"USER_ID":1}}`, allowed, noMember, "", ""},
		{200, `{"channel_data":[]}`, allowed, noMember, "", ""},
		{200, `{"channel_data":"no JSON"}`, allowed, noMember, "", ""},
		{200, `{"channel_data":null}`, allowed, noMember, "", ""},
		{200, `false`, denied, denied, "", ""},
		{200, `null`, denied, denied, "", ""},
		{200, `""`, denied, denied, "", ""},
		{200, ``, noJSON, noJSON, "", ""},
		{204, ``, noJSON, noJSON, "", ""},
		{200, `<!DOCTYPE html><title>Login</title>`, noJSON, noJSON, "", ""},
		{200, `<br /><b>Warning</b>: x{"a":1}`, noJSON, noJSON, "", ""},
		{200, "{\"channel_data\":{\"user_id\":\"\xff\"}}", noJSON, noJSON, "", ""},
		{200, `"true"`, noAnswer, noMember, "", ""},
		{200, `1`, noAnswer, noMember, "", ""},
		{200, `[true]`, noAnswer, noMember, "", ""},
		{200, `{"a":"` + strings.Repeat("x", 1000) + `"}`, large, large, "", ""},
		{302, `true`, redirected, redirected, "", ""},
		{304, ``, redirected, redirected, "", ""},
		{401, `true`, denied, denied, "", ""},
		{403, `true`, denied, denied, "", ""},
		{419, `true`, denied, denied, "", ""},
		{500, `true`, failed, failed, "", ""},
		{503, strings.Repeat("x", 100_000), failed, failed, "", ""},
	} {
		status.Store(int64(row.status))
		body.Store(row.body)
		for _, presence := range []bool{false, true} {
			want := row.private
			if presence {
				want = row.member
			}
			says := row.status
			if row.status/100 == 2 && want != allowed {
				says = 403
			}
			got := ask(t, a, Question{Channel: "c", Presence: presence})
			var member *Member
			if presence && want == allowed {
				member = &Member{UserID: json.RawMessage(row.user)}
				if row.info != "" {
					member.Info = json.RawMessage(row.info)
				}
			}
			if !reflect.DeepEqual(got, Answer{want == allowed, says, member, want}) {
				t.Errorf("%d %s, presence %v: %+v %+v, want %v", row.status, row.body, presence, got, got.Member, want)
			}
		}
	}
	a.Close()
	for _, why := range []Reason{noJSON, noAnswer, noMember, large, redirected, failed} {
		if n := strings.Count(said.String(), "reason="+why.String()+" "); n != 1 {
			t.Errorf("the log has %d lines about %s:\n%s", n, why, said)
		}
	}
}

// Where nobody can be reached, a page is told 0.
func TestUnreachable(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free.Close()
	breaks := application(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "true")
	})
	for _, url := range []string{"http://user:secret@" + free.Addr().String() + "/auth?token=secret", breaks} {
		a, said := newAsker(t, Config{URL: url, Timeout: time.Hour})
		tellsNobody(t, a, said, unreachable)
	}
}

// tellsNobody asks where nobody answers. What the log says of it has no secret.
func tellsNobody(t *testing.T, a *Asker, said *logtest.Buffer, want Reason) {
	t.Helper()
	if got := ask(t, a, Question{Channel: "private-a", Cookie: "secret"}); got.Allowed || got.Status != 0 || got.Reason != want {
		t.Errorf("%+v, want %v", got, want)
	}
	a.Close()
	if text := said.String(); !strings.Contains(text, "reason="+want.String()) || strings.Contains(text, "secret") {
		t.Errorf("the log says %s", text)
	}
}

// Where the application is silent, or breaks off, a page is told 0 when the time is up, and not before.
func TestSilent(t *testing.T) {
	for name, begin := range map[string]func(w http.ResponseWriter){
		"says nothing": func(http.ResponseWriter) {},
		"breaks off": func(w http.ResponseWriter) {
			w.WriteHeader(200)
			_, _ = io.WriteString(w, "tr")
			w.(http.Flusher).Flush()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newPipes()
				s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					begin(w)
					<-l.over
				})}
				served := make(chan error)
				go func() { served <- s.Serve(l) }() // ends with Close
				a, said := newAsker(t, Config{URL: "http://example.com/auth", Timeout: 10 * time.Second})
				a.client.Transport.(*http.Transport).DialContext = l.dial
				began := time.Now()
				tellsNobody(t, a, said, silent)
				if took := time.Since(began); took != 10*time.Second {
					t.Errorf("after %v", took)
				}
				s.Close()
				<-served
			})
		})
	}
}

// Pipes are a network in memory, for a clock that a test owns.
type pipes struct {
	conns chan net.Conn
	over  chan struct{}
}

func newPipes() *pipes { return &pipes{make(chan net.Conn), make(chan struct{})} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case p.conns <- there:
		return here, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept implements [net.Listener].
func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.over:
		return nil, net.ErrClosed
	}
}

// Close implements [net.Listener].
func (p *pipes) Close() error {
	close(p.over)
	return nil
}

// Addr implements [net.Listener].
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "memory"} }

// Connections are kept open, and one that the application closed meanwhile costs nobody an
// answer.
func TestKeptOpen(t *testing.T) {
	var opened atomic.Int64
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "true") }))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	a, _ := newAsker(t, Config{URL: s.URL})
	for range 20 {
		if got := ask(t, a, Question{Channel: "c"}); !got.Allowed {
			t.Fatalf("%+v", got)
		}
	}
	if n := opened.Load(); n > 2 {
		t.Errorf("%d connections for one question after the other", n)
	}
	s.CloseClientConnections()
	if got := ask(t, a, Question{Channel: "c"}); !got.Allowed {
		t.Errorf("after the application closed its connections: %+v", got)
	}
}

// A gated application answers when a test lets it.
type gated struct {
	url     string
	mu      sync.Mutex
	running map[string]int
	most    int // that ran at once
	let     chan struct{}
}

func newGated(t *testing.T) *gated {
	g := &gated{running: make(map[string]int), let: make(chan struct{})}
	g.url = application(t, func(w http.ResponseWriter, r *http.Request) {
		channel := r.FormValue("channel_name")
		g.mu.Lock()
		g.running[channel]++
		g.most = max(g.most, g.all())
		g.mu.Unlock()
		select {
		case <-g.let:
		case <-r.Context().Done():
		}
		g.mu.Lock()
		g.running[channel]--
		g.mu.Unlock()
		fmt.Fprint(w, "true")
	})
	return g
}

func (g *gated) all() (n int) {
	for _, of := range g.running {
		n += of
	}
	return n
}

// runs waits until so many questions about a channel are at the application.
func (g *gated) runs(t *testing.T, channel string, want int) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		g.mu.Lock()
		n := g.running[channel]
		g.mu.Unlock()
		if n == want {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d questions about %s run, want %d", n, channel, want)
		}
	}
}

// How many run and wait is bounded, of all and of one network and page; who has a thousand
// questions costs somebody else one request of waiting.
func TestBounds(t *testing.T) {
	g := newGated(t)
	a, _ := newAsker(t, Config{URL: g.url, Running: 4, Waiting: 80})
	greedy, other := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	answers := make(chan Answer, 1000)
	put := func(channel, page string, from netip.Addr) *Answer {
		cancel, refused := a.Ask(Question{Channel: channel, SocketID: page, From: from}, func(got Answer) { answers <- got })
		if (cancel == nil) != (refused != nil) {
			t.Fatal("a question is neither asked nor refused")
		}
		return refused
	}
	refused := func(want Reason, got *Answer) {
		t.Helper()
		if got == nil || got.Reason != want || got.Status != 503 || got.Allowed {
			t.Fatalf("%+v, want %v", got, want)
		}
	}
	for range 3 {
		put("greedy", "a", greedy) // run
	}
	g.runs(t, "greedy", 3)
	for range 10 {
		put("greedy", "a", greedy) // a page's share
	}
	refused(crowded, put("greedy", "a", greedy))
	for range 10 {
		put("greedy", "b", greedy) // the network's share
	}
	refused(crowded, put("greedy", "c", greedy))
	// A fourth of what runs is there for others.
	put("other", "d", other)
	g.runs(t, "other", 1)
	put("other", "d", other) // waits behind nobody but itself
	g.let <- struct{}{}      // one of the five ends
	open := func(want int) {
		t.Helper()
		for end := time.Now().Add(patience); a.Open() != want; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d questions are open, want %d", a.Open(), want)
			}
		}
	}
	open(4 + 20)
	// Pages that nobody knows the network of have a share each, until all is full.
	for i := 0; a.Open() < 4+80; i++ {
		put("many", fmt.Sprint("page", i/10), netip.Addr{})
	}
	refused(full, put("many", "last", netip.Addr{}))
	close(g.let)
	open(0)
	if g.most > 4 {
		t.Errorf("%d ran at once", g.most)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if q := &a.queue; len(q.lanes) != 0 || q.turns.Len() != 0 || q.waiting != 0 || q.bytes != 0 || q.running != 0 {
		t.Errorf("what is left: %+v", q)
	}
}

// With other settings more run at once.
func TestChange(t *testing.T) {
	g := newGated(t)
	a, _ := newAsker(t, Config{URL: g.url, Running: 1})
	for i := range 5 {
		a.Ask(Question{Channel: "c", SocketID: fmt.Sprint("page", i)}, func(Answer) {})
	}
	g.runs(t, "c", 1)
	a.Change(Config{URL: g.url, Running: 4})
	g.runs(t, "c", 4)
	close(g.let)
	g.runs(t, "c", 0)
}

// A page that leaves is told nothing, whether its question waits or runs, and what runs for it
// ends. So it is at the end.
func TestLeaving(t *testing.T) {
	g := newGated(t)
	a, _ := newAsker(t, Config{URL: g.url, Running: 1, Timeout: time.Hour})
	answered := make(chan Answer, 10)
	tell := func(got Answer) { answered <- got }
	running, _ := a.Ask(Question{Channel: "runs"}, tell)
	g.runs(t, "runs", 1)
	waiting, _ := a.Ask(Question{Channel: "waits"}, tell)
	waiting()
	waiting()
	if n := a.Open(); n != 1 {
		t.Errorf("%d questions are open", n)
	}
	running()
	g.runs(t, "runs", 0)
	a.Ask(Question{Channel: "stays"}, tell)
	g.runs(t, "stays", 1)
	a.Ask(Question{Channel: "waits"}, tell)
	a.Close()
	late, _ := a.Ask(Question{Channel: "late"}, tell)
	late()
	if len(answered) != 0 {
		t.Errorf("somebody who left is answered: %+v", <-answered)
	}
	if n := a.counts.Get(left); n != 3 {
		t.Errorf("%d are counted as left, want two pages and one at the end", n)
	}
}

// What waited too long is not asked any more: the application has enough to do.
func TestLate(t *testing.T) {
	g := newGated(t)
	a, said := newAsker(t, Config{URL: g.url, Running: 1, Timeout: time.Hour})
	first, second := make(chan Answer, 1), make(chan Answer, 1)
	a.Ask(Question{Channel: "runs"}, func(got Answer) { first <- got })
	g.runs(t, "runs", 1)
	a.Change(Config{URL: g.url, Running: 1, Timeout: time.Millisecond})
	a.Ask(Question{Channel: "waits"}, func(got Answer) { second <- got })
	time.Sleep(2 * time.Millisecond) // it is late from now on
	close(g.let)
	if got := <-first; !got.Allowed {
		t.Errorf("%+v", got)
	}
	if got := <-second; got.Reason != late || got.Status != 503 {
		t.Errorf("%+v", got)
	}
	a.Close()
	if !strings.Contains(said.String(), "reason=late") {
		t.Errorf("the log says %s", said)
	}
}

// Headers that cannot be sent are refused before anybody is asked.
func TestBadHeaders(t *testing.T) {
	url := application(t, func(w http.ResponseWriter, r *http.Request) { t.Error("the application is asked") })
	a, _ := newAsker(t, Config{URL: url})
	many := make(map[string]string)
	for i := range maxHeaders + 1 {
		many[fmt.Sprint("X-", i)] = "x"
	}
	for _, q := range []Question{
		{Headers: map[string]string{"X-A": "a\r\nHost: evil"}},
		{Headers: map[string]string{"Authorization": "a\nb"}},
		{Headers: map[string]string{"X-A": "a\x00"}},
		{Headers: map[string]string{"X-A": strings.Repeat("x", maxHeaderBytes)}},
		{Headers: map[string]string{"Ignored": strings.Repeat("x", maxHeaderBytes)}},
		{Headers: many},
		{Cookie: "a=b\r\nHost: evil"},
		{Cookie: strings.Repeat("x", maxCookieBytes+1)},
	} {
		if got := ask(t, a, q); got.Allowed || got.Status != 400 || got.Reason != badHeaders {
			t.Errorf("%.60v: %+v", q, got)
		}
	}
}

func TestReadHeaders(t *testing.T) {
	for _, row := range []struct {
		in   string
		want map[string]string
		err  error
	}{
		{``, nil, nil}, {`null`, nil, nil}, {` [] `, nil, nil}, {`{}`, map[string]string{}, nil},
		{`{"Authorization":"Bearer \u00e9","X-N":5,"X-T":true,"X-Null":null}`, map[string]string{"Authorization": "Bearer é", "X-N": "5", "X-T": "true"}, nil},
		{`{"a":{}}`, nil, ErrHeaders}, {`{"a":["b"]}`, nil, ErrHeaders}, {`"x"`, nil, ErrHeaders}, {`5`, nil, ErrHeaders}, {`[1]`, nil, ErrHeaders}, {`{`, nil, ErrHeaders},
	} {
		got, err := ReadHeaders(json.RawMessage(row.in))
		if !reflect.DeepEqual(got, row.want) || err != row.err {
			t.Errorf("%s: %v %v", row.in, got, err)
		}
	}
}

func TestCheckURL(t *testing.T) {
	for text, good := range map[string]bool{
		"http://localhost/broadcasting/auth": true, "https://user:pass@example.com:8443/a/b?c=d": true,
		"localhost/broadcasting/auth": false, "/broadcasting/auth": false, "ftp://a/b": false, "http://": false, "http://:80/": false, "http://a/#b": false, "": false, "http://a b/": false,
	} {
		if err := CheckURL(text); (err == nil) != good {
			t.Errorf("%s: %v", text, err)
		}
	}
	if got := Shown("https://user:pass@example.com:8443/a?token=x"); got != "https://example.com:8443/a" {
		t.Error(got)
	}
}

// Whatever an application answers, it is a yes that says so or none, and a member is JSON.
func FuzzAnswer(f *testing.F) {
	for _, body := range []string{`true`, `{"channel_data":{"user_id":1,"user_info":{"a":[1]}}}`, `{"channel_data":"{\"user_id\":\"x\"}"}`, `<html>`, "\xef\xbb\xbftrue", `{"channel_data":"\ud800"}`} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if why, m := judge(200, body, &inquiry{}); m != nil || why == allowed && !strings.ContainsAny(string(body), "{t") {
			t.Fatalf("%q: %v %v", body, why, m)
		}
		why, m := judge(200, body, &inquiry{Question: Question{Presence: true}})
		if (why == allowed) != (m != nil) {
			t.Fatalf("%q: %v %v", body, why, m)
		}
		if m != nil && (!json.Valid(m.UserID) || m.Info != nil && !json.Valid(m.Info)) {
			t.Fatalf("%q: %s %s", body, m.UserID, m.Info)
		}
	})
}

// Whatever headers a page names, none of them speaks for a proxy or ends a line.
func FuzzHeaders(f *testing.F) {
	f.Add([]byte(`{"Authorization":"x","X-Forwarded-For":"y","X-A":"b\r\n"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		headers, err := ReadHeaders(raw)
		if err != nil {
			return
		}
		q := Question{Headers: headers}
		if checkHeaders(q) != allowed {
			return
		}
		h := make(http.Header)
		(&inquiry{Question: q}).head(h)
		for name, values := range h {
			if strings.HasPrefix(name, "X-Forwarded") || name == "Host" || name == "Cookie" || strings.ContainsAny(name, "_ \r\n:") {
				t.Fatalf("%q: %q", raw, name)
			}
			for _, v := range values {
				if strings.ContainsAny(v, "\r\n\x00") {
					t.Fatalf("%q: %q", raw, v)
				}
			}
		}
	})
}
