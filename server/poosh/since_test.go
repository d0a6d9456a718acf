package poosh

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"poosh/server/http1/http1test"
	"poosh/server/hub"
	"poosh/server/hub/history"
	"poosh/server/loop"
	"poosh/server/quota"
	"poosh/server/rate"
	"poosh/server/socketio"
)

// A place is the dialect's clients behind a port of this machine.
type place struct {
	t    *testing.T
	hub  *hub.Hub
	addr string

	clients *Clients
	server  *socketio.Server
}

// newPlace serves clients; what is kept is as cfg says, if anything.
func newPlace(t *testing.T, cfg history.Config, sockets socketio.Config, change ...func(*ClientConfig)) *place {
	t.Helper()
	p := &place{t: t, hub: hub.New()}
	if cfg.On() {
		p.hub = hub.NewWith(nil, history.New(cfg, App))
	}
	log := slog.New(slog.DiscardHandler)
	with := ClientConfig{MaxRooms: 10, MaxRoomNameBytes: 100, Rooms: quota.New(1 << 20), Away: cfg.Age, AwayBytes: 1 << 20}
	for _, set := range change {
		set(&with)
	}
	clients := NewClients(with, p.hub, log)
	p.clients = clients
	on := http1test.SocketsOn(t, loop.Config{Outbox: sockets.Outbox})
	server := socketio.New(on, sockets, clients, log)
	p.server = server
	p.addr = http1test.Serve(t, on, server, socketio.Where).Addr
	return p
}

func (p *place) send(room, event, data string) {
	p.hub.Publish(&hub.Publication{App: App, Room: room, Event: event, Data: []byte(data)})
}

// A tongue is a client on a WebSocket, of either protocol.
type tongue struct {
	*websocket.Conn
	t   *testing.T
	sid string
}

func (p *place) dial(eio int) *tongue {
	p.t.Helper()
	w := p.open(eio, "")
	if eio == 4 {
		w.say("40")
	}
	if got := w.read(); !strings.HasPrefix(got, "40") {
		p.t.Fatalf("connected with %q", got)
	}
	return w
}

// open is dial without the namespace.
func (p *place) open(eio int, query string) *tongue {
	p.t.Helper()
	c, _, err := websocket.DefaultDialer.Dial(fmt.Sprintf("ws://%s/socket.io/?EIO=%d&transport=websocket%s", p.addr, eio, query), http.Header{})
	if err != nil {
		p.t.Fatal(err)
	}
	w := &tongue{Conn: c, t: p.t}
	p.t.Cleanup(func() { c.Close() })
	open := w.read()
	var hello struct{ SID string }
	if err := json.Unmarshal([]byte(open[1:]), &hello); err != nil {
		p.t.Fatalf("%q: %v", open, err)
	}
	w.sid = hello.SID
	return w
}

func (w *tongue) say(text string) {
	w.t.Helper()
	if err := w.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		w.t.Fatal(err)
	}
}

// read reads one packet; pings are answered.
func (w *tongue) read() string {
	w.t.Helper()
	for {
		_ = w.SetReadDeadline(time.Now().Add(20 * time.Second))
		_, text, err := w.ReadMessage()
		if err != nil {
			w.t.Fatal(err)
		}
		if string(text) == "2" {
			w.say("3")
			continue
		}
		return string(text)
	}
}

// want reads packets; {n} in one stands for the position of number n.
func (w *tongue) want(epoch uint64, packets ...string) {
	w.t.Helper()
	for _, want := range packets {
		for n := range uint64(20) {
			want = strings.ReplaceAll(want, fmt.Sprintf("{%d}", n), hub.Position{Epoch: epoch, Number: n}.String())
		}
		if got := w.read(); got != want {
			w.t.Errorf("read %s, want %s", got, want)
		}
	}
}

// epoch asks where the log is.
func (w *tongue) epoch() uint64 {
	w.t.Helper()
	w.say(`429["room","epoch",{}]`)
	at, ok := hub.ParsePosition(w.told("439").ID)
	if !ok {
		w.t.Fatal("no position was told")
	}
	return at.Epoch
}

type told struct {
	Room, ID  string
	Recovered *bool
	Missed    int
}

// told reads an answer behind a prefix.
func (w *tongue) told(prefix string) (answer told) {
	w.t.Helper()
	text := w.read()
	rest, ok := strings.CutPrefix(text, prefix)
	var list []told
	if !ok || json.Unmarshal([]byte(rest), &list) != nil || len(list) != 1 {
		w.t.Fatalf("answered %s, want %s and one object", text, prefix)
	}
	return list[0]
}

