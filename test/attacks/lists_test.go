package attacks_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"poosh/auth"
)

// Lists that are bounded, and that strangers share with those who do nothing wrong:
// strangers must not push out what is kept for others.
func TestSharedLists(t *testing.T) {
	hooks := newReceiver(t)
	kept := new(keptEvent)
	tryAll(t, plentyFiles, []attack{
		{name: "misses of cache channels", run: cacheMisses, least: 10_000, before: kept.put, after: kept.check,
			settings: []string{"PUSHER_CACHE_BYTES=1MiB"}},
		{name: "subscriptions that webhooks are told of", run: manySubscriptions, least: 60_000, time: 8 * time.Second,
			before: hooks.watch, after: hooks.check, settings: []string{"PUSHER_WEBHOOK_URL=" + hooks.url}},
		{name: "identities of the Push Socket", run: manyIdentities, least: 300, after: canRegister,
			settings: []string{"PUSH_SOCKET_MAX_IDENTITIES=200"}},
		{name: "prekeys that fill the database", run: manyPrekeys, least: 100, settings: []string{"PUSH_SOCKET_DB_MAX_BYTES=16MiB"}},
		{name: "one message many times to one device", run: manyCopies, least: 20, after: smallDatabase},
		{name: "mailboxes that are filled", run: fullMailboxes, least: 20, before: acquaint, settings: []string{"PUSH_SOCKET_MESSAGES_PER_DEVICE=100"}},
	})
}

// cacheMisses subscribes to cache channels where nothing is, and unsubscribes.
func cacheMisses(a *assault) {
	if err := a.subscribe("cache-stranger", 100_000); err != nil {
		a.t.Error(err)
	}
}

// subscribe subscribes to so many channels, one after the other, and unsubscribes: on one
// connection, and on another when that was closed as one that reads too slowly.
func (a *assault) subscribe(prefix string, n int) error {
	const atOnce = 50
	var c *conn
	for i := 0; i < n && a.ctx.Err() == nil; {
		if c == nil {
			var err error
			if c, err = a.webSocket(a.s.pusherPort, from(0), pusherTarget); err != nil {
				return err
			}
			go func() { _, _ = io.Copy(io.Discard, c.in) }() // ends with c
		}
		var b []byte
		for j := range atOnce {
			channel := fmt.Sprintf("%s-%06d-%s", prefix, i+j, strings.Repeat("c", 100))
			b = append(b, text(`{"event":"pusher:subscribe","data":{"channel":"`+channel+`"}}`)...)
			b = append(b, text(`{"event":"pusher:unsubscribe","data":{"channel":"`+channel+`"}}`)...)
		}
		if _, err := c.Write(b); err != nil {
			_ = c.Close()
			c = nil
			continue
		}
		a.done.Add(atOnce)
		i += atOnce
	}
	return nil
}

// A keptEvent is the last of a cache channel, sent before the strangers came.
type keptEvent struct{}

const keptChannel = "cache-kept"

func (keptEvent) put(a *assault) {
	c := newSender()
	defer c.CloseIdleConnections()
	if _, err := (pusherDialect{a.s}).call(c, "/events", `{"name":"n","channel":"`+keptChannel+`","data":"5"}`); err != nil {
		a.t.Fatal(err)
	}
}

// check looks whether a new subscriber is given it.
func (keptEvent) check(a *assault) {
	heard := make(chan int, 1)
	c, err := (pusherDialect{a.s}).listen(keptChannel, func(n int) { heard <- n }, func(error) {})
	if err != nil {
		a.t.Error(err)
		return
	}
	defer c.Close()
	select {
	case n := <-heard:
		if n != 5 {
			a.t.Errorf("the cache channel had %d, want 5", n)
		}
	case <-time.After(patience):
		a.t.Error("the event of a cache channel was pushed out by misses of a stranger")
	}
}

// A receiver is the application that webhooks are sent to. It is no quick one.
type receiver struct {
	url    string
	server *httptest.Server

	mu       sync.Mutex      // guards what follows
	occupied map[string]bool // channels of those who do nothing wrong
	members  map[string]bool
	strange  int // events of the strangers' channels

	watching sync.WaitGroup
	clients  []io.Closer // owned by watching, and then by check
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{occupied: make(map[string]bool), members: make(map[string]bool)}
	r.server = httptest.NewServer(r)
	t.Cleanup(r.server.Close)
	r.url = r.server.URL
	return r
}

