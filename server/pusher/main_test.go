package pusher

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"poosh/auth"
	"poosh/server/hub"
	"poosh/server/leaktest"
	"poosh/server/loop"
	ws "poosh/server/websocket"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

const patience = 10 * time.Second

// The app of most tests.
const (
	testID     = "3"
	testKey    = "278d425bdf160c739803"
	testSecret = "7ad3773142a6692b25b8"
)

func testApp() App {
	return App{ID: testID, Key: testKey, Secret: testSecret, ClientEvents: true}
}

// A site is a dialect behind an HTTP server.
type site struct {
	t      testing.TB
	d      *Dialect
	hub    *hub.Hub
	loop   *ws.Server
	server *httptest.Server
}

func newSite(t testing.TB, cfg Config) *site {
	t.Helper()
	if cfg.Apps == nil {
		cfg.Apps = []App{testApp()}
	}
	l, err := loop.New(loop.Config{})
	if err != nil {
		t.Fatal(err)
	}
	loop := ws.NewServer(l, ws.Config{})
	s := &site{t: t, hub: hub.New(), loop: loop}
	if s.d, err = New(cfg, s.hub, loop, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	s.server = httptest.NewServer(s.d)
	t.Cleanup(func() {
		s.server.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		if err := s.d.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		loop.Close()
		if st := s.d.Stats(); st.Connections != 0 || st.Channels != 0 {
			t.Errorf("left behind: %+v", st)
		}
		for _, a := range s.d.apps {
			if a.open != 0 || len(a.clients) != 0 || len(a.users.online) != 0 || len(a.users.watchers) != 0 || s.hub.Len(a.hubName) != 0 {
				t.Errorf("app %s: %d open, %d clients, %d users, %d watched, %d in the hub", a.conf.ID, a.open,
					len(a.clients), len(a.users.online), len(a.users.watchers), s.hub.Len(a.hubName))
			}
		}
	})
	return s
}

// A peer is a client that speaks the protocol frame by frame.
type peer struct {
	t        testing.TB
	ws       *websocket.Conn
	socketID string
}

// open connects without looking at what comes first.
func (s *site) open(path string, header http.Header) *peer {
	s.t.Helper()
	ws, resp, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(s.server.URL, "http")+path, header)
	if err != nil {
		if resp != nil {
			err = fmt.Errorf("%w: %s", err, resp.Status)
		}
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = ws.Close() })
	return &peer{t: s.t, ws: ws}
}

// dial connects to the test app.
func (s *site) dial() *peer {
	s.t.Helper()
	p := s.open("/app/"+testKey+"?protocol=7&client=js&version=8.4.0&flash=false", nil)
	p.established()
	return p
}

func (p *peer) established() {
	p.t.Helper()
	var data struct {
		SocketID        string `json:"socket_id"`
		ActivityTimeout int    `json:"activity_timeout"`
	}
	f := p.read()
	if f.Event != "pusher:connection_established" || json.Unmarshal([]byte(f.text()), &data) != nil ||
		!validSocketID(data.SocketID) || data.ActivityTimeout < 1 {
		p.t.Fatalf("first frame %s", f)
	}
	p.socketID = data.SocketID
}

// A frame is what a peer is sent.
type frame struct {
	raw     string
	Event   string          `json:"event"`
	Channel string          `json:"channel"`
	Data    json.RawMessage `json:"data"`
}

func (f frame) String() string { return f.raw }

// text is the string that data is.
func (f frame) text() string {
	var s string
	if json.Unmarshal(f.Data, &s) != nil {
		return "not a string: " + string(f.Data)
	}
	return s
}

func (p *peer) read() frame {
	p.t.Helper()
	_ = p.ws.SetReadDeadline(time.Now().Add(patience))
	_, data, err := p.ws.ReadMessage()
	if err != nil {
		p.t.Fatalf("reading: %v", err)
	}
	f := frame{raw: string(data)}
	if err := json.Unmarshal(data, &f); err != nil {
		p.t.Fatalf("%v in %q", err, data)
	}
	return f
}

func (p *peer) send(text string) {
	p.t.Helper()
	if err := p.ws.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		p.t.Fatal(err)
	}
}

