package admin

import (
	"context"
	"encoding/base64"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"poosh/server/peers"
	"poosh/server/setting"
)

const (
	testToken = "a-token-of-operators"
	patience  = 30 * time.Second
)

// loopback is believed about whom a request is from.
var loopback = peers.Proxies{netip.MustParsePrefix("127.0.0.0/8")}

var discard = slog.New(slog.DiscardHandler)

// running is a port under test.
type running struct {
	*Server
	addr  string
	ended chan error
}

// run starts a port on loopback whose number the system chooses.
func run(t *testing.T, cfg Config, parts Parts) *running {
	t.Helper()
	cfg.Port = setting.AnyPort
	if cfg.Host == "" {
		cfg.Host = "127.0.0.1"
	}
	if parts.Log == nil {
		parts.Log = discard
	}
	ok := func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }
	if parts.Live == nil {
		parts.Live, parts.Ready = ok, ok
	}
	r := &running{Server: New(cfg, parts), ended: make(chan error, 1)}
	if err := r.Listen(); err != nil {
		t.Fatal(err)
	}
	r.addr = r.Addr().String()
	go func() { r.ended <- r.Serve() }() // ends with Close
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		r.Close(ctx)
		if err := <-r.ended; err != nil {
			t.Error(err)
		}
	})
	return r
}

