package echo

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"poosh/server/echo/authorize"
	"poosh/server/http1/http1test"
	"poosh/server/hub"
	"poosh/server/hub/history"
	"poosh/server/presence/presencetest"
)

// patience is how long something may take that takes a moment.
const patience = 20 * time.Second

// A place is the dialect, served.
type place struct {
	*Dialect
	t    *testing.T
	addr string
	dial *websocket.Dialer
}

// from is the place for clients that come from an address.
func (p *place) from(address string) *place {
	other := *p
	local := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	other.dial = &websocket.Dialer{NetDialContext: local.DialContext}
	return &other
}

// An application says who may join, by what answer holds for a channel and a token.
type application struct {
	*httptest.Server
	mu     sync.Mutex
	answer func(w http.ResponseWriter, channel, token string)
	asked  []*http.Request
}

// newApplication makes one that lets in whoever has a token: users are named by it.
func newApplication(t *testing.T) *application {
	a := &application{answer: func(w http.ResponseWriter, channel, token string) {
		switch {
		case token == "":
			w.WriteHeader(http.StatusForbidden)
		case strings.HasPrefix(channel, presencePrefix):
			fmt.Fprintf(w, `{"channel_data":{"user_id":%s,"user_info":{"name":"user %s"}}}`, token, token)
		default:
			fmt.Fprint(w, "true")
		}
	}}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		channel := r.PostFormValue("channel_name")
		a.mu.Lock()
		answer := a.answer
		a.asked = append(a.asked, r)
		a.mu.Unlock()
		answer(w, channel, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	}))
	t.Cleanup(a.Close)
	return a
}

func (a *application) answers(f func(w http.ResponseWriter, channel, token string)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answer = f
}

func (a *application) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.asked)
}

// newPlace serves a dialect on a hub of its own.
func newPlace(t *testing.T, change func(*Config)) *place {
	t.Helper()
	return servePlace(t, hub.New(), change)
}

// keptPlace is one whose events are kept.
func keptPlace(t *testing.T, change func(*Config)) *place {
	t.Helper()
	log := history.New(history.Config{})
	log.Add(App, history.Config{Age: time.Hour, Bytes: 1 << 20, Events: 1000})
	return servePlace(t, hub.NewWith(nil, log), func(c *Config) {
		c.Away, c.AwayBytes = time.Hour, 1<<20
		if change != nil {
			change(c)
		}
	})
}

// nodePlace is one of several.
func nodePlace(t *testing.T, n *presencetest.Node, change func(*Config)) *place {
	t.Helper()
	return servePlace(t, n.Hub, func(c *Config) {
		c.Desk, c.Census, c.Bus = n, n, n
		if change != nil {
			change(c)
		}
	})
}

func servePlace(t *testing.T, h *hub.Hub, change func(*Config)) *place {
	t.Helper()
	sockets := http1test.NewSockets(t)
	var cfg Config
	if change != nil {
		change(&cfg)
	}
	d := New(cfg, h, sockets, slog.New(slog.DiscardHandler))
	router := d.mount(nil)
	s := http1test.Serve(t, sockets, router, where)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience) // that of the test is over
		defer cancel()
		if err := d.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		until(t, "everybody has left the hub", func() bool { return h.Len(App) == 0 && h.CountRooms(App) == 0 })
	})
	return &place{d, t, s.Addr, websocket.DefaultDialer}
}

func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not so in time: %s", what)
		}
	}
}

// A page is a client.
type page struct {
	*websocket.Conn
	t        *testing.T
	p        *place
	sid, pid string
}

// open connects a client that speaks a version of Engine.IO, to the end of the handshake.
func (p *place) open(eio int, header http.Header) *page {
	p.t.Helper()
	c, _, err := p.dial.Dial(fmt.Sprintf("ws://%s/socket.io/?EIO=%d&transport=websocket", p.addr, eio), header)
	if err != nil {
		p.t.Fatal(err)
	}
	w := &page{Conn: c, t: p.t, p: p}
	p.t.Cleanup(func() { c.Close() })
	var hello struct{ SID string }
	if open := w.read(); json.Unmarshal([]byte(open[1:]), &hello) != nil {
		p.t.Fatal(open)
	}
	w.sid = hello.SID
	return w
}

