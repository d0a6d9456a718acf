package admin

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"poosh/server/route"
)

func allParts() Parts {
	p := everything().parts
	p.Connection = func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, route.Param(r, "id")) }
	p.Send = func(w http.ResponseWriter, r *http.Request) bool {
		body, _ := io.ReadAll(r.Body)
		if string(body) == "wrong" {
			w.WriteHeader(http.StatusForbidden)
		}
		return string(body) == "wrong"
	}
	return p
}

// Every path of the API wants what the port wants: a token, and no page of elsewhere.
func TestAPIWantsToken(t *testing.T) {
	r := run(t, Config{Token: testToken}, allParts())
	for path, operations := range described(t).Paths {
		if !strings.HasPrefix(path, "/api/") {
			continue
		}
		path = strings.ReplaceAll(path, "{id}", "1.1")
		for method := range operations {
			method = strings.ToUpper(method)
			if res, _ := r.ask(t, method, path, nil); res.StatusCode != 401 {
				t.Errorf("%s %s without a token: %s", method, path, res.Status)
			}
			if res, _ := r.ask(t, method, path, bearer("a-token-of-0perators-1")); res.StatusCode != 401 {
				t.Errorf("%s %s with a wrong one: %s", method, path, res.Status)
			}
			r.Server.tokens.right(&http.Request{RemoteAddr: "127.0.0.1:1"})
			foreign := func(req *http.Request) {
				bearer(testToken)(req)
				req.Header.Set("Sec-Fetch-Site", "cross-site")
				req.Header.Set("Origin", "https://evil.example")
			}
			if res, _ := r.ask(t, method, path, foreign); res.StatusCode != 403 {
				t.Errorf("%s %s from a page of elsewhere: %s", method, path, res.Status)
			}
			if res, body := r.ask(t, method, path, bearer(testToken)); res.StatusCode != 200 {
				t.Errorf("%s %s: %s %s", method, path, res.Status, body)
			}
		}
	}
}

// A parameter that is not known is a mistake that is told.
func TestUnknownParameters(t *testing.T) {
	r := run(t, Config{Token: testToken}, allParts())
	for path, status := range map[string]int{
		"/api/rooms?limit=1": 200, "/api/rooms?limits=1": 400, "/api/rooms?limit=1&limit=2": 400, "/api/overview?x": 400, "/api/top?limit=%zz": 400,
		"/api/tail?room=a&payload=1": 200, "/api/tail?rooms=a": 400, "/api/openapi.json?x=1": 400,
	} {
		if res, body := r.ask(t, "GET", path, bearer(testToken)); res.StatusCode != status || status == 400 && !strings.Contains(body, `{"error":"`) {
			t.Errorf("%s: %s %s", path, res.Status, body)
		}
	}
	// An id may have anything in it.
	for _, id := range []string{"123.456", "a/b", "%", "é ?#", "..", "a%2Fb"} {
		if res, body := r.ask(t, "GET", "/api/connections/"+url.PathEscape(id), bearer(testToken)); res.StatusCode != 200 || body != id {
			t.Errorf("%q: %s %q", id, res.Status, body)
		}
	}
}

// A path of many forms is no way around the token of another one.
func TestEscapedPaths(t *testing.T) {
	r := run(t, Config{Token: testToken}, allParts())
	for _, path := range []string{"/%6cive", "/api%2foverview", "/live/../api/overview", "/live%2f..%2fapi/overview", "//live"} {
		res, body := r.ask(t, "GET", path, func(req *http.Request) { req.URL.Opaque = "http://" + r.addr + path })
		if res.StatusCode == 200 {
			t.Errorf("%s: %s %s", path, res.Status, body)
		}
	}
}

// Without ADMIN_TOKEN nobody sends from here.
func TestSendWantsToken(t *testing.T) {
	r := run(t, Config{}, allParts())
	if res, body := r.ask(t, "POST", "/api/send", nil); res.StatusCode != 403 || !strings.Contains(body, "ADMIN_TOKEN") {
		t.Errorf("%s %s", res.Status, body)
	}
}

