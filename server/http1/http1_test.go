package http1

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"poosh/server/loop"
	"poosh/server/quota"
	"poosh/server/stalltest"
)

var silent = slog.New(slog.NewTextHandler(io.Discard, nil))

const patience = 30 * time.Second

// start serves a handler as the product does, on a loop of its own unless cfg has one.
// Zero times of cfg mean no bound.
func start(t testing.TB, cfg Config) (*Server, string) {
	t.Helper()
	cfg.Log = silent
	if cfg.Loop == nil {
		cfg.Loop = newLoop(t, loop.Config{})
	}
	if cfg.Where == nil {
		cfg.Where = everything(Here)
	}
	if cfg.MaxBody == 0 {
		cfg.MaxBody = 64 << 10
	}
	if cfg.MaxAnswer == 0 {
		cfg.MaxAnswer = 64 << 20
	}
	cfg.Rest = &http.Server{Handler: cfg.Handler, ErrorLog: slog.NewLogLogger(silent.Handler(), slog.LevelDebug)}
	s := New(cfg)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ln) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-ended; err != http.ErrServerClosed {
			t.Errorf("Serve: %v", err)
		}
	})
	return s, ln.Addr().String()
}

func newLoop(t testing.TB, cfg loop.Config) *loop.Loop {
	t.Helper()
	cfg.Log = silent
	l, err := loop.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

// everything is served in one place.
func everything(place Where) func(*http.Request) Where {
	return func(*http.Request) Where { return place }
}

// counts is Bounds that count.
type counts struct {
	opened, upgraded, closed, proven atomic.Int64
	refuse, full                     atomic.Bool
	server                           *Server // set before full
}

func (c *counts) Open(netip.Addr) (Room, bool) {
	c.opened.Add(1)
	return 5, !c.refuse.Load() && (!c.full.Load() || c.evict())
}

// evict closes the candidate that has waited longest, a client last, once it has had its
// turn.
func (c *counts) evict() bool {
	for end := time.Now().Add(400 * itsTurn); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if c.evictFirst() {
			return true
		}
	}
	return false
}

func (c *counts) evictFirst() bool {
	list := c.server.Candidates(5)
	slices.SortFunc(list, func(a, b Candidate) int {
		if a.Client != b.Client {
			if a.Client {
				return 1
			}
			return -1
		}
		return a.Since.Compare(b.Since)
	})
	return len(list) > 0 && list[0].Evict()
}

func (c *counts) Passed(netip.Addr) (Room, bool) {
	c.opened.Add(1)
	return 5, !c.refuse.Load()
}
func (c *counts) Upgrade(_ netip.Addr, room Room, _ netip.Addr) bool {
	c.upgraded.Add(1)
	return room == 5
}
func (c *counts) Proven(netip.Addr) { c.proven.Add(1) }
func (c *counts) Close(_ netip.Addr, room Room) {
	if room == 5 {
		c.closed.Add(1)
	}
}