// expect reads frames and compares them whole.
func (p *peer) expect(want ...string) {
	p.t.Helper()
	for _, w := range want {
		if got := p.read(); got.raw != w {
			p.t.Fatalf("received\n %s\nwant\n %s", got, w)
		}
	}
}

// quiet makes sure that nothing is on its way, by asking for a pong.
func (p *peer) quiet() {
	p.t.Helper()
	p.send(`{"event":"pusher:ping","data":{}}`)
	p.expect(`{"event":"pusher:pong","data":"{}"}`)
}

// closed waits for the connection's end and returns its code.
func (p *peer) closed() int {
	p.t.Helper()
	_ = p.ws.SetReadDeadline(time.Now().Add(patience))
	for {
		_, data, err := p.ws.ReadMessage()
		if err == nil {
			p.t.Logf("before the close: %s", data)
			continue
		}
		if ce, ok := err.(*websocket.CloseError); ok {
			return ce.Code
		}
		p.t.Fatalf("ended by %v", err)
	}
}

func quoted(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

// subscribe asks for a channel, with a signature where it needs one.
func (p *peer) subscribe(channel, channelData string) {
	p.t.Helper()
	data := `{"channel":` + quoted(channel)
	if kindOf(channel).private {
		text := p.socketID + ":" + channel
		if channelData != "" {
			text += ":" + channelData
			data += `,"channel_data":` + quoted(channelData)
		}
		data += `,"auth":"` + testKey + ":" + auth.PusherSign(testSecret, text) + `"`
	} else {
		data += `,"auth":""`
	}
	p.send(`{"event":"pusher:subscribe","data":` + data + `}}`)
}

// join subscribes and takes the confirmation.
func (p *peer) join(channels ...string) {
	p.t.Helper()
	for _, c := range channels {
		p.subscribe(c, "")
		p.expect(`{"event":"pusher_internal:subscription_succeeded","channel":"` + c + `","data":"{}"}`)
	}
}

func (p *peer) signIn(userData string) {
	p.t.Helper()
	token := testKey + ":" + auth.PusherSign(testSecret, p.socketID+"::user::"+userData)
	p.send(`{"event":"pusher:signin","data":{"auth":"` + token + `","user_data":` + quoted(userData) + `}}`)
}

// sign completes a request of the API.
func sign(method, path string, query url.Values, body string) string {
	q := []string{"auth_key=" + testKey, fmt.Sprintf("auth_timestamp=%d", time.Now().Unix()), "auth_version=1.0"}
	if body != "" {
		sum := md5.Sum([]byte(body))
		q = append(q, "body_md5="+hex.EncodeToString(sum[:]))
	}
	for k, v := range query {
		q = append(q, url.QueryEscape(k)+"="+url.QueryEscape(v[0]))
	}
	raw := strings.Join(q, "&")
	plain, _ := url.ParseQuery(raw)
	var keys []string
	for _, k := range []string{"auth_key", "auth_timestamp", "auth_version", "body_md5", "extra", "filter_by_prefix", "info", "with_user_info"} {
		if plain.Has(k) {
			keys = append(keys, k+"="+plain.Get(k))
		}
	}
	unescaped, _ := url.PathUnescape(path)
	return path + "?" + raw + "&auth_signature=" + auth.PusherSign(testSecret, method+"\n"+unescaped+"\n"+strings.Join(keys, "&"))
}

// call sends a signed request and returns status and body.
func (s *site) call(method, path string, query url.Values, body string) (int, string) {
	s.t.Helper()
	status, text, _ := s.raw(method, sign(method, "/apps/"+testID+path, query, body), body)
	return status, text
}

func (s *site) raw(method, target, body string) (int, string, http.Header) {
	s.t.Helper()
	req, err := http.NewRequest(method, s.server.URL+target, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	resp, err := s.server.Client().Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, string(text), resp.Header
}

// trigger publishes one event and expects it to be taken.
func (s *site) trigger(channel, event, data string) {
	s.t.Helper()
	status, text := s.call("POST", "/events", nil, `{"name":`+quoted(event)+`,"channel":`+quoted(channel)+`,"data":`+quoted(data)+`}`)
	if status != 200 || text != "{}" {
		s.t.Fatalf("%d %s", status, text)
	}
}

// A logBuffer is a log that may be read while it is written.
type logBuffer struct {
	mu   sync.Mutex // guards text
	text strings.Builder
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// eventually waits for something that happens by itself.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}
