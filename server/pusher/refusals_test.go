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

	"poosh/server/quota"
	"poosh/server/wire"
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

func (crowded) Upgrade(netip.Addr) (*wire.Conn, []byte, error) { return nil, nil, wire.ErrTooMany }

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
	app.Watchlist, app.APIRate, app.ConnectRate = true, Rate{Limit: 1, Per: time.Hour}, Rate{Limit: 2, Per: time.Hour}
	s := newSite(t, Config{Apps: []App{app}, APIRate: Rate{Limit: 2, Per: time.Hour}, ConnectRate: Rate{Limit: 3, Per: time.Hour}})
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

// TestEndsAreCounted has connections end for different reasons, each of which is
// counted once and told to the log: by a code when the server closes with one, by
// what the loop says otherwise.
func TestEndsAreCounted(t *testing.T) {
	var log logBuffer
	s := newSite(t, Config{MaxMessageBytes: 1000}, func(d *Dialect) {
		d.log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	_ = s.dial().ws.Close() // without a close frame
	big := s.dial()
	big.send(strings.Repeat("x", 1001))
	if code := big.closed(); code != 1009 {
		t.Errorf("too big a message: closed with %d", code)
	}
	breach := s.dial()
	if _, err := breach.ws.NetConn().Write([]byte{0x83, 0x80, 0, 0, 0, 0}); err != nil { // a reserved opcode
		t.Fatal(err)
	}
	breach.closed()
	user := s.dial()
	user.signIn(`{"id":"1"}`)
	user.read()
	if status, text := s.call("POST", "/users/1/terminate_connections", nil, "{}"); status != 200 {
		t.Errorf("%d %s", status, text)
	}
	if code := user.closed(); code != codeUnauthorized {
		t.Errorf("terminated: closed with %d", code)
	}
	eventually(t, "all to be gone", func() bool { return s.d.Stats().Connections == 0 })
	counts := s.d.Stats().Counts
	for name, want := range map[string]uint64{
		"ended transport close": 1, "ended message too big": 1, "ended protocol error": 1, "close 4009": 1, "ended closed by server": 0,
	} {
		if counts[name] != want {
			t.Errorf("%s: %d, want %d", name, counts[name], want)
		}
	}
	for _, p := range []*peer{big, breach, user} {
		if n := strings.Count(log.String(), `msg="connection closed" app=`+testID+" socket="+p.socketID+" "); n != 1 {
			t.Errorf("%s: %d lines", p.socketID, n)
		}
	}
	if !strings.Contains(log.String(), `reason="message too big"`) || !strings.Contains(log.String(), `reason="closed by server"`) {
		t.Errorf("logged %s", log.String())
	}
}
