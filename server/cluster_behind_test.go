package server

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"poosh/auth"
	"poosh/server/cluster/redistest"
	"poosh/server/hub"
)

// A hearing reads all that comes over a connection, and the answers to pings of the protocol below
// in their place.
type hearing struct {
	t  *testing.T
	ws *websocket.Conn
	in chan string
}

func newHearing(t *testing.T, url string) *hearing {
	t.Helper()
	ws, _, err := websocket.DefaultDialer.Dial(url, nil)
	if err != nil {
		t.Fatal(err)
	}
	h := &hearing{t, ws, make(chan string, 100)}
	ws.SetPongHandler(func(string) error { h.in <- "pong"; return nil })
	ended := make(chan struct{})
	go func() { // ends with the connection
		defer close(ended)
		for {
			_, text, err := ws.ReadMessage()
			if err != nil {
				return
			}
			h.in <- string(text)
		}
	}()
	t.Cleanup(func() { _ = ws.Close(); <-ended })
	return h
}

func (h *hearing) say(text string) {
	h.t.Helper()
	if err := h.ws.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		h.t.Fatal(err)
	}
}

// next is what comes next, which contains some texts.
func (h *hearing) next(want ...string) string {
	h.t.Helper()
	select {
	case text := <-h.in:
		for _, w := range want {
			if !strings.Contains(text, w) {
				h.t.Fatalf("heard %s, want %s", text, w)
			}
		}
		return text
	case <-time.After(patience):
		h.t.Fatalf("heard nothing, want %s", want)
		return ""
	}
}

// handled returns once what was said is handled, without an answer.
func (h *hearing) handled() {
	h.t.Helper()
	if err := h.ws.WriteControl(websocket.PingMessage, nil, time.Now().Add(patience)); err != nil {
		h.t.Fatal(err)
	}
	h.next("pong")
}

// sockudo opens a connection of Pusher's second version.
func (r *running) sockudo(t *testing.T) *hearing {
	t.Helper()
	h := newHearing(t, "ws://"+r.Addrs()["PUSHER_PORT"].String()+"/app/"+pusherKey+"?protocol=2")
	h.next("connection_established")
	return h
}

// place is where an event of Pusher stands.
func place(t *testing.T, text string) string {
	t.Helper()
	m := regexp.MustCompile(`"stream_id":"([^"]+)","serial": *(\d+)`).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("no place: %s", text)
	}
	return fmt.Sprintf(`{"stream_id":"%s","serial":%s}`, m[1], m[2])
}

// pusherPage reads a page of the history of a channel that is called paged.
func (r *running) pusherPage(ctx context.Context, query ...string) (string, error) {
	const path = "/apps/1/channels/paged/history"
	signed := auth.SignPusherQuery(pusherKey, pusherSecret, http.MethodGet, path, nil, time.Now(), query...)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.Addrs()["PUSHER_PORT"].String()+path+"?"+signed, nil)
	if err != nil {
		return "", err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return string(text), err
}

// kept asks for what is kept of a room behind a position.
func (r *running) keptBehind(ctx context.Context, room, since string) (string, error) {
	path := "/history?room=" + room + "&since=" + since
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.sender+path, nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", auth.PooshSign(testSecret, []byte(path)))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return res.Status + " " + string(text), err
}