var kept = history.Config{Age: time.Minute}

// The transcript of a client of any version that opts in by its join: events carry the
// position as a last argument, and those of others do not.
func TestSince(t *testing.T) {
	for _, eio := range []int{3, 4} {
		t.Run(fmt.Sprint("EIO=", eio), func(t *testing.T) {
			p := newPlace(t, kept, socketio.Config{})
			other := p.dial(eio)
			other.say(`421["room","news"]`) // the Node server answered no join, and neither do we
			waitFor(t, p.hub, "news")
			c := p.dial(eio)
			epoch := c.epoch()
			c.say(`420["room","news",{"since":null}]`)
			c.want(epoch, `430[{"room":"news","id":"{0}","recovered":null,"missed":0}]`)
			p.send("news", "ev", `{"a":1}`)
			p.send("elsewhere", "ev", `2`)
			p.hub.Publish(&hub.Publication{App: App, Everyone: true, Event: "all", Data: []byte("3")})
			c.want(epoch, `42["ev",{"a":1},"{1}"]`, `42["all",3,"{3}"]`)
			other.want(epoch, `42["ev",{"a":1}]`, `42["all",3]`)
			p.send(c.sid, "own", `4`)
			if eio == 3 { // whose socket has the id of its session
				c.want(epoch, `42["own",4,"{4}"]`)
			}
			c.Close()

			p.send("news", "ev", `5`)
			p.send("elsewhere", "ev", `6`)
			c = p.dial(eio)
			c.say(fmt.Sprintf(`427["room","news",{"since":"%v"}]`, hub.Position{Epoch: epoch, Number: 1}))
			c.want(epoch, `42["all",3,"{3}"]`, `42["ev",5,"{5}"]`, `437[{"room":"news","id":"{6}","recovered":true,"missed":2}]`)
			p.send("news", "ev", `7`)
			c.want(epoch, `42["ev",7,"{7}"]`)
			other.want(epoch, `42["ev",5]`, `42["ev",7]`)
		})
	}
}

// What a page may say, and what it is told. Six events are in the log, three of them of
// the room; two of a room are kept.
func TestWhatSinceMayBe(t *testing.T) {
	p := newPlace(t, history.Config{Age: time.Minute, Events: 3}, socketio.Config{})
	epoch := p.dial(4).epoch()
	for i := range 8 {
		p.send([]string{"news", "other"}[i%2], "ev", fmt.Sprint(i+1))
	}
	three, two := `42["ev",3,"{3}"]`, []string{`42["ev",5,"{5}"]`, `42["ev",7,"{7}"]`}
	tests := []struct {
		name, args string
		want       []string
	}{
		{"undefined, as it arrives", `{}`, []string{`430[{"room":"news","id":"{8}","recovered":null,"missed":0}]`}},
		{"null", `{"since":null}`, []string{`430[{"room":"news","id":"{8}","recovered":null,"missed":0}]`}},
		{"an empty text", `{"since":""}`, []string{`430[{"room":"news","id":"{8}","recovered":null,"missed":0}]`}},
		{"a position", `{"since":"{3}"}`, append(two[:2:2], `430[{"room":"news","id":"{8}","recovered":true,"missed":2}]`)},
		{"that of another room's event", `{"since":"{4}"}`, append(two[:2:2], `430[{"room":"news","id":"{8}","recovered":true,"missed":2}]`)},
		{"the first that is covered", `{"since":"{1}"}`, []string{three, two[0], two[1], `430[{"room":"news","id":"{8}","recovered":true,"missed":3}]`}},
		{"too old", `{"since":"{0}"}`, []string{`430[{"room":"news","id":"{8}","recovered":false,"missed":0}]`}},
		{"nothing missed", `{"since":"{8}"}`, []string{`430[{"room":"news","id":"{8}","recovered":true,"missed":0}]`}},
		{"of the future", `{"since":"{9}"}`, []string{`430[{"room":"news","id":"{8}","recovered":false,"missed":0}]`}},
		{"of another epoch", `{"since":"0000000001-0000000001"}`, []string{`430[{"room":"news","id":"{8}","recovered":false,"missed":0}]`}},
		{"no position", `{"since":"k7-1"}`, []string{`430[{"room":"news","id":"{8}","recovered":false,"missed":0}]`}},
		{"a number", `{"since":2}`, append(two[:2:2], `430[{"room":"news","id":"{8}","recovered":true,"missed":2}]`)},
		{"a large number", `{"since":1e300}`, []string{three, two[0], two[1], `430[{"room":"news","id":"{8}","recovered":false,"missed":3}]`}},
		{"a number that is none", `{"since":-1}`, []string{`430[{"room":"news","id":"{8}","recovered":false,"missed":0}]`}},
		{"another value", `{"since":[1]}`, []string{`430[{"room":"news","id":"{8}","recovered":false,"missed":0}]`}},
		{"all", `{"since":"all"}`, []string{three, two[0], two[1], `430[{"room":"news","id":"{8}","recovered":false,"missed":3}]`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := p.dial(3)
			c.t = t
			for n := range uint64(10) {
				tt.args = strings.ReplaceAll(tt.args, fmt.Sprintf("{%d}", n), hub.Position{Epoch: epoch, Number: n}.String())
			}
			c.say(`420["room","news",` + tt.args + `]`)
			c.want(epoch, tt.want...)
		})
	}
}