// eventually waits until something is so.
func eventually(t testing.TB, what string, so func() bool) {
	t.Helper()
	for until := time.Now().Add(patience); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// A peer is a client that speaks byte by byte.
type peer struct {
	net.Conn
	r *bufio.Reader
	t testing.TB
}

func dial(t testing.TB, addr string) *peer {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return &peer{c, bufio.NewReader(c), t}
}

func (p *peer) say(text string) {
	p.t.Helper()
	if _, err := io.WriteString(p, text); err != nil {
		p.t.Fatal(err)
	}
}

// hear reads one answer.
func (p *peer) hear() (*http.Response, string) {
	p.t.Helper()
	_ = p.SetDeadline(time.Now().Add(patience))
	res, err := http.ReadResponse(p.r, nil)
	if err != nil {
		p.t.Fatalf("no answer: %v", err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return res, string(body)
}

// ends waits until the server has closed the connection.
func (p *peer) ends() {
	p.t.Helper()
	_ = p.SetDeadline(time.Now().Add(patience))
	if n, err := io.Copy(io.Discard, p.r); err != nil && !isReset(err) || n > 0 {
		p.t.Errorf("got %d bytes and %v, want the end", n, err)
		if errors.Is(err, os.ErrDeadlineExceeded) { // who waits for what then
			text := make([]byte, 1<<20)
			p.t.Logf("%s", text[:runtime.Stack(text, true)])
		}
	}
}

func isReset(err error) bool { return strings.Contains(err.Error(), "connection reset") }

const plainGet = "GET /x HTTP/1.1\r\nHost: h\r\n\r\n"

// isPlain reports whether a request was read here.
func isPlain(w http.ResponseWriter) bool {
	_, ok := w.(*response)
	return ok
}

// echo answers with all that a handler sees of a request.
func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s %q %q %q %v\n", r.Method, r.RequestURI, r.Proto, r.URL.Path, r.URL.RawPath, r.URL.RawQuery, r.URL.ForceQuery)
	fmt.Fprintf(&b, "%s %d %v %v\n", r.Host, r.ContentLength, r.Close, r.TransferEncoding)
	var names []string
	for name := range r.Header {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(&b, "%s: %.200q, %d in all\n", name, r.Header[name], len(strings.Join(r.Header[name], "")))
	}
	fmt.Fprintf(&b, "%d bytes %.100q %v\n", len(body), body, err)
	w.Header()["X-Two"] = []string{"a", "b\r\nX-Forged: c"}
	switch r.URL.Path {
	case "/silent":
	case "/nothing":
		w.WriteHeader(http.StatusNoContent)
	case "/sized":
		w.Header().Set("Content-Length", "3")
		_, _ = io.WriteString(w, "abc")
	case "/typed":
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, "<p>")
	case "/odd":
		w.WriteHeader(299)
	case "/close":
		w.Header().Set("Connection", "close")
	default:
		_, _ = io.WriteString(w, b.String())
	}
}

// TestSameAsNetHTTP sends the same bytes to a server of this package and to one of
// net/http: what the handler sees and what the client gets are the same, and
// requests that are meant to be plain are.
func TestSameAsNetHTTP(t *testing.T) {
	var plain sync.Map // by the client's address: whether its first request was read here
	_, mine := start(t, Config{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		plain.LoadOrStore(r.RemoteAddr, isPlain(w))
		echo(w, r)
	})})
	reference := &http.Server{Handler: http.HandlerFunc(echo), ErrorLog: slog.NewLogLogger(silent.Handler(), slog.LevelDebug)}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go reference.Serve(ln) // ends with Close
	defer reference.Close()

	post := func(head, body string) string {
		return "POST /x HTTP/1.1\r\nHost: h\r\n" + head + fmt.Sprintf("Content-Length: %d\r\n\r\n", len(body)) + body
	}
	get := func(head string) string { return "GET /x?a=b HTTP/1.1\r\nHost: h\r\n" + head + "\r\n" }
	path := func(p string) string { return "GET " + p + " HTTP/1.1\r\nHost: h\r\n\r\n" }
	for _, tt := range []struct {
		name, text string
		plain      bool
	}{
		{"get", get(""), true},
		{"post", post("Content-Type: application/json\r\n", `{"a":1}`), true},
		{"empty post", post("", ""), true},
		{"a browser", get("Connection: keep-alive\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: */*\r\nOrigin: http://a.example\r\n" +
			"sec-fetch-mode: cors\r\nReferer: http://a.example/p?q=1\r\nAccept-Encoding: gzip, deflate, br\r\nCookie: io=abc; b=\"c\"\r\n"), true},
		{"names in lower case", "GET /x HTTP/1.1\r\nhost: h\r\nuser-agent: u\r\nx-a_b.c: 1\r\n\r\n", true},
		{"blanks around values", get("A:  \t x y \t \r\nB:\r\nC: \r\n"), true},
		{"a name twice", get("A: 1\r\na: 2\r\nA: 3\r\n"), true},
		{"values that are not ASCII", get("A: \xc3\xa9\xff\r\n"), true},
		{"close", get("Connection: close\r\n"), true},
		{"close and more", get("Connection: Keep-Alive , Close\r\n"), true},
		{"an upgrade that nobody takes", get("Connection: Upgrade\r\nUpgrade: websocket\r\n"), true},
		{"a host with a port", "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", true},
		{"an escaped path", path("/a%20b%2Fc?d=%20"), true},
		{"a query without anything", path("/a?"), true},
		{"two question marks", path("/a?b?c"), true},
		{"two slashes", path("//a/b"), true},
		{"strange characters", path(`/a;b=c/"<>[]{}|^` + "`" + `?d="<>#e`), true},
		{"the root", path("/"), true},
		{"silent", path("/silent"), true},
		{"no content", path("/nothing"), true},
		{"sized", path("/sized"), true},
		{"typed", path("/typed"), true},
		{"an odd status", path("/odd"), true},
		{"the handler closes", path("/close"), true},
		{"60 KB", post("", strings.Repeat("x", 60<<10)), true},
		{"a head of 7 KB", get("A: " + strings.Repeat("x", 7<<10) + "\r\n"), true},
		{"a head of 15 KB", get("A: " + strings.Repeat("x", 15<<10) + "\r\n"), true},
		{"60 headers", get(strings.Repeat("A: 1\r\n", 60)), true},
		{"60 different headers", get(manyHeaders(60)), true},
		{"pragma", get("Pragma: no-cache\r\n"), true},
		{"pragma and cache-control", get("Pragma: no-cache\r\nCache-Control: max-age=0\r\n"), true},
		{"options", strings.Replace(get(""), "GET", "OPTIONS", 1), true},

		{"70 KB", post("", strings.Repeat("x", 70<<10)), false},
		{"a head of 17 KB", get("A: " + strings.Repeat("x", 17<<10) + "\r\n"), false},
		{"120 headers", get(strings.Repeat("A: 1\r\n", 120)), false},
		{"head", strings.Replace(path("/sized"), "GET", "HEAD", 1), false},
		{"put", strings.Replace(post("", "x"), "POST", "PUT", 1), false},
		{"HTTP/1.0", strings.Replace(get(""), "1.1", "1.0", 1), false},
		{"a whole URL", path("http://other/x"), false},
		{"chunks", "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", false},
		{"chunks and a length", "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n3\r\nabc\r\n0\r\n\r\n", false},
		{"two lengths", "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", false},
		{"two different lengths", "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", false},
		{"a signed length", "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: +3\r\n\r\nabc", false},
		{"no length", "POST /x HTTP/1.1\r\nHost: h\r\n\r\n", false},
		{"a get with a body", "GET /x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc", false},
		{"expect", post("Expect: 100-continue\r\n", "abc"), false},
		{"an unknown expectation", post("Expect: wonders\r\n", "abc"), false},
		{"no host", "GET /x HTTP/1.1\r\n\r\n", false},
		{"two hosts", get("Host: i\r\n"), false},
		{"a bad host", "GET /x HTTP/1.1\r\nHost: a b\r\n\r\n", false},
		{"an empty host", "GET /x HTTP/1.1\r\nHost:\r\n\r\n", false},
		{"bare line feeds", strings.ReplaceAll(get("A: b\r\n"), "\r\n", "\n"), false},
		{"one bare line feed", get("A: b\nC: d\r\n"), false},
		{"a folded line", get("A: b\r\n c\r\n"), false},
		{"a blank before the colon", get("A : b\r\n"), false},
		{"no colon", get("A\r\n"), false},
		{"no name", get(": b\r\n"), false},
		{"a NUL", get("A: b\x00c\r\n"), false},
		{"a carriage return inside", get("A: b\rc\r\n"), false},
		{"two blanks in the first line", strings.Replace(get(""), " /x", "  /x", 1), false},
		{"a bad escape", path("/%zz"), false},
		{"a path with a blank", path("/a b"), false},
		{"a path that is not ASCII", path("/\xc3\xa9"), false},
		{"a method in lower case", strings.Replace(get(""), "GET", "get", 1), false},
		{"rubbish", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", false},
		{"an upgrade to HTTP/2", get("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAAA\r\n"), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			type heard struct{ status, header, body, end string }
			ask := func(addr string) (heard, string) {
				p := dial(t, addr)
				p.say(tt.text)
				method := http.MethodGet
				if strings.HasPrefix(tt.text, "HEAD") {
					method = http.MethodHead
				}
				res, err := http.ReadResponse(p.r, &http.Request{Method: method})
				if err != nil {
					return heard{end: "no answer"}, p.LocalAddr().String()
				}
				body, err := io.ReadAll(res.Body)
				if err != nil {
					t.Fatal(err)
				}
				res.Header.Del("Date")
				end := "goes on"
				if res.Close {
					end = "closes"
					p.ends()
				} else if !strings.HasPrefix(tt.text, "HEAD") {
					p.say(plainGet) // it must be usable
					p.hear()
				}
				return heard{res.Proto + " " + res.Status, fmt.Sprint(res.Header, res.ContentLength, res.TransferEncoding), string(body), end},
					p.LocalAddr().String()
			}
			got, from := ask(mine)
			want, _ := ask(ln.Addr().String())
			if got != want {
				t.Errorf("got\n%+.2000v\nwant\n%+.2000v", got, want)
			}
			was, served := plain.Load(from)
			if tt.plain != (served && was == true) {
				t.Errorf("served: %v, read here: %v", served, was)
			}
		})
	}
}

