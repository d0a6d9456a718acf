package pushsocket

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"poosh/server/loop"
	"poosh/server/pushsocket/store"
)

func TestLife(t *testing.T) {
	s := newSite(t, Config{})
	alice, bob := s.newPerson("1"), s.registered("2", 5)
	c := s.connect()
	c.authenticate(alice.username, alice.password())
	c.want(`42["not authorized",{"message":"not registered"}]`)
	if status, body, _ := alice.request("POST", "/api/v1/key/initial", keysJSON(1)); status != 200 || body != "OK" {
		t.Fatal(status, body)
	}
	if r := bob.mail(alice.username, "one", "two"); r.MessagesQueued != 2 {
		t.Fatalf("%+v", r)
	}
	c.authenticate(alice.username, alice.password())
	c.want(`42["authorized",null]`)
	backlog := c.bodies("one", "two")
	bob.mail(alice.username, "three")
	live := c.bodies("three")
	c.received(backlog[0])
	c.received(live[0])
	s.stored(1)

	again := alice.authorized()
	if ids := again.bodies("two"); ids[0] != backlog[1] {
		t.Errorf("id %s, want %s", ids[0], backlog[1])
	}
	again.received(backlog[1])
	s.stored(0)

	if status, body, _ := alice.request("DELETE", "/api/v1/key/", ""); status != 200 || body != "OK" {
		t.Fatal(status, body)
	}
	again.want(`42["not authorized",{"message":"revoked"}]`)
	c.want(`42["not authorized",{"message":"revoked"}]`)
	again.authenticate(alice.username, alice.password())
	again.want(`42["not authorized",{"message":"revoked"}]`)
	if r := bob.mail(alice.username, "four"); r.MessagesQueued != 0 || !slices.Equal(r.RevokedKeys, []string{alice.username}) {
		t.Errorf("%+v", r)
	}
	again.synced()
}