// An id of a client may be all that its session asks for, so without ADMIN_TOKEN nobody is
// told of one.
func TestIdsWantToken(t *testing.T) {
	open, guarded := run(t, Config{}, allParts()), run(t, Config{Token: testToken}, allParts())
	for path, status := range map[string]int{
		"/api/rooms?own=1": 403, "/api/rooms/one?dialect=pusher&app=1&room=a": 403,
		"/api/connections/1.1": 403, "/api/left": 403, "/api/slow": 403, "/api/slow?limit=5": 403, "/api/tail": 200, "/api/tail?payload=1": 403,
		"/api/rooms": 200, "/api/rooms?search=a&own=0": 200, "/api/top": 200, "/api/overview": 200, "/api/stream": 200, "/api/series": 200, "/api/openapi.json": 200,
	} {
		if res, body := open.ask(t, "GET", path, nil); res.StatusCode != status || status == 403 && !strings.Contains(body, "with ADMIN_TOKEN alone") {
			t.Errorf("%s: %s %s", path, res.Status, body)
		}
		if res, body := guarded.ask(t, "GET", path, bearer(testToken)); res.StatusCode != 200 {
			t.Errorf("%s with the token: %s %s", path, res.Status, body)
		}
	}
}

// Without ADMIN_TOKEN nobody ends the process from here, nor has it read its settings again.
func TestDrainAndReloadWantToken(t *testing.T) {
	parts := allParts()
	parts.Drain = func(http.ResponseWriter, *http.Request) { t.Error("it is asked") }
	parts.Reload = parts.Drain
	r := run(t, Config{}, parts)
	for _, path := range []string{"/api/drain", "/api/reload"} {
		if res, body := r.ask(t, "POST", path, nil); res.StatusCode != 403 || !strings.Contains(body, "ADMIN_TOKEN") {
			t.Errorf("%s: %s %s", path, res.Status, body)
		}
	}
}

// Another token counts at once, and the one before no more.
func TestSetToken(t *testing.T) {
	r := run(t, Config{Token: testToken}, allParts())
	const next = "another-token-of-operators"
	r.Server.SetToken(next)
	r.Server.SetToken("") // changes nothing
	for token, want := range map[string]int{testToken: 401, next: 200} {
		if res, _ := r.ask(t, "GET", "/api/top", bearer(token)); res.StatusCode != want {
			t.Errorf("%s: %s, want %d", token, res.Status, want)
		}
	}
}

// Guessing secrets is slowed down with guessing tokens, and not the sending of events.
func TestWrongSecretsAreSlowedDown(t *testing.T) {
	parts := allParts()
	parts.Proxies = loopback
	r := run(t, Config{Token: testToken}, parts)
	send := func(from, body string) *http.Response {
		req, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+r.addr+"/api/send", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Close = true
		bearer(testToken)(req)
		req.Header.Set("X-Forwarded-For", from)
		res, err := (&http.Client{Timeout: patience}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		return res
	}
	for range 3 * wrongOfAddress.Limit {
		if res := send("192.0.2.1", "right"); res.StatusCode != 200 {
			t.Fatalf("who is right is slowed down: %s", res.Status)
		}
	}
	for i := range wrongOfAddress.Limit {
		if res := send("192.0.2.1", "wrong"); res.StatusCode != 403 {
			t.Fatalf("number %d: %s", i, res.Status)
		}
	}
	if res := send("192.0.2.1", "right"); res.StatusCode != 429 || res.Header.Get("Retry-After") == "" {
		t.Errorf("after too many: %s", res.Status)
	}
	if res := send("192.0.2.2", "right"); res.StatusCode != 200 {
		t.Errorf("another address: %s", res.Status)
	}
	// It is one bound with that of tokens.
	if res, _ := r.ask(t, "GET", "/api/top", func(req *http.Request) {
		bearer(testToken)(req)
		req.Header.Set("X-Forwarded-For", "192.0.2.1")
	}); res.StatusCode != 429 {
		t.Errorf("the token is looked at: %s", res.Status)
	}
}