func manyHeaders(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "X-%d: %d\r\n", i, i)
	}
	return b.String()
}

// TestPlainOrNot asks again and again on one connection.
func TestPlainOrNot(t *testing.T) {
	_, addr := start(t, Config{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, isPlain(w))
	})})
	p := dial(t, addr)
	for i := range 3 {
		p.say(plainGet)
		if _, body := p.hear(); body != "true" {
			t.Errorf("request %d: plain is %s", i, body)
		}
	}
	p.say("PUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n" + plainGet) // the second one goes with the first
	for range 2 {
		if _, body := p.hear(); body != "false" {
			t.Error("read here behind one that is not plain")
		}
	}
}

// TestPieces writes requests in pieces of all kinds: pauses do not matter.
func TestPieces(t *testing.T) {
	_, addr := start(t, Config{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%d %v", len(body), isPlain(w))
	})})
	big := "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 20000\r\n\r\n" + strings.Repeat("y", 20000)
	const pause = 30 * time.Millisecond
	for _, tt := range []struct {
		name   string
		pieces []string
		pause  time.Duration
		want   string
	}{
		{"byte by byte", strings.Split(plainGet, ""), 0, "0 true"},
		{"head and body apart", []string{big[:60], big[60:]}, pause, "20000 true"},
		{"a pause in the head", []string{plainGet[:9], plainGet[9:]}, 10 * pause, "0 true"},
		{"a pause in the body", []string{big[:9000], big[9000:]}, 10 * pause, "20000 true"},
		{"first nothing", []string{"", plainGet}, 10 * pause, "0 true"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := dial(t, addr)
			for i, piece := range tt.pieces {
				if i > 0 {
					time.Sleep(tt.pause)
				}
				p.say(piece)
			}
			if _, body := p.hear(); body != tt.want {
				t.Errorf("got %q, want %q", body, tt.want)
			}
		})
	}
}