// page connects a client of the newest version, or with another connect than 40 or none.
func (p *place) page(connect string) *page {
	p.t.Helper()
	w := p.open(4, http.Header{"Cookie": {"laravel_session=abc"}})
	w.say(connect)
	w.greeting()
	return w
}

func (w *page) greeting() {
	w.t.Helper()
	text := w.read()
	var hello struct{ SID, PID string }
	if !strings.HasPrefix(text, "40{") || json.Unmarshal([]byte(text[2:]), &hello) != nil {
		w.t.Fatal(text)
	}
	w.sid, w.pid = hello.SID, hello.PID
}

// old connects a client of an older version, which is in the namespace unasked.
func (p *place) old(eio int) *page {
	p.t.Helper()
	w := p.open(eio, nil)
	w.wants("40")
	return w
}

func (w *page) say(text string) {
	w.t.Helper()
	if err := w.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		w.t.Fatal(err)
	}
}

// read reads one packet; pings are answered.
func (w *page) read() string {
	w.t.Helper()
	for {
		_ = w.SetReadDeadline(time.Now().Add(patience))
		_, text, err := w.ReadMessage()
		if err != nil {
			w.t.Fatal(err)
		}
		if string(text) != "2" {
			return string(text)
		}
		w.say("3")
	}
}

// wants reads packets. {sid} in one stands for the client's id.
func (w *page) wants(packets ...string) {
	w.t.Helper()
	for _, want := range packets {
		if got, want := w.read(), strings.ReplaceAll(want, "{sid}", w.sid); got != want {
			w.t.Fatalf("got  %s\nwant %s", got, want)
		}
	}
}

// quiet sees that nothing is on its way to the client.
func (w *page) quiet() {
	w.t.Helper()
	w.say(`42["subscribe",{"channel":"private-x","auth":{"headers":[1]}}]`) // is ignored
	w.subscribe("quiet:"+w.sid, "")
	w.p.in("quiet:"+w.sid, 1)
	w.p.send("quiet:"+w.sid, "quiet", `1`, "")
	got := w.read()
	if !strings.HasPrefix(got, fmt.Sprintf(`42["quiet","quiet:%s",1`, w.sid)) {
		w.t.Fatalf("got %s, want nothing", got)
	}
	w.say(fmt.Sprintf(`42["unsubscribe",{"channel":"quiet:%s"}]`, w.sid))
	w.p.in("quiet:"+w.sid, 0)
}

// subscribe asks for a channel as laravel-echo does.
func (w *page) subscribe(channel, token string) {
	w.t.Helper()
	headers := "{}"
	if token != "" {
		headers = fmt.Sprintf(`{"Authorization":"Bearer %s"}`, token)
	}
	w.say(fmt.Sprintf(`42["subscribe",{"channel":%q,"auth":{"headers":%s}}]`, channel, headers))
}

// join is subscribe, until the client is there. others are there already.
func (w *page) join(channel, token string, others int) {
	w.t.Helper()
	w.subscribe(channel, token)
	w.p.in(channel, others+1)
}

// in waits until so many connections are in a channel.
func (p *place) in(channel string, want int) {
	p.t.Helper()
	until(p.t, fmt.Sprintf("%d are in %s", want, channel), func() bool {
		n, _ := p.hub.Count(App, channel)
		return n == want
	})
}

// send is an event as if Redis had brought it.
func (p *place) send(channel, event, data, socket string) {
	p.t.Helper()
	text := fmt.Sprintf(`{"event":%q,"data":%s,"socket":%q}`, event, data, socket)
	pub, why := p.reader.read("laravel_database_"+channel, []byte(text))
	if why != taken {
		p.t.Fatalf("%s is dropped: %s", text, dropNames[why])
	}
	p.publish(pub, "", nil)
}

func (a *application) config(c *Config) { c.Authorize = authorize.Config{URL: a.URL} }