func (r *receiver) ServeHTTP(_ http.ResponseWriter, req *http.Request) {
	var body struct {
		Events []struct{ Name, Channel string }
	}
	if err := json.NewDecoder(req.Body).Decode(&body); err != nil {
		return
	}
	r.mu.Lock()
	for _, e := range body.Events {
		switch {
		case !strings.Contains(e.Channel, "real"):
			r.strange++
		case e.Name == "channel_occupied":
			r.occupied[e.Channel] = true
		case e.Name == "member_added":
			r.members[e.Channel] = true
		}
	}
	r.mu.Unlock()
	time.Sleep(10 * time.Millisecond)
}

// realChannels is how many private channels, and how many presence channels, are
// subscribed to by those who do nothing wrong while strangers subscribe to theirs.
const realChannels = 20

func (r *receiver) watch(a *assault) {
	r.watching.Go(func() { // ends with its last channel
		for i := range realChannels {
			time.Sleep(200 * time.Millisecond)
			for _, channel := range []string{fmt.Sprint("private-real-", i), fmt.Sprint("presence-real-", i)} {
				client, err := subscribeSigned(a.s, channel)
				if err != nil {
					a.t.Errorf("%s: %v", channel, err)
					continue
				}
				r.clients = append(r.clients, client)
			}
		}
	})
}

// subscribeSigned joins a private or presence channel with a good signature.
func subscribeSigned(s *server, channel string) (io.Closer, error) {
	ws, err := s.dialWebSocket(s.pusherPort, pusherTarget)
	if err != nil {
		return nil, err
	}
	if err := joinSigned(ws, channel); err != nil {
		_ = ws.Close()
		return nil, err
	}
	return ws, nil
}

func joinSigned(ws *websocket.Conn, channel string) error {
	first, err := expect(ws, `{"event":"pusher:connection_established"`)
	if err != nil {
		return err
	}
	var m struct{ Data string }
	var data struct {
		SocketID string `json:"socket_id"`
	}
	if err := errors.Join(json.Unmarshal([]byte(first), &m), json.Unmarshal([]byte(m.Data), &data)); err != nil {
		return err
	}
	want := map[string]string{"channel": channel}
	signed := data.SocketID + ":" + channel
	if strings.HasPrefix(channel, "presence-") {
		want["channel_data"] = `{"user_id":"somebody"}`
		signed += ":" + want["channel_data"]
	}
	want["auth"] = pusherKey + ":" + auth.PusherSign(pusherSecret, signed)
	subscribe, err := json.Marshal(map[string]any{"event": "pusher:subscribe", "data": want})
	if err == nil {
		err = say(ws, string(subscribe))
	}
	if err == nil {
		_, err = expect(ws, `{"event":"pusher_internal:subscription_succeeded"`)
	}
	return err
}

// check looks whether the application was told of all of them.
func (r *receiver) check(a *assault) {
	r.watching.Wait()
	defer func() {
		for _, c := range r.clients {
			_ = c.Close()
		}
		r.server.CloseClientConnections() // or the program keeps them for the next event
	}()
	whole := func() bool { return len(r.occupied) == 2*realChannels && len(r.members) == realChannels }
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		r.mu.Lock()
		occupied, members, strange, done := len(r.occupied), len(r.members), r.strange, whole()
		r.mu.Unlock()
		if done {
			a.t.Logf("%d webhook events of strangers arrived too", strange)
			return
		}
		if time.Now().After(end) {
			a.t.Errorf("webhooks: %d of %d channel_occupied and %d of %d member_added arrived; the strangers' channels had %d",
				occupied, 2*realChannels, members, realChannels, strange)
			return
		}
	}
}

func manySubscriptions(a *assault) {
	a.together(4, 4, func(i int) error { return a.subscribe(fmt.Sprint("stranger-", i), 15_000) })
}

// strangeDevice registers a device from a stranger's address.
func strangeDevice(a *assault, i int) (*device, *http.Client, error) {
	d := newDevice(a.s)
	c := newSenderFrom(from(i))
	return d, c, d.register(c)
}

func manyIdentities(a *assault) {
	a.together(600, 16, func(int) error {
		_, c, err := strangeDevice(a, 0)
		c.CloseIdleConnections()
		return err
	})
}

// canRegister looks whether somebody from elsewhere still may.
func canRegister(a *assault) {
	c := newSender()
	defer c.CloseIdleConnections()
	if err := newDevice(a.s).register(c); err != nil {
		a.t.Errorf("nobody can register after one address has: %v", err)
	}
}