// TestEmptyLines: an empty line before a request is ignored, whoever serves it.
func TestEmptyLines(t *testing.T) {
	_, addr := start(t, Config{Handler: http.HandlerFunc(echo)})
	for _, text := range []string{plainGet, plainGet, strings.Replace(plainGet, "GET", "BREW", 1)} {
		p := dial(t, addr)
		for _, lines := range []string{"\r\n", "\r\n\r\n"} {
			p.say(lines + text)
			if res, _ := p.hear(); res.StatusCode != 200 {
				t.Errorf("status %d", res.StatusCode)
			}
			if text != plainGet {
				break // net/http has the rest
			}
		}
	}
}

// TestPipelined sends many requests at once: answers come in order.
func TestPipelined(t *testing.T) {
	_, addr := start(t, Config{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = w.Write(append([]byte(r.URL.Path), body...))
	})})
	p := dial(t, addr)
	const n = 500
	var all strings.Builder
	for i := range n {
		fmt.Fprintf(&all, "POST /%d HTTP/1.1\r\nHost: h\r\nContent-Length: 300\r\n\r\n%0300d", i, i)
	}
	go io.WriteString(p, all.String()) // ends with the connection
	for i := range n {
		if _, body := p.hear(); body != fmt.Sprintf("/%d%0300d", i, i) {
			t.Fatalf("answer %d: %q", i, body)
		}
	}
}

// TestTimes lets each bound on time pass.
func TestTimes(t *testing.T) {
	const bound = 200 * time.Millisecond
	for name, tt := range map[string]struct {
		cfg Config
		say string
	}{
		"first": {Config{FirstTimeout: bound}, ""},
		"idle":  {Config{IdleTimeout: bound}, plainGet},
		"head":  {Config{HeadTimeout: bound}, "GET /x HTTP/1.1\r\nHo"},
		"body":  {Config{BodyTimeout: bound}, "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabc"},
	} {
		t.Run(name, func(t *testing.T) {
			tt.cfg.Handler = http.NotFoundHandler()
			_, addr := start(t, tt.cfg)
			began := time.Now()
			p := dial(t, addr)
			p.say(tt.say)
			if name == "idle" {
				p.hear()
			}
			p.ends()
			if d := time.Since(began); d < bound {
				t.Errorf("closed after %v", d)
			}
		})
	}
}

