package pusher_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"poosh/server/logtest"
	"poosh/server/loop"
	"poosh/server/pusher"
	"poosh/server/pusher/protocol"
	"poosh/server/pusher/pushertest"
	"poosh/server/quota"
)

// A crowded connection is one of a network that has too many.
type crowded struct{ *httptest.ResponseRecorder }

func (crowded) Upgrade(netip.Addr) (*loop.Conn, []byte, error) {
	return nil, nil, loop.ErrTooMany
}

// TestTooManyOfOneNetwork has the loop take no connection more.
func TestTooManyOfOneNetwork(t *testing.T) {
	s := pushertest.New(t, pusher.Config{})
	for _, path := range []string{"/app/" + pushertest.Key, "/app/unknown"} {
		r := httptest.NewRequest("GET", path, nil)
		r.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}}
		w := crowded{httptest.NewRecorder()}
		s.Dialect.ServeHTTP(w, r)
		if w.Code != 429 || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), `"code":"rate_limited"`) {
			t.Errorf("%s: %d %v %s", path, w.Code, w.Header(), w.Body)
		}
	}
	if st := s.Dialect.Stats(); st.Connections != 0 || st.Counts["connect refused 429"] != 2 {
		t.Errorf("%+v", st)
	}
}

// TestNoRoomForABody has the bytes that all requests share be used up.
func TestNoRoomForABody(t *testing.T) {
	s := pushertest.New(t, pusher.Config{})
	const body = `{"name":"e","channel":"c","data":"1"}`
	q := quota.New(8)
	r := httptest.NewRequest("POST", pushertest.Sign("POST", "/apps/"+pushertest.ID+"/events", nil, body), nil)
	r.Body = q.Reader(io.NopCloser(strings.NewReader(body)), netip.Addr{})
	w := httptest.NewRecorder()
	s.Dialect.ServeHTTP(w, r)
	if w.Code != 503 || w.Header().Get("Retry-After") != "1" || !strings.Contains(w.Body.String(), "too much input") {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
}

// TestRefusalsAreCounted causes each refusal once and looks for its count.
func TestRefusalsAreCounted(t *testing.T) {
	pushertest.Alone(t, "it looks at what one has counted")
	app := pushertest.App()
	app.Watchlist, app.APIRate, app.ConnectRate = true, pusher.Rate{Limit: 1, Per: time.Hour}, pusher.Rate{Limit: 2, Per: time.Hour}
	s := pushertest.New(t, pusher.Config{Apps: []pusher.App{app}, APIRate: pusher.Rate{Limit: 2, Per: time.Hour}, ConnectRate: pusher.Rate{Limit: 3, Per: time.Hour}})
	p := s.Dial()
	for _, text := range []string{
		`x`, `{"event":"dance"}`, `{"event":"pusher:subscribe","data":{"channel":"a b"}}`, `{"event":"pusher:unsubscribe","data":{"channel":"c"}}`,
		`{"event":"pusher:signin","data":{}}`, `{"event":"client-x","channel":"c","data":1}`,
	} {
		p.Send(text)
	}
	p.SignIn(`{"id":"1","watchlist":["` + strings.Repeat(`x","`, 100) + `y"]}`)
	pushertest.Eventually(t, "the sign-in", func() bool { return s.Dialect.Stats().Counts["sign-in"] == 1 })
	for range 3 { // taken, over the app's rate, over the address's
		s.Call("GET", "/channels", nil, "")
	}
	connect := func() int {
		r, _ := http.NewRequest("GET", s.Server.URL+"/app/"+pushertest.Key, nil)
		r.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"bad"}}
		resp, err := s.Server.Client().Do(r)
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
	for _, l := range s.Dialect.Limits() {
		if l.Over != 1 || l.Asked <= l.Over || !l.On {
			t.Errorf("the limit on %s of an %s: %+v", l.Of, l.By, l)
		}
	}
	counts := s.Dialect.Stats().Counts
	for name, want := range map[string]uint64{
		"message refused": 2, "subscribe refused": 1, "unsubscribe refused": 1, "sign-in refused": 1, "client event refused": 1, "watchlist cut": 1,
		"connect refused 400": 1, "connect refused 429": 2, "api 200": 1, "api 429": 4, "api 400": 1, "connect": 1,
	} {
		if counts[name] != want {
			t.Errorf("%s: %d, want %d", name, counts[name], want)
		}
	}
}

// TestEndsAreCounted has connections end for different reasons, each of which is
// counted once and told to the log: what it was closed for, or else what the loop says.
func TestEndsAreCounted(t *testing.T) {
	var log logtest.Buffer
	s := pushertest.NewLogged(t, pusher.Config{MaxMessageBytes: 1000},
		slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	_ = s.Dial().WS.Close() // without a close frame
	big := s.Dial()
	big.Send(strings.Repeat("x", 1001))
	if code := big.Closed(); code != 1009 {
		t.Errorf("too big a message: closed with %d", code)
	}
	breach := s.Dial()
	if _, err := breach.WS.NetConn().Write([]byte{0x83, 0x80, 0, 0, 0, 0}); err != nil { // a reserved opcode
		t.Fatal(err)
	}
	breach.Closed()
	user := s.Dial()
	user.SignIn(`{"id":"1"}`)
	user.Read()
	if status, text := s.Call("POST", "/users/1/terminate_connections", nil, "{}"); status != 200 {
		t.Errorf("%d %s", status, text)
	}
	if code := user.Closed(); code != protocol.CodeUnauthorized {
		t.Errorf("terminated: closed with %d", code)
	}
	pushertest.Eventually(t, "all to be gone", func() bool { return s.Dialect.Stats().Connections == 0 })
	counts := s.Dialect.Stats().Ended
	for name, want := range map[string]uint64{
		"transport close": 1, "message too big": 1, "protocol error": 1, "ended by the app": 1, "closed by server": 0,
	} {
		if counts[name] != want {
			t.Errorf("%s: %d, want %d", name, counts[name], want)
		}
	}
	for _, p := range []*pushertest.Peer{big, breach, user} {
		if n := strings.Count(log.String(), `msg="connection closed" dialect=pusher app=`+pushertest.ID+" socket="+p.SocketID+" "); n != 1 {
			t.Errorf("%s: %d lines", p.SocketID, n)
		}
	}
	if !strings.Contains(log.String(), `reason="message too big"`) || !strings.Contains(log.String(), `reason="ended by the app"`) {
		t.Errorf("logged %s", log.String())
	}
}