// Arguments that ask for nothing leave a client as it was, and without HISTORY all do.
func TestNotAsked(t *testing.T) {
	for _, tt := range []struct {
		name, args string
		cfg        history.Config
	}{
		{"another object", `{"sinc":null}`, kept},
		{"a text", `"since"`, kept},
		{"nothing is kept", `{"since":"all"}`, history.Config{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPlace(t, tt.cfg, socketio.Config{})
			c := p.dial(3)
			c.say(`420["room","news",` + tt.args + `]`)
			waitFor(t, p.hub, "news")
			p.send("news", "ev", `1`)
			c.want(0, `42["ev",1]`)
		})
	}
}

// waitFor waits until somebody is in a room.
func waitFor(t *testing.T, h *hub.Hub, room string) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		if n, _ := h.Count(App, room); n > 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("nobody is in %q", room)
		}
	}
}

// A client that wants no answer is told by an event.
func TestRecoveredEvent(t *testing.T) {
	p := newPlace(t, kept, socketio.Config{})
	c := p.dial(3)
	epoch := c.epoch()
	p.send("news", "ev", `1`)
	c.say(`42["room","news",{"since":"all"}]`)
	c.want(epoch, `42["ev",1,"{1}"]`, `42["poosh:recovered",{"room":"news","id":"{1}","recovered":true,"missed":1}]`)
}

// Joins come in any order after a reconnect: a plain one before that with since, from a
// client that buffers what it says while it is offline, takes nothing away and gives
// nothing twice; nor does one behind it.
func TestJoinWithoutSince(t *testing.T) {
	p := newPlace(t, kept, socketio.Config{})
	c := p.dial(3)
	epoch := c.epoch()
	p.send("news", "ev", `1`)
	c.say(`42["room","news"]`)
	waitFor(t, p.hub, "news")
	zero := hub.Position{Epoch: epoch}.String()
	c.say(`421["room","news",{"since":"` + zero + `"}]`)
	c.want(epoch, `42["ev",1,"{1}"]`, `431[{"room":"news","id":"{1}","recovered":true,"missed":1}]`)
	c.say(`42["room","news"]`)
	c.say(`422["room","news",{"since":"` + zero + `"}]`)
	c.want(epoch, `432[{"room":"news","id":"{1}","recovered":true,"missed":0}]`)
	p.send("news", "ev", `2`)
	c.want(epoch, `42["ev",2,"{2}"]`)
}

// What does not fit the outbox is told as not recoverable, again and again, and the client
// stays.
func TestRecoveryThatDoesNotFit(t *testing.T) {
	p := newPlace(t, kept, socketio.Config{Outbox: 64 << 10})
	c := p.dial(4)
	epoch := c.epoch()
	long := `"` + strings.Repeat("x", 20<<10) + `"`
	for range 3 {
		p.send("news", "ev", long)
	}
	for range 3 {
		c.say(`421["room","news",{"since":"` + hub.Position{Epoch: epoch}.String() + `"}]`)
		c.want(epoch, `431[{"room":"news","id":"{3}","recovered":false,"missed":0}]`)
	}
	c.say(`422["room","news",{"since":1}]`)
	c.want(epoch, `42["ev",`+long+`,"{3}"]`, `432[{"room":"news","id":"{3}","recovered":true,"missed":1}]`)
}