// TestOpenedAndClosed counts connections through all their ends.
func TestOpenedAndClosed(t *testing.T) {
	var bounds counts
	l := newLater()
	_, addr := start(t, Config{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/panic":
				panic("a bug")
			case "/abort":
				panic(http.ErrAbortHandler)
			}
			l.ServeHTTP(w, r)
		}),
		Bounds: &bounds,
	})
	for i, end := range []func(p *peer){
		func(p *peer) { p.Close() },
		func(p *peer) { p.say(strings.Replace(plainGet, "/x", "/panic", 1)); p.ends() },
		func(p *peer) { p.say(strings.Replace(plainGet, "/x", "/abort", 1)); p.ends() },
		func(p *peer) { p.say(plainGet); <-l.pending; p.Close(); <-l.gone },
		func(p *peer) {
			p.say("GET /now HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
			p.hear()
			p.ends()
		},
		func(p *peer) { p.say(strings.Replace(getNow, "GET", "BREW", 1)); p.hear(); p.Close() }, // net/http's
	} {
		p := dial(t, addr)
		end(p)
		eventually(t, fmt.Sprintf("end %d: %d closed", i, bounds.closed.Load()), func() bool { return bounds.closed.Load() == int64(i+1) })
	}
	before := bounds.closed.Load()
	bounds.refuse.Store(true)
	dial(t, addr).ends()
	if bounds.closed.Load() != before || bounds.opened.Load() != before+1 {
		t.Errorf("%d opened, %d closed", bounds.opened.Load(), bounds.closed.Load())
	}
}

// TestEvictUnread: what has arrived is looked at before its connection is closed for
// another one.
func TestEvictUnread(t *testing.T) {
	s, addr := start(t, Config{Handler: newLater()})
	p := dial(t, addr)
	p.say("GET /now HT")
	var c *conn
	eventually(t, "half a head", func() bool {
		for _, c = range s.all() {
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.state == partial
		}
		return false
	})
	c.raw.Pause()
	p.say("TP/1.1\r\nHost: h\r\n\r\n")
	eventually(t, "it arrives", c.raw.Unread)
	for _, candidate := range s.Candidates(0) {
		if candidate.Evict() {
			t.Error("evicted with a request in its socket")
		}
	}
	c.raw.Resume()
	if res, _ := p.hear(); res.StatusCode != http.StatusOK {
		t.Errorf("status %d", res.StatusCode)
	}
	if c.raw.Unread() {
		t.Error("still something to read")
	}
}

// TestEvictPassed: so it is with what net/http has not read yet, or has read a moment ago.
func TestEvictPassed(t *testing.T) {
	s, _ := start(t, Config{Handler: newLater()})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	client := dial(t, ln.Addr().String())
	nc, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	p := &passed{Conn: nc, srv: s, early: []byte("POST")}
	p.left.Store(true)
	waits := func(since time.Duration) {
		s.mu.Lock()
		defer s.mu.Unlock()
		p.since = time.Now().Add(-since)
	}
	read := func() {
		if _, err := p.Read(make([]byte, 100)); err != nil {
			t.Error(err)
		}
	}
	waits(time.Hour)
	if p.evict() {
		t.Error("evicted with what was read before")
	}
	read()
	client.say(" / HTTP/1.1")
	eventually(t, "it arrives", func() bool { return loop.Unread(nc) })
	if p.evict() {
		t.Error("evicted with something in its socket")
	}
	read()
	waits(longestTurn / 2)
	p.read.Store(time.Now().Add(time.Hour).UnixNano())
	if p.evict() {
		t.Error("evicted with what was read a moment ago")
	}
	p.read.Store(0)
	waits(0)
	if p.evict() {
		t.Error("evicted before its turn")
	}
	waits(time.Hour)
	p.read.Store(time.Now().UnixNano())
	if !p.evict() || p.evict() {
		t.Error("one who says a little again and again was not evicted once")
	}
	client.ends()
}

