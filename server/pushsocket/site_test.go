package pushsocket

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"poosh/server/http1/http1test"
	"poosh/server/hub"
	"poosh/server/socketio"
)

const patience = 20 * time.Second

// A site is a dialect on the HTTP stack that ships.
type site struct {
	t       testing.TB
	dialect *Dialect
	url     string
}

func newSite(t testing.TB, cfg Config) *site {
	t.Helper()
	return newSiteWith(t, cfg, slog.New(slog.DiscardHandler))
}

// newSiteWith is newSite for who reads the log.
func newSiteWith(t testing.TB, cfg Config, log *slog.Logger) *site {
	t.Helper()
	return newSiteOn(t, hub.New(), cfg, log)
}

// newSiteOn is newSite for a process with a hub of its own.
func newSiteOn(t testing.TB, h *hub.Hub, cfg Config, log *slog.Logger) *site {
	t.Helper()
	sockets := http1test.NewSockets(t)
	if cfg.DB == "" {
		cfg.DB = filepath.Join(t.TempDir(), "x.db")
	}
	d, err := New(cfg, h, sockets, log)
	if err != nil {
		t.Fatal(err)
	}
	server := http1test.Serve(t, sockets, d, socketio.Where)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if !d.answering.Closed() {
			if err := d.Shutdown(ctx); err != nil {
				t.Error(err)
			}
		}
		server.Close()
		http.DefaultClient.CloseIdleConnections()
		if len(d.mailboxes) != 0 || d.hub.Len(hubApp) != 0 {
			t.Errorf("%d mailboxes left, %d in the hub", len(d.mailboxes), d.hub.Len(hubApp))
		}
	})
	return &site{t, d, server.URL}
}

// A person is a device with its key.
type person struct {
	site     *site
	private  ed25519.PrivateKey
	key      string // in base64
	username string
}

// newPerson makes up a device; it is not registered.
func (s *site) newPerson(device string) *person {
	s.t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	key := base64.StdEncoding.EncodeToString(public)
	return &person{s, private, key, key + "|" + device}
}

// registered makes up a device and registers it with some prekeys.
func (s *site) registered(device string, prekeys int) *person {
	s.t.Helper()
	p := s.newPerson(device)
	want := 200
	if prekeys == 0 {
		want = 205
	}
	if status, body, _ := p.request("POST", "/api/v1/key/initial", keysJSON(prekeys)); status != want {
		s.t.Fatalf("%d %s", status, body)
	}
	return p
}

func keysJSON(prekeys int) string {
	var list []string
	for i := range prekeys {
		list = append(list, fmt.Sprintf(`{"id": %d,"preKey":"k"}`, i))
	}
	return `{"lastResortKey":{"id":16777215},"prekeys":[` + strings.Join(list, ",") + `]}`
}

// passwordAt signs a time in milliseconds.
func (p *person) passwordAt(ms int64) string {
	digits := strconv.FormatInt(ms, 10)
	padded := digits + strings.Repeat("\x00", len(digits))
	return digits + "|" + base64.StdEncoding.EncodeToString(ed25519.Sign(p.private, []byte(padded)))
}

func (p *person) password() string { return p.passwordAt(time.Now().UnixMilli()) }

// request makes a request as the device.
func (p *person) request(method, path, body string) (int, string, http.Header) {
	p.site.t.Helper()
	return p.site.request(method, path, body, p.username, p.password())
}