// What is pushed is what was posted, escaped to ASCII.
func TestMessageBytes(t *testing.T) {
	s := newSite(t, Config{})
	p := s.registered("1", 1)
	c := p.authorized()
	status, _, _ := p.request("POST", "/api/v1/message", `{"messages":[{"body": "caf\u00e9 é \ud83d\ude00 \ud800 <b> \/","headers":[{"recipient":`+quote(p.username)+`}]}]}`)
	if status != 200 {
		t.Fatal(status)
	}
	got := regexp.MustCompile(`"id":"[0-9a-f]{24}"`).ReplaceAllString(c.packet(), `"id":"*"`)
	if want := `42["message",{"id":"*","header":"","body":"caf\u00e9 \u00e9 \ud83d\ude00 \ud800 <b> \/"}]`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestRefusals(t *testing.T) {
	s := newSite(t, Config{MaxTries: 100})
	p, stranger := s.registered("1", 1), s.newPerson("1")
	now := time.Now().UnixMilli()
	other := stranger.passwordAt(now)
	digits, sig, _ := strings.Cut(p.passwordAt(now), "|")
	short, _ := base64.StdEncoding.DecodeString(sig)
	c := s.connect()
	for _, test := range []struct{ name, packet, reason string }{
		{"no data", `42["authentication"]`, "badly formed credentials"},
		{"null", `42["authentication",null]`, "badly formed credentials"},
		{"numbers", `42["authentication",{"username":1,"password":2}]`, "badly formed credentials"},
		{"empty", `42["authentication",{"username":"","password":""}]`, "badly formed credentials"},
		{"other names", strings.NewReplacer("username", "Username", "password", "PASSWORD").Replace(authPacket(p.username, p.password())), "badly formed credentials"},
		{"a name too much", strings.Replace(authPacket(stranger.username, stranger.password()), `}]`, `,"USERNAME":`+quote(p.username)+`}]`, 1), "not registered"},
		{"large", `42["authentication",{"username":"` + strings.Repeat("x", 5000) + `","password":""}]`, "badly formed credentials"},
		{"two bars", authPacket(p.username+"|1", p.password()), "badly formed credentials"},
		{"time 0", authPacket(p.username, "0|"+sig), "badly formed credentials"},
		{"no number", authPacket(p.username, "1e12|"+sig), "badly formed credentials"},
		{"unknown and late", authPacket(stranger.username, stranger.passwordAt(now-100_000)), "not registered"},
		{"other device", authPacket(p.key+"|2", p.password()), "not registered"},
		{"odd device", authPacket(p.key+"|constructor", p.password()), "not registered"},
		{"odd device", authPacket(p.key+"|numberOfDevices", p.password()), "not registered"},
		{"late", authPacket(p.username, p.passwordAt(now-60_000)), "time"},
		{"early", authPacket(p.username, p.passwordAt(now+70_000)), "time"},
		{"late and bad", authPacket(p.username, "1449360000000|"+sig), "time"},
		{"other's signature", authPacket(p.username, other), "signature"},
		{"other time", authPacket(p.username, strconv.FormatInt(now+1, 10)+"|"+sig), "signature"},
		{"short", authPacket(p.username, digits+"|"+base64.StdEncoding.EncodeToString(short[:63])), "signature"},
	} {
		c.send(test.packet)
		got := c.packet()
		var data struct{ Message, ServerTime string }
		text := strings.TrimSuffix(strings.TrimPrefix(got, `42["not authorized",`), "]")
		if err := json.Unmarshal([]byte(text), &data); err != nil || data.Message != test.reason {
			t.Errorf("%s: %s, want %s", test.name, got, test.reason)
		}
		if test.reason != "time" {
			if strings.Contains(got, "serverTime") {
				t.Errorf("%s: %s", test.name, got)
			}
			continue
		}
		ms, err := strconv.ParseInt(data.ServerTime, 10, 64)
		if err != nil || len(data.ServerTime) != 13 || time.Since(time.UnixMilli(ms)).Abs() > patience {
			t.Errorf("%s: %s", test.name, got)
		}
		// The server's time may be signed as it is.
		c.send(authPacket(p.username, p.passwordAt(ms)))
		c.want(`42["authorized",null]`)
	}
	// Seconds are understood too.
	c.send(authPacket(p.username, p.passwordAt(now/1000)))
	c.want(`42["authorized",null]`)
	// Events that nobody knows, and confirmations that are none, change nothing.
	for _, packet := range []string{`42["recieved"]`, `42["recieved",null]`, `42["recieved",{"messageId":5}]`,
		`42["recieved",{"messageId":"x"}]`, `42["received",{}]`, `42["message",{}]`} {
		c.send(packet)
	}
	c.synced()
}

func authPacket(username, password string) string {
	return `42["authentication",{"username":` + quote(username) + `,"password":` + quote(password) + `}]`
}

// Of several connections the newest gets the messages, each once; when it goes,
// the next newest takes over with what it was not given.
func TestNewest(t *testing.T) {
	s := newSite(t, Config{})
	p := s.registered("1", 1)
	first := p.authorized()
	p.mail(p.username, "a")
	a := first.bodies("a")
	second := p.authorized()
	second.bodies("a")
	third := p.authorized()
	third.bodies("a")
	p.mail(p.username, "b")
	b := third.bodies("b")

	third.ws.Close()
	second.bodies("b")
	p.mail(p.username, "c")
	second.bodies("c")
	// Any of the device's connections may confirm.
	first.received(a[0])
	first.received(b[0])
	s.stored(1)
	second.ws.Close()
	first.bodies("c")
	p.mail(p.username, "d")
	first.bodies("d")
	first.synced()
	if n := s.dialect.Stats().Authorized; n != 1 {
		t.Errorf("%d devices", n)
	}
}

// Authorizing again on a connection asks for all that is unconfirmed again, and
// makes it the newest.
func TestAuthorizeAgain(t *testing.T) {
	s := newSite(t, Config{})
	p, q := s.registered("1", 1), s.registered("1", 1)
	c := p.authorized()
	p.mail(p.username, "a", "b")
	ids := c.bodies("a", "b")
	newer := p.authorized()
	newer.bodies("a", "b")
	c.received(ids[0])
	s.stored(1)
	c.authenticate(p.username, p.password())
	c.want(`42["authorized",null]`)
	if again := c.bodies("b"); again[0] != ids[1] {
		t.Error(again, ids)
	}
	p.mail(p.username, "c")
	c.bodies("c")
	newer.synced()
	// As another device it leaves the first one's mailbox.
	q.mail(q.username, "q")
	c.authenticate(q.username, q.password())
	c.want(`42["authorized",null]`)
	c.bodies("q")
	newer.bodies("c")
}

func TestWrongDeviceCannotRemove(t *testing.T) {
	s := newSite(t, Config{})
	p, q := s.registered("1", 1), s.registered("1", 1)
	c := p.authorized()
	p.mail(p.username, "a")
	id := c.bodies("a")[0]
	other, stranger := q.authorized(), s.connect()
	other.received(id)
	stranger.received(id)
	q.mail(q.username, "done")
	done := other.bodies("done")
	other.received(done[0])
	s.stored(1)
	stranger.synced()
	p.authorized().bodies("a")
}

// A backlog of many times what an outbox holds comes whole and in order to a
// client that reads slowly and confirms nothing.
func TestLargeBacklog(t *testing.T) {
	s := newSite(t, Config{})
	p := s.registered("1", 1)
	filler := strings.Repeat("x", 90_000) // 27 MB in all: more than the kernel takes
	var want []string
	for i := range 300 {
		body := fmt.Sprintf("%d %s", i, filler)
		if r := p.mail(p.username, body); r.MessagesQueued != 1 {
			t.Fatalf("%+v", r)
		}
		want = append(want, body)
	}
	c := p.authorized()
	time.Sleep(500 * time.Millisecond) // nothing is read: the outbox fills
	if n := s.dialect.Stats().Counts["messages pushed"]; n == 300 {
		t.Error("everything was pushed at once")
	}
	c.bodies(want...)
	p.mail(p.username, "live")
	c.bodies("live")
}

func TestBounds(t *testing.T) {
	t.Run("tries", func(t *testing.T) {
		s := newSite(t, Config{MaxTries: 3})
		c := s.connect()
		for range 3 {
			c.send(`42["authentication"]`)
		}
		before, err := c.closed()
		if len(before) != 3 || !websocket.IsCloseError(err, websocket.CloseNormalClosure) || !strings.Contains(err.Error(), closedTries) {
			t.Errorf("%q, %v", before, err)
		}
	})
	t.Run("time", func(t *testing.T) {
		s := newSite(t, Config{AuthTimeout: 500 * time.Millisecond})
		p := s.registered("1", 1)
		good, c := p.authorized(), s.connect()
		if before, err := c.closed(); len(before) != 0 || !strings.Contains(err.Error(), closedWaiting) {
			t.Errorf("%q, %v", before, err)
		}
		good.synced()
	})
	t.Run("events", func(t *testing.T) {
		s := newSite(t, Config{MaxEvents: 10, Limits: store.Limits{MessagesPerDevice: 5}})
		p := s.registered("1", 1)
		c := p.authorized()
		// One frame holds one packet, so it takes a while to overtake the workers.
		for range 100_000 {
			if c.ws.WriteMessage(websocket.TextMessage, []byte(`42["recieved",{"messageId":"0123456789abcdef01234567"}]`)) != nil {
				break
			}
		}
		if _, err := c.closed(); !strings.Contains(err.Error(), closedEvents) {
			t.Error(err)
		}
	})
}

// As many events may wait as a mailbox has confirmations twice, also when operators have
// changed how many that are.
func TestEventsFollowMailboxes(t *testing.T) {
	d := newSite(t, Config{MaxEvents: 10, Limits: store.Limits{MessagesPerDevice: 8}}).dialect
	fit := func() (n int) {
		c := &client{dialect: d}
		for c.add(event{confirm: true}) == "" {
			n++
		}
		return n
	}
	if n := fit(); n != 16 {
		t.Errorf("%d events may wait", n)
	}
	l := d.store.Limits()
	for messages, want := range map[int]int{50: 100, 2: 10} {
		l.MessagesPerDevice = messages
		d.store.SetLimits(l)
		if n := fit(); n != want {
			t.Errorf("%d events may wait, want %d", n, want)
		}
	}
}

// A store that fails ends the connection of who wants to authorize, and a client's
// confirmation that was lost is only repeated.
func TestStoreFailsOnSocket(t *testing.T) {
	f := newFailing(t)
	s := newSite(t, Config{Store: f})
	p := s.registered("1", 1)
	c := p.authorized()
	p.mail(p.username, "a")
	id := c.bodies("a")[0]
	f.fail.Store(true)
	c.received(id)
	late := s.connect()
	late.authenticate(p.username, p.password())
	if before, err := late.closed(); len(before) != 0 || !strings.Contains(err.Error(), "store is not available") {
		t.Errorf("%q, %v", before, err)
	}
	f.fail.Store(false)
	again := p.authorized()
	if ids := again.bodies("a"); ids[0] != id {
		t.Error(ids)
	}
}

// A panicking store has a bug in what confirms.
type panicking struct{ store.Store }

func (panicking) Confirm(context.Context, store.DeviceID, []string) (int, error) {
	panic("asked to")
}

// A panic while a client's events are worked on ends its connection, and nobody else's.
func TestPanicOnSocket(t *testing.T) {
	s := newSite(t, Config{Store: panicking{newFailing(t)}})
	p := s.registered("1", 1)
	c, other := p.authorized(), p.authorized()
	c.received(strings.Repeat("0", 24))
	if _, err := c.closed(); !strings.Contains(err.Error(), string(loop.ErrPanic)) {
		t.Error(err)
	}
	other.synced()
	if held := s.dialect.held.Load(); held != 0 {
		t.Errorf("%d bytes are still held", held)
	}
}

func TestShutdown(t *testing.T) {
	s := newSite(t, Config{})
	p := s.registered("1", 1)
	c := p.authorized()
	p.mail(p.username, "a")
	id := c.bodies("a")[0]
	c.received(id)
	c.synced()
	if err := s.dialect.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	// A client of socket.io 1.x is sent no close frame by a server that goes away.
	if _, err := c.closed(); !websocket.IsCloseError(err, websocket.CloseAbnormalClosure) {
		t.Error(err)
	}
	if status, body, _ := p.request("GET", keyPath(p.key), ""); status != 503 {
		t.Error(status, body)
	}
	// What the client said last was worked on.
	st, err := store.Open(s.dialect.cfg.DB, store.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close(t.Context())
	if u, err := st.Usage(t.Context()); err != nil || u.Messages != 0 || u.Identities != 1 {
		t.Errorf("%+v, %v", u, err)
	}
}

func FuzzCredential(f *testing.F) {
	f.Add([]byte(`{"username":"a|b","password":"1|c"}`))
	f.Add([]byte(`{"username":1}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c := decodeCredential([][]byte{data})
		if len(data) > maxCredential && c != (credential{}) {
			t.Fatal("too large, and read")
		}
		decodeReceived([][]byte{data})
	})
}