// TestEvict: a port that is full makes room for a newcomer by closing who has never
// sent anything good, first of all who has said nothing.
func TestEvict(t *testing.T) {
	var bounds counts
	l := newLater()
	s, addr := start(t, Config{Handler: l, Bounds: &bounds, Proves: func(r *http.Request) Proof {
		switch {
		case r.Method == http.MethodPost:
			return Sender
		case r.URL.Path == "/now":
			return Client
		}
		return Nothing
	}})
	const chunked = "Host: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" // for net/http
	connect := func(say string) *peer {
		p := dial(t, addr)
		p.say(say)
		return p
	}
	answered := func(say string) *peer {
		p := connect(say)
		p.hear()
		return p
	}
	senders := []*peer{
		answered("POST /now HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"),
		answered("POST /now HTTP/1.1\r\n" + chunked),
	}
	quiet := []*peer{connect(""), connect("GET /now HT"), connect("POST /now HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nx")}
	clients := []*peer{answered(getNow), answered("GET /now HTTP/1.1\r\n" + chunked), connect(plainGet)}
	<-l.pending
	count := func(client bool) (n int) {
		for _, c := range s.Candidates(5) {
			if c.Client == client {
				n++
			}
		}
		return n
	}
	eventually(t, "all are candidates but senders", func() bool { return count(false) == len(quiet) && count(true) == len(clients) })
	if len(s.Candidates(6)) > 0 {
		t.Error("candidates of a room where nobody is")
	}
	bounds.server = s
	bounds.full.Store(true)
	for _, going := range [][]*peer{quiet, clients} { // in whatever order among themselves
		for range going {
			newcomer := dial(t, addr)
			newcomer.say("POST /now HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
			newcomer.hear()
		}
		for _, p := range going {
			p.ends()
		}
	}
	dial(t, addr).ends() // nobody can be evicted any more
	for _, p := range senders {
		p.say(getNow)
		p.hear()
	}
}

// TestSlowHead: the time for a head is from its first byte on, however often more of
// it arrives, and begins anew with the next one.
func TestSlowHead(t *testing.T) {
	const limit = time.Second
	_, addr := start(t, Config{Handler: newLater(), HeadTimeout: limit})
	p, stalled := dial(t, addr), stalltest.Watch(t)
	for range 4 { // in time, all together not
		before := stalled()
		if err := slowly(p, getNow, limit*3/10); err != nil {
			if lost := stalled() - before; lost < limit/2 {
				t.Fatalf("a head that took %v is answered: %v", limit*3/10+lost, err)
			}
			p = dial(t, addr) // this process was too late
		}
	}
	began, before := time.Now(), stalled()
	for time.Since(began) < patience {
		if _, err := p.Write([]byte("G")); err != nil {
			break
		}
		time.Sleep(limit / 30)
	}
	if took := time.Since(began); took < limit || took > 3*limit+stalled()-before {
		t.Errorf("a head that did not end was waited for %v, and may take %v", took, limit)
	}
}

// slowly sends a request of which the rest comes later, and reads the answer.
func slowly(p *peer, request string, later time.Duration) error {
	if _, err := io.WriteString(p, request[:10]); err != nil {
		return err
	}
	time.Sleep(later)
	if _, err := io.WriteString(p, request[10:]); err != nil {
		return err
	}
	res, err := http.ReadResponse(p.r, nil)
	if err == nil {
		_, err = io.Copy(io.Discard, res.Body)
	}
	return err
}

// TestUnread: requests are not served while their answers are not read, and all of them
// are once they are.
func TestUnread(t *testing.T) {
	var served atomic.Int64
	answer := strings.Repeat("a", 1000)
	_, addr := start(t, Config{MaxAnswer: 8 << 20, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		served.Add(1)
		_, _ = io.WriteString(w, answer)
	})})
	const n = 60_000 // 60 MB of answers: more than kernels hold
	p := dial(t, addr)
	_ = p.SetDeadline(time.Now().Add(2 * patience)) // they take a while
	sent := make(chan error, 1)
	go func() { // ends with the requests, or with p
		_, err := io.WriteString(p, strings.Repeat(getNow, n))
		sent <- err
	}()
	var before int64
	eventually(t, "no more is served", func() bool {
		now := served.Load()
		same := now == before && now > 0
		before = now
		time.Sleep(3 * lookLast)
		return same
	})
	if before > n/2 {
		t.Errorf("%d of %d requests were served while no answer was read", before, n)
	}
	for range n {
		if _, body := p.hear(); body != answer {
			t.Fatalf("an answer of %d bytes", len(body))
		}
	}
	if err := <-sent; err != nil || served.Load() != n {
		t.Errorf("%d served, %v", served.Load(), err)
	}
}