func (s *site) request(method, path, body, username, password string) (int, string, http.Header) {
	s.t.Helper()
	req, err := http.NewRequest(method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if username != "" {
		req.SetBasicAuth(username, password)
	}
	return s.do(req)
}

func (s *site) do(req *http.Request) (int, string, http.Header) {
	s.t.Helper()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return res.StatusCode, string(answer), res.Header
}

// quote writes a Go string as JSON.
func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// mail sends one message to each body given.
func (p *person) mail(to string, bodies ...string) report {
	p.site.t.Helper()
	var list []string
	for _, body := range bodies {
		list = append(list, fmt.Sprintf(`{"headers":[{"recipient":%s,"messageHeader":"head"}],"body":%s}`, quote(to), quote(body)))
	}
	status, answer, _ := p.request("POST", "/api/v1/message/", `{"messages":[`+strings.Join(list, ",")+`]}`)
	var r report
	if err := json.Unmarshal([]byte(answer), &r); err != nil || status != 200 && status != 205 {
		p.site.t.Fatalf("%d %s", status, answer)
	}
	return r
}

func keyPath(key string) string { return "/api/v1/key/" + url.PathEscape(key) }

// A socket is a raw connection of Engine.IO 3 over WebSocket.
type socket struct {
	t  testing.TB
	ws *websocket.Conn
}

func (s *site) connect() *socket {
	s.t.Helper()
	ws, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(s.url, "http")+"/socket.io/?EIO=3&transport=websocket", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = ws.Close() })
	_ = ws.SetReadDeadline(time.Now().Add(patience))
	c := &socket{s.t, ws}
	for _, want := range []string{"0{", "40"} {
		if got := c.packet(); !strings.HasPrefix(got, want) {
			s.t.Fatalf("got %q, want %q", got, want)
		}
	}
	return c
}

// authorized connects and authorizes.
func (p *person) authorized() *socket {
	p.site.t.Helper()
	c := p.site.connect()
	c.authenticate(p.username, p.password())
	c.want(`42["authorized",null]`)
	return c
}

func (c *socket) authenticate(username, password string) {
	c.t.Helper()
	c.send(`42["authentication",{"username":` + quote(username) + `,"password":` + quote(password) + `}]`)
}

func (c *socket) send(packet string) {
	c.t.Helper()
	if err := c.ws.WriteMessage(websocket.TextMessage, []byte(packet)); err != nil {
		c.t.Fatal(err)
	}
}

func (c *socket) received(id string) {
	c.t.Helper()
	c.send(`42["recieved",{"messageId":` + quote(id) + `}]`)
}

// synced waits until the server has handled what was sent so far. It says nothing
// about what workers still do.
func (c *socket) synced() {
	c.t.Helper()
	c.send("2")
	c.want("3")
}

func (c *socket) packet() string {
	c.t.Helper()
	_, got, err := c.ws.ReadMessage()
	if err != nil {
		c.t.Fatal(err)
	}
	return string(got)
}

func (c *socket) want(packets ...string) {
	c.t.Helper()
	for _, want := range packets {
		if got := c.packet(); got != want {
			c.t.Fatalf("got %.300q, want %.300q", got, want)
		}
	}
}

type pushed struct{ ID, Header, Body string }

// messages reads the next n packets, which must be messages.
func (c *socket) messages(n int) []pushed {
	c.t.Helper()
	var list []pushed
	for range n {
		text, ok := strings.CutPrefix(c.packet(), `42["message",`)
		var m pushed
		if err := json.Unmarshal([]byte(strings.TrimSuffix(text, "]")), &m); err != nil || !ok || len(m.ID) != 24 {
			c.t.Fatalf("%q: %v", text, err)
		}
		list = append(list, m)
	}
	return list
}

// bodies reads messages, which must have these bodies, and returns their ids.
func (c *socket) bodies(want ...string) []string {
	c.t.Helper()
	var got, ids []string
	for _, m := range c.messages(len(want)) {
		got, ids = append(got, m.Body), append(ids, m.ID)
	}
	if !slices.Equal(got, want) {
		c.t.Fatalf("got %.200q, want %.200q", got, want)
	}
	return ids
}

// closed waits for the connection's end and returns what came before it.
func (c *socket) closed() (before []string, err error) {
	c.t.Helper()
	for {
		_, got, err := c.ws.ReadMessage()
		if err != nil {
			return before, err
		}
		before = append(before, string(got))
	}
}

// stored waits until n messages are kept in all.
func (s *site) stored(n int) {
	s.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		u, err := s.dialect.store.Usage(s.t.Context())
		if err != nil {
			s.t.Fatal(err)
		}
		if u.Messages == n {
			return
		}
		if time.Now().After(end) {
			s.t.Fatalf("%d messages are kept, want %d", u.Messages, n)
		}
	}
}