// A connection has the larger outbox that counts since it was opened: what fits that reaches
// it.
func TestRecoveryBehindAnotherOutbox(t *testing.T) {
	p := newPlace(t, kept, socketio.Config{Outbox: 64 << 10})
	c := p.dial(4)
	epoch := c.epoch()
	p.server.Change(socketio.Config{Outbox: 1 << 20})
	long := `"` + strings.Repeat("x", 20<<10) + `"`
	var want []string
	for n := range 10 {
		p.send("news", "ev", long)
		want = append(want, fmt.Sprintf(`42["ev",%s,"{%d}"]`, long, n+1))
	}
	c.say(`421["room","news",{"since":"all"}]`)
	c.want(epoch, append(want, `431[{"room":"news","id":"{10}","recovered":true,"missed":10}]`)...)
}

// Who asks on and on for what does not fit is told so without a look after a while, for what
// would fit too; another client is not.
func TestRecoveriesThatDoNotFitAreNotForFree(t *testing.T) {
	p := newPlace(t, kept, socketio.Config{Outbox: 64 << 10})
	epoch := p.dial(4).epoch()
	long := `"` + strings.Repeat("x", 20<<10) + `"`
	for range 3 {
		p.send("news", "ev", long)
	}
	p.send("small", "ev", `1`)
	c := p.dial(4)
	zero := hub.Position{Epoch: epoch}.String()
	for range rate.FruitlessAtOnce + 5 {
		c.say(`421["room","news",{"since":"` + zero + `"}]`)
		c.want(epoch, `431[{"room":"news","id":"{4}","recovered":false,"missed":0}]`)
	}
	c.say(`422["room","small",{"since":1}]`)
	c.want(epoch, `432[{"room":"small","id":"{4}","recovered":false,"missed":0}]`)
	c = p.dial(4)
	c.say(`422["room","small",{"since":1}]`)
	c.want(epoch, `42["ev",1,"{4}"]`, `432[{"room":"small","id":"{4}","recovered":true,"missed":1}]`)
}

// One encoding for each kind of client, and within the room's lock none.
func TestEncodingsWithPositions(t *testing.T) {
	for _, e := range []hub.Encoder{EncoderIDs, EncoderIDs4} {
		p := &hub.Publication{Event: "e", Data: []byte(`"é"`)}
		frame := e.Encode(p)
		if n := testing.AllocsPerRun(100, func() { e.(hub.Numbered).Place(frame, hub.Position{Epoch: 5, Number: 33}) }); n != 0 {
			t.Errorf("writing a position allocates %v times", n)
		}
		if got := string(frame[2:]); got != `42["e","\u00e9","0000000005-0000000011"]` {
			t.Errorf("got %s", got)
		}
	}
	if EncoderIDs4.Encode(&hub.Publication{Event: "disconnect"}) != nil || EncoderIDs.Encode(&hub.Publication{Event: "disconnect"}) == nil {
		t.Error("disconnect is for the old ones alone")
	}
}

// The connection is cut at each of a thousand points while events go to two rooms: behind
// an event that is read, whatever was on its way is lost.
func TestCutAtEachOfAThousandPoints(t *testing.T) {
	const points = 1000
	p := newPlace(t, history.Config{Age: time.Minute, Events: 3 * points}, socketio.Config{MaxSessionsPerAddress: 10_000, MaxSessions: 10_000})
	start := hub.Position{Epoch: p.dial(3).epoch()}
	var publisher sync.WaitGroup
	publisher.Go(func() {
		for n := range points {
			p.send([]string{"a", "b"}[n%2], "ev", fmt.Sprint(n))
			time.Sleep(500 * time.Microsecond)
		}
	})
	defer publisher.Wait()
	last, seen := start.String(), 0
	for cut := 0; seen < points; cut++ {
		w := p.dial(3 + cut%2)
		w.say(fmt.Sprintf(`42["room","a",{"since":%q,"rooms":["b"]}]`, last))
		// What was missed comes first, so that one event is seen each time at the least.
		for before := seen; seen == before; {
			follow(t, w.read(), &last, &seen)
		}
		w.Close()
	}
}

// follow notes what a page that is cut off would know of a packet.
func follow(t *testing.T, packet string, last *string, seen *int) {
	t.Helper()
	var args []json.RawMessage
	if err := json.Unmarshal([]byte(packet[2:]), &args); err != nil {
		t.Fatalf("%s: %v", packet, err)
	}
	if string(args[0]) == `"poosh:recovered"` {
		var answer told
		if json.Unmarshal(args[1], &answer) != nil || answer.Recovered == nil || !*answer.Recovered {
			t.Fatalf("told %s", packet)
		}
		*last = answer.ID
		return
	}
	if len(args) != 3 || string(args[1]) != fmt.Sprint(*seen) {
		t.Fatalf("%s in place of number %d", packet, *seen)
	}
	*last = strings.Trim(string(args[2]), `"`)
	*seen++
}