// ask sends one request on a connection of its own and returns the answer, with its
// body read.
func (r *running) ask(t *testing.T, method, path string, change func(*http.Request)) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, "http://"+r.addr+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	if change != nil {
		change(req)
	}
	res, err := (&http.Client{Timeout: patience}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func basic(token string) func(*http.Request) {
	return header("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("anybody:"+token)))
}

func bearer(token string) func(*http.Request) { return header("Authorization", "Bearer "+token) }

// The port with a token: who gets in, and what those are told who do not.
func TestToken(t *testing.T) {
	var log strings.Builder
	r := run(t, Config{Token: testToken}, Parts{Log: slog.New(slog.NewTextHandler(&log, nil))})
	for name, row := range map[string]struct {
		path   string
		change func(*http.Request)
		status int
	}{
		"none":              {"/nothing", nil, 401},
		"wrong bearer":      {"/nothing", bearer("a-token-of-0perators"), 401},
		"wrong Basic":       {"/nothing", basic("a-token-of-0perators"), 401},
		"a part":            {"/nothing", bearer(testToken[:10]), 401},
		"empty":             {"/nothing", bearer(""), 401},
		"no base64":         {"/nothing", header("Authorization", "Basic %"), 401},
		"another scheme":    {"/nothing", header("Authorization", "Digest "+testToken), 401},
		"as user":           {"/nothing", header("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(testToken+":"))), 401},
		"bearer":            {"/nothing", bearer(testToken), 404},
		"Basic":             {"/nothing", basic(testToken), 404},
		"in the query":      {"/nothing?token=" + testToken, nil, 401},
		"a probe, none":     {"/live", nil, 200},
		"a probe, wrong":    {"/ready", bearer("wrong"), 200},
		"a probe, right":    {"/ready", bearer(testToken), 200},
		"like a probe":      {"/live/", nil, 401},
		"like another one":  {"//live", nil, 401},
		"another host name": {"/nothing", func(r *http.Request) { bearer(testToken)(r); r.Host = "poosh.example" }, 404},
	} {
		res, body := r.ask(t, "GET", row.path, row.change)
		if res.StatusCode != row.status {
			t.Errorf("%s: %d %s, want %d", name, res.StatusCode, body, row.status)
		}
		if asks := strings.Join(res.Header.Values("WWW-Authenticate"), ", "); (res.StatusCode == 401) != (asks == `Basic realm="poosh", charset="UTF-8", Bearer`) {
			t.Errorf("%s: it asks for %q", name, asks)
		}
	}
	if !strings.Contains(log.String(), "wrong token") || strings.Contains(log.String(), "perators\n") || strings.Contains(log.String(), "0perators") || strings.Contains(log.String(), testToken) {
		t.Errorf("the log has %q", log.String())
	}
}

// Every answer tells browsers to keep it to itself.
func TestHeaders(t *testing.T) {
	r := run(t, Config{Token: testToken}, Parts{})
	for _, path := range []string{"/live", "/nothing"} {
		res, _ := r.ask(t, "GET", path, nil)
		for name, want := range map[string]string{
			"Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
			"X-Content-Type-Options":  "nosniff",
			"Cache-Control":           "no-store",
			"Referrer-Policy":         "no-referrer",
			"X-Frame-Options":         "DENY",
		} {
			if got := res.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
	}
}

// Without a token the port has the names of this machine alone: a page that lets its own
// name stand for 127.0.0.1 sends that name.
func TestRebinding(t *testing.T) {
	r := run(t, Config{Host: "127.0.0.2"}, Parts{})
	_, port, _ := net.SplitHostPort(r.addr)
	for host, status := range map[string]int{
		"localhost:" + port: 404, "LocalHost": 404, "localhost.": 404, "127.0.0.1:" + port: 404, "[::1]:" + port: 404, "127.0.0.2": 404,
		"evil.example:" + port: 403, "127.0.0.1.evil.example": 403, "localhost.evil.example": 403, "127.0.0.3": 403, "0.0.0.0:" + port: 403, "[::ffff:127.0.0.1]": 403,
	} {
		if res, body := r.ask(t, "GET", "/nothing", func(r *http.Request) { r.Host = host }); res.StatusCode != status {
			t.Errorf("%s: %d %s, want %d", host, res.StatusCode, body, status)
		}
	}
	if res, _ := r.ask(t, "GET", "/live", func(r *http.Request) { r.Host = "evil.example" }); res.StatusCode != 403 {
		t.Errorf("a probe under another name: %d", res.StatusCode)
	}
}

// Pages of others may not ask, with or without what a browser knows.
func TestCrossOrigin(t *testing.T) {
	for _, token := range []string{"", testToken} {
		r := run(t, Config{Token: token}, Parts{})
		for name, row := range map[string]struct {
			method, path string
			headers      map[string]string
			refused      bool
		}{
			"no browser":           {"GET", "/nothing", nil, false},
			"typed":                {"GET", "/nothing", map[string]string{"Sec-Fetch-Site": "none"}, false},
			"our own page":         {"POST", "/nothing", map[string]string{"Sec-Fetch-Site": "same-origin", "Origin": "http://" + r.addr}, false},
			"behind TLS":           {"POST", "/nothing", map[string]string{"Origin": "https://" + r.addr}, false},
			"another page":         {"GET", "/nothing", map[string]string{"Sec-Fetch-Site": "cross-site"}, true},
			"another port":         {"GET", "/nothing", map[string]string{"Sec-Fetch-Site": "same-site"}, true},
			"an old browser":       {"POST", "/nothing", map[string]string{"Origin": "http://evil.example"}, true},
			"a file":               {"POST", "/nothing", map[string]string{"Origin": "null"}, true},
			"another port, old":    {"POST", "/nothing", map[string]string{"Origin": "http://127.0.0.1:1"}, true},
			"a link":               {"GET", "/", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, false},
			"a link elsewhere":     {"POST", "/api/bundle", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, true},
			"a frame":              {"GET", "/", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}, true},
			"a form of another":    {"POST", "/", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, true},
			"a probe from a page":  {"GET", "/ready", map[string]string{"Sec-Fetch-Site": "cross-site"}, true},
			"an origin of nothing": {"GET", "/nothing", map[string]string{"Origin": "%"}, true},
		} {
			res, body := r.ask(t, row.method, row.path, func(r *http.Request) {
				bearer(testToken)(r)
				for name, value := range row.headers {
					r.Header.Set(name, value)
				}
			})
			if refused := res.StatusCode == 403; refused != row.refused {
				t.Errorf("token %q, %s: %d %s", token, name, res.StatusCode, body)
			}
		}
	}
}

// What goes on ends when another token counts than that which has opened it, and not when the
// same one is set again.
func TestReplacedToken(t *testing.T) {
	goesOn := func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(200)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
	r := run(t, Config{Token: testToken}, Parts{Tail: goesOn, Stream: goesOn})
	client := &http.Client{Timeout: patience}
	defer client.CloseIdleConnections()
	follow := func(path, token string) (ended chan error) {
		req, err := http.NewRequest("GET", "http://"+r.addr+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		bearer(token)(req)
		res, err := client.Do(req)
		if err != nil || res.StatusCode != 200 {
			t.Fatal(err, res)
		}
		ended = make(chan error, 1)
		go func() { // ends with the answer
			defer res.Body.Close()
			_, err := io.ReadAll(res.Body)
			ended <- err
		}()
		return ended
	}
	tail, stream := follow("/api/tail", testToken), follow("/api/stream", testToken)
	r.SetToken(testToken)
	select {
	case err := <-tail:
		t.Fatalf("it ends with its own token: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	const another = "another-token-of-operators"
	r.SetToken(another)
	for _, ended := range []chan error{tail, stream} {
		if err := <-ended; err != nil {
			t.Errorf("it goes on with a token that is none any more: %v", err)
		}
	}
	next := follow("/api/tail", another)
	r.SetToken(testToken)
	if err := <-next; err != nil {
		t.Error(err)
	}
}