// Who comes from one node to another that is a moment behind misses nothing, and is not told that it
// may have: it waits until that has come so far. A place that nobody has come to is answered no.
func TestNodeAMomentBehind(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	wire := redistest.NewWire(t, redis.Addr)
	both := []string{"HISTORY", "5m", "CLUSTER_TIMEOUT", "20s", "CLUSTER_LEASE", "2m", "PUSHER_PORT", "0", "PUSHER_HISTORY", "5m",
		"PUSHER_APP_ID", "1", "PUSHER_APP_KEY", pusherKey, "PUSHER_APP_SECRET", pusherSecret}
	a, b := node(t, redis.Addr, both...), node(t, wire.Addr, both...)
	a.send(t, "r", "e", "1")
	before := idOf(t, a.events(t, "r", ""))
	socket := func() *hearing {
		h := newHearing(t, "ws://"+b.client+"/socket.io/?EIO=3&transport=websocket")
		h.next("0{")
		h.next("40")
		return h
	}
	back, forged := socket(), socket()
	there, resumes, enters := a.sockudo(t), b.sockudo(t), b.sockudo(t)
	for _, h := range []*hearing{there, resumes} {
		h.say(`{"event":"sockudo:subscribe","data":{"channel":"news"}}`)
		h.next("subscription_succeeded")
	}

	// The other node is ahead of it.
	wire.Hold()
	defer wire.Release()
	a.send(t, "r", "e", "2")
	var at hub.Position
	redistest.Until(t, "the event is handed out", func() bool {
		text := a.events(t, "r", before)
		at, _ = hub.ParsePosition(idOf(t, text))
		return strings.Contains(text, "data: 2\n")
	})
	if res, text := a.pusherCall(t, "/events", `{"name":"e","channels":["news"],"data":"1"}`); res.StatusCode != 200 {
		t.Fatal(res.Status, text)
	}
	seen := place(t, there.next(`"event":"e"`))
	a.pusherCall(t, "/events", `{"name":"e","channels":["paged"],"data":"1"}`)
	a.pusherCall(t, "/events", `{"name":"e","channels":["paged"],"data":"2"}`)
	var first string
	redistest.Until(t, "both are handed out", func() bool {
		first, _ = a.pusherPage(t.Context(), "direction=oldest_first", "limit=1")
		return strings.Contains(first, `"retained_messages":2`)
	})
	cursor := regexp.MustCompile(`"next_cursor":"([^"]+)"`).FindStringSubmatch(first)
	last := regexp.MustCompile(`"newest_available_serial":(\d+)`).FindStringSubmatch(first)
	if cursor == nil || last == nil || strings.Contains(first, `"data":"2"`) {
		t.Fatal(first)
	}

	back.say(`42["room","r",{"since":"` + at.String() + `"}]`)
	back.say(`42["room","s",{"since":"` + at.String() + `"}]`)
	forged.say(`42["room","r",{"since":"` + hub.Position{Epoch: at.Epoch, Number: at.Number + 1000}.String() + `"}]`)
	resumes.say(`{"event":"sockudo:resume","data":{"channel_positions":{"news":` + seen + `}}}`)
	enters.say(`{"event":"sockudo:subscribe","data":{"channel":"news","resume":` + seen + `}}`)
	for _, h := range []*hearing{back, forged, resumes, enters} {
		h.handled() // nobody is answered yet
	}
	type said struct {
		text string
		err  error
	}
	open := b.limit.clients.stats().open
	stream, page := make(chan said, 1), make(chan said, 1)
	second, newest, begun := make(chan said, 1), make(chan said, 1), make(chan said, 1)
	go func() { // ends with the test
		text, err := b.streamed(t.Context(), "r", at.String())
		stream <- said{text, err}
	}()
	redistest.Until(t, "the stream is opened", func() bool { return b.limit.clients.stats().open > open })
	go func() { // ends with the test
		text, err := b.keptBehind(t.Context(), "r", at.String())
		page <- said{text, err}
	}()
	for answer, query := range map[chan said][]string{second: {"cursor=" + cursor[1], "direction=oldest_first"},
		newest: {"end_serial=" + last[1]}, begun: {"start_serial=" + last[1]}} {
		go func() { // ends with the test
			text, err := b.pusherPage(t.Context(), query...)
			answer <- said{text, err}
		}()
	}
	redistest.Until(t, "all wait that come from the other node", func() bool {
		waiting, _ := b.hub.Awaiting()
		return waiting == 8 // but for who enters, who waits for that anyway
	})
	wire.Release()

	back.next(`"poosh:recovered"`, `"room":"r"`, `"recovered":true,"missed":0`)
	back.next(`"poosh:recovered"`, `"room":"s"`, `"recovered":true,"missed":0`)
	forged.next(`"poosh:recovered"`, `"recovered":false`)
	resumes.next(`"event":"e"`) // which is of this connection
	resumes.next(`resume_success`, `news`, `\"failed\":[]`)
	enters.next(`subscription_succeeded`)
	enters.next(`resume_success`, `news`, `\"failed\":[]`)
	for want, answer := range map[string]<-chan said{`"recovered":true,"missed":0`: stream, `"complete":true,"more":false,"events":[]`: page,
		`"data":"2"`: second, `"data":"2","message_id"`: newest, `"channel":"paged","data":"2"`: begun} {
		select {
		case got := <-answer:
			if got.err != nil || !strings.Contains(got.text, want) || strings.Contains(got.text, "event: e\n") {
				t.Errorf("%s %v; want %s", got.text, got.err, want)
			}
		case <-time.After(patience):
			t.Errorf("no answer; want %s", want)
		}
	}

	// Nothing comes twice, and nothing is missing from here on.
	a.send(t, "r", "e", "3")
	a.send(t, "s", "e", "4")
	back.next(`42["e",3,`)
	back.next(`42["e",4,`)
	a.pusherCall(t, "/events", `{"name":"e","channels":["news"],"data":"2"}`)
	resumes.next(`"event":"e"`, `"data":"2"`)
	enters.next(`"event":"e"`, `"data":"2"`)
}

// A node that is cut off answers who is ahead of it within the time of a command.
func TestNodeCutOffAnswersWhoIsAhead(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	wire := redistest.NewWire(t, redis.Addr)
	both := []string{"HISTORY", "5m", "CLUSTER_TIMEOUT", "500ms"}
	a, b := node(t, redis.Addr, both...), node(t, wire.Addr, both...)
	before := idOf(t, a.events(t, "r", ""))
	wire.Cut()
	a.send(t, "r", "e", "1")
	at := before
	redistest.Until(t, "the event is handed out", func() bool {
		at = idOf(t, a.events(t, "r", before))
		return at != before
	})
	if text := b.events(t, "r", at); !strings.Contains(text, `"recovered":false`) {
		t.Errorf("cut off it says %s", text)
	}
	wire.Heal()
	redistest.Until(t, "the node is back", b.cluster.Up)
	redistest.Until(t, "it knows what it missed", func() bool {
		return strings.Contains(b.events(t, "r", at), `"recovered":true`)
	})
}
