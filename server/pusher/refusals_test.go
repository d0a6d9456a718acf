package pusher

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"poosh/server/loop"
	"poosh/server/quota"
)

// TestUnknownErrorIsLogged has an error that no status was thought of for: the
// client learns nothing, the log everything, in one line.
func TestUnknownErrorIsLogged(t *testing.T) {
	var log logBuffer
	d := &Dialect{log: slog.New(slog.NewTextHandler(&log, nil))}
	w := httptest.NewRecorder()
	d.fail(w, fmt.Errorf("counting: %w", errors.New("the abacus is broken")))
	if w.Code != 500 || strings.Contains(w.Body.String(), "abacus") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "level=ERROR") || !strings.Contains(text, "counting: the abacus is broken") {
		t.Errorf("logged %q", text)
	}
	d.fail(httptest.NewRecorder(), errNoApp)
	if text := log.String(); strings.Count(text, "\n") != 1 {
		t.Errorf("logged %q", text)
	}
}

// A crowded connection is one of a network that has too many.
type crowded struct{ *httptest.ResponseRecorder }

func (crowded) Upgrade(netip.Addr) (*loop.Conn, []byte, error) {
	return nil, nil, loop.ErrTooMany
}

// TestTooManyOfOneNetwork has the loop take no connection more.
func TestTooManyOfOneNetwork(t *testing.T) {
	s := newSite(t, Config{})
	for _, path := range []string{"/app/" + testKey, "/app/unknown"} {
		r := httptest.NewRequest("GET", path, nil)
		r.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}}
		w := crowded{httptest.NewRecorder()}
		s.d.ServeHTTP(w, r)
		if w.Code != 429 || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), `"code":"rate_limited"`) {
			t.Errorf("%s: %d %v %s", path, w.Code, w.Header(), w.Body)
		}
	}
	if st := s.d.Stats(); st.Connections != 0 || st.Counts["connect refused 429"] != 2 {
		t.Errorf("%+v", st)
	}
}

// TestNoRoomForABody has the bytes that all requests share be used up.
func TestNoRoomForABody(t *testing.T) {
	s := newSite(t, Config{})
	const body = `{"name":"e","channel":"c","data":"1"}`
	q := quota.New(8)
	r := httptest.NewRequest("POST", sign("POST", "/apps/"+testID+"/events", nil, body), nil)
	r.Body = q.Reader(io.NopCloser(strings.NewReader(body)), netip.Addr{})
	w := httptest.NewRecorder()
	s.d.ServeHTTP(w, r)
	if w.Code != 503 || w.Header().Get("Retry-After") != "1" || !strings.Contains(w.Body.String(), "too much input") {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
}

// TestRefusalsAreCounted causes each refusal once and looks for its count.
func TestRefusalsAreCounted(t *testing.T) {
	app := testApp()
	app.Watchlist, app.APIRate, app.ConnectRate = true, Rate{1, time.Hour}, Rate{2, time.Hour}
	s := newSite(t, Config{Apps: []App{app}, APIRate: Rate{2, time.Hour}, ConnectRate: Rate{3, time.Hour}})
	p := s.dial()
	for _, text := range []string{
		`x`, `{"event":"dance"}`, `{"event":"pusher:subscribe","data":{"channel":"a b"}}`, `{"event":"pusher:unsubscribe","data":{"channel":"c"}}`,
		`{"event":"pusher:signin","data":{}}`, `{"event":"client-x","channel":"c","data":1}`,
	} {
		p.send(text)
	}
	p.signIn(`{"id":"1","watchlist":["` + strings.Repeat(`x","`, 100) + `y"]}`)
	eventually(t, "the sign-in", func() bool { return s.d.Stats().Counts["sign-in"] == 1 })
	for range 3 { // taken, over the app's rate, over the address's
		s.call("GET", "/channels", nil, "")
	}
	connect := func() int {
		r, _ := http.NewRequest("GET", s.server.URL+"/app/"+testKey, nil)
		r.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"bad"}}
		resp, err := s.server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	for _, want := range []int{400, 429, 429} { // a bad key, over the app's rate, over the address's
		if got := connect(); got != want {
			t.Errorf("connect gives %d, want %d", got, want)
		}
	}
	counts := s.d.Stats().Counts
	for name, want := range map[string]uint64{
		"message refused": 2, "subscribe refused": 1, "unsubscribe refused": 1, "sign-in refused": 1, "client event refused": 1, "watchlist cut": 1,
		"rate limited api app": 1, "rate limited api address": 1, "rate limited connect app": 1, "rate limited connect address": 1,
		"connect refused 400": 1, "connect refused 429": 2, "api 200": 1, "api 429": 4, "api 400": 1, "connect": 1,
	} {
		if counts[name] != want {
			t.Errorf("%s: %d, want %d", name, counts[name], want)
		}
	}
}