// TestInput: what has arrived of requests that are not whole is bounded.
func TestInput(t *testing.T) {
	input := quota.New(100 << 10)
	_, addr := start(t, Config{Handler: newLater(), Input: input})
	const whole = 20 << 10
	text := fmt.Sprintf("POST /now HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", whole, strings.Repeat("x", whole))
	first, second := dial(t, addr), dial(t, addr)
	first.say(text[:whole])
	eventually(t, "input is counted", func() bool { return input.Used() >= whole })
	second.say(text[:whole]) // an address has a fourth
	second.ends()
	first.say(text[whole:])
	if _, body := first.hear(); body != fmt.Sprintf("now %d", whole) {
		t.Errorf("got %q", body)
	}
	if input.Used() != 0 {
		t.Errorf("%d bytes are counted for nobody", input.Used())
	}
}

// TestInputOfServed: what is being served on a goroutine counts as it did before, and
// there is a bound for what came whole at once too.
func TestInputOfServed(t *testing.T) {
	input := quota.New(100 << 10)
	begun, answer := make(chan struct{}), make(chan struct{})
	var shed atomic.Int64
	_, addr := start(t, Config{Input: input, Where: everything(Separately),
		Shed: func(netip.Addr, int) bool { shed.Add(1); return false },
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			begun <- struct{}{}
			<-answer
		})})
	const whole = 20 << 10
	text := fmt.Sprintf("POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", whole, strings.Repeat("x", whole))
	for _, pieces := range [][]string{{text}, {text[:whole/2], text[whole/2:]}} {
		first, second := dial(t, addr), dial(t, addr)
		first.say(pieces[0])
		for _, piece := range pieces[1:] {
			eventually(t, "the beginning is counted", func() bool { return input.Used() >= int64(len(pieces[0])) })
			first.say(piece)
		}
		<-begun
		if used := input.Used(); used < whole || used > whole+200 {
			t.Errorf("%d bytes are counted of %d", used, whole)
		}
		second.say(text) // an address has a fourth
		second.ends()
		answer <- struct{}{}
		first.hear()
		eventually(t, "nothing is counted any more", func() bool { return input.Used() == 0 })
	}
	if shed.Load() != 0 {
		t.Errorf("others were asked %d times to give room to an address that has its share", shed.Load())
	}
	if !input.Take(netip.Addr{}, 20<<10, 60<<10) {
		t.Fatal("no room")
	}
	last := dial(t, addr)
	last.say(text)
	last.ends()
	if shed.Load() != 1 {
		t.Errorf("others were asked %d times for room", shed.Load())
	}
}

// TestBehind: who sends on and on behind a request that is being served is not read
// for a while, and nothing is lost.
func TestBehind(t *testing.T) {
	for _, place := range []Where{Here, Separately} {
		l := newLater()
		_, addr := start(t, Config{Handler: l, Where: everything(place)})
		p := dial(t, addr)
		p.say(plainGet)
		first := <-l.pending
		const n = 2000
		post := "POST /now HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n" + strings.Repeat("x", 1000)
		go io.WriteString(p, strings.Repeat(post, n)) // ends with the connection
		time.Sleep(50 * time.Millisecond)
		first.Answer([]byte("one"))
		p.hear()
		for i := range n {
			if _, body := p.hear(); body != "now 1000" {
				t.Fatalf("%d: got %q", i, body)
			}
		}
	}
}

// TestAside: a handler that has to wait is called again where it may.
func TestAside(t *testing.T) {
	_, addr := start(t, Config{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if Aside(w) {
			return
		}
		time.Sleep(time.Millisecond)
		body, _ := io.ReadAll(r.Body)
		_, _ = w.Write(body)
	})})
	p := dial(t, addr)
	for i := range 20 {
		p.say(fmt.Sprintf("POST /%d HTTP/1.1\r\nHost: h\r\nContent-Length: 300\r\n\r\n%0300d", i, i))
		if i%2 == 0 {
			continue // two at once
		}
		for _, want := range []int{i - 1, i} {
			if _, body := p.hear(); body != fmt.Sprintf("%0300d", want) {
				t.Fatalf("%d: got %q", i, body)
			}
		}
	}
}