// manyPrekeys fills the database with keys, as many devices as may be and all that one
// may have each.
func manyPrekeys(a *assault) {
	body := `{"prekeys":[` + strings.Repeat(`{"id":1,"preKey":"`+strings.Repeat("k", 900)+`"},`, 99) + `{"id":2}]}`
	a.together(40, 8, func(i int) error {
		d, c, err := strangeDevice(a, 0)
		defer c.CloseIdleConnections()
		if err != nil {
			return err
		}
		for range 10 {
			if _, err = d.post(c, "/api/v1/key/update", body); err != nil {
				a.refused.Add(1)
				continue
			}
			a.done.Add(1)
		}
		return err
	})
}

// manyCopies asks for a copy of one large message for the same device again and again.
func manyCopies(a *assault) {
	victim := newDevice(a.s)
	c := newSenderFrom(from(1))
	defer c.CloseIdleConnections()
	if err := victim.register(c); err != nil {
		a.t.Error(err)
		return
	}
	header := fmt.Sprintf(`{"recipient":%q,"messageHeader":"h"}`, victim.username)
	body := fmt.Sprintf(`{"messages":[{"headers":[%s],"body":%q}]}`, strings.Join(slices.Repeat([]string{header}, 500), ","), strings.Repeat("b", 50_000))
	a.together(20, 1, func(i int) error {
		d, c, err := strangeDevice(a, 2+i)
		defer c.CloseIdleConnections()
		if err == nil {
			_, err = d.post(c, "/api/v1/message/", body)
		}
		return err
	})
}

// smallDatabase looks at what the copies have come to: 20 requests of 100 KB.
func smallDatabase(a *assault) {
	const most = 10 << 20
	var size int64
	for _, name := range []string{a.s.db(), a.s.db() + "-wal"} {
		if info, err := os.Stat(name); err == nil {
			size += info.Size()
		}
	}
	a.t.Logf("the database has %d KB", size>>10)
	if size > most {
		a.t.Errorf("2 MB of requests became %d bytes of database", size)
	}
}

// acquaint has the device that newcomers listen as, and the sender who does nothing
// wrong, write to each other, as people do who know each other.
func acquaint(a *assault) {
	push := a.good.dialects[3].(pushDialect)
	if err := newcomer(push); err != nil {
		a.t.Fatalf("before the strangers came: %v", err)
	}
	c := newSenderFrom(clientAddress)
	defer c.CloseIdleConnections()
	if err := push.devices[newRoom].mail(c, push.sender, "and to you"); err != nil {
		a.t.Fatalf("before the strangers came: %v", err)
	}
}

// fullMailboxes fills the mailbox of the device that newcomers listen as, while it is
// away: a sender has a fourth of a mailbox, and each stranger here is a sender and a
// network of its own. Those who knew the device before still reach it, and it gets what
// they sent.
func fullMailboxes(a *assault) {
	push := a.good.dialects[3].(pushDialect)
	victim := push.devices[newRoom]
	message := fmt.Sprintf(`{"headers":[{"recipient":%q,"messageHeader":"h"}],"body":"spam"}`, victim.username)
	body := `{"messages":[` + strings.Join(slices.Repeat([]string{message}, 400), ",") + `]}`
	a.together(20, 1, func(i int) error {
		d, c, err := strangeDevice(a, i)
		defer c.CloseIdleConnections()
		if err != nil {
			return err
		}
		answer, err := d.post(c, "/api/v1/message/", body)
		if err == nil && strings.HasPrefix(answer, `{"messagesQueued":0,`) {
			err = errors.New("nothing was queued")
		}
		return err
	})
	if a.refused.Load() == 0 {
		a.t.Error("strangers were not held back: there is room left, and this shows nothing")
	}
	c := newSender()
	defer c.CloseIdleConnections()
	const number = 5
	if err := push.send(c, newRoom, number); err != nil {
		a.t.Errorf("a mailbox that a stranger filled: %v", err)
		return
	}
	var heard atomic.Bool
	client, err := victim.listen(func(body string) error {
		if body == fmt.Sprint(number) {
			heard.Store(true)
		}
		return nil
	}, func(error) {})
	if err != nil {
		a.t.Error(err)
		return
	}
	defer client.Close()
	for end := time.Now().Add(patience); !heard.Load(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			a.t.Error("a message to a mailbox that a stranger filled did not arrive")
			return
		}
	}
}
