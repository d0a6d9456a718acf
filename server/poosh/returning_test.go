package poosh

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"poosh/server/hub"
	"poosh/server/hub/history"
	"poosh/server/loop"
	"poosh/server/socketio"
)

// greeting reads the answer to CONNECT.
func (w *tongue) greeting() (sid, pid string) {
	w.t.Helper()
	text := w.read()
	var hello struct{ SID, PID string }
	if !strings.HasPrefix(text, "40{") || json.Unmarshal([]byte(text[2:]), &hello) != nil || hello.SID == "" {
		w.t.Fatalf("CONNECT was answered %s", text)
	}
	return hello.SID, hello.PID
}

// start connects a client that asks for recovery, in the room news.
func (p *place) start(connect string) (w *tongue, sid, pid string) {
	p.t.Helper()
	w = p.open(4, "")
	w.say(connect)
	if sid, pid = w.greeting(); pid == "" || pid == sid {
		p.t.Fatalf("sid %q, pid %q", sid, pid)
	}
	w.say(`420["room","news"]`)
	p.in("news", 1)
	return w, sid, pid
}

// in waits until so many are in a room.
func (p *place) in(room string, want int) {
	p.t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		n, _ := p.hub.Count(App, room)
		if n == want {
			return
		}
		if time.Now().After(end) {
			p.t.Fatalf("%d are in %q, want %d", n, room, want)
		}
	}
}

const asks = `40{"recovery":true}`

// offset is the last argument of an event.
func offset(t *testing.T, packet, event string) string {
	t.Helper()
	var args []any
	if err := json.Unmarshal([]byte(packet[2:]), &args); err != nil || len(args) != 3 || args[0] != event {
		t.Fatalf("%s, want %s with an offset", packet, event)
	}
	return args[2].(string)
}

// comesBack connects with a pid and offset, empty for none.
func (p *place) comesBack(pid, offset string) *tongue {
	w := p.open(4, "")
	if offset == "" {
		w.say(fmt.Sprintf(`40{"pid":%q,"token":"t"}`, pid))
	} else {
		w.say(fmt.Sprintf(`40{"pid":%q,"offset":%q,"token":"t"}`, pid, offset))
	}
	return w
}

// resumes wants the word that the client is who it was, then what it missed.
func (w *tongue) resumes(sid, pid string, events ...string) (last string) {
	w.t.Helper()
	if s, p := w.greeting(); s != sid || p != pid {
		w.t.Fatalf("is %s with %s, was %s with %s", s, p, sid, pid)
	}
	for _, event := range events {
		last = offset(w.t, w.read(), event)
	}
	return last
}

// A library is socket.io-client from 4.6 on, as far as it decides what a page handles: what
// comes before the answer to CONNECT is kept, over connections too, and the offset is that of
// what was handled.
type library struct {
	connected bool
	kept      []string
	offset    string
	handled   []string
}

// hear takes a packet as the library does.
func (l *library) hear(t *testing.T, packet string) {
	switch {
	case strings.HasPrefix(packet, "40"):
		l.connected = true
		for _, p := range l.kept {
			l.handle(t, p)
		}
		l.kept = nil
	case l.connected:
		l.handle(t, packet)
	default:
		l.kept = append(l.kept, packet)
	}
}

func (l *library) handle(t *testing.T, packet string) {
	l.offset = offset(t, packet, "e")
	l.handled = append(l.handled, strings.Split(packet, ",")[1])
}

// A connection is cut between two packets of what was missed, again and again: each event is
// handled once, and in order.
func TestCutWithinAReplay(t *testing.T) {
	const missed = 30
	p := newPlace(t, kept, socketio.Config{})
	w, _, pid := p.start(asks)
	w.Close()
	p.in("news", 0)
	var want []string
	for n := range missed {
		p.send("news", "e", fmt.Sprint(n))
		want = append(want, fmt.Sprint(n))
	}
	var page library
	for try := 0; len(page.handled) < missed; try++ {
		if try > 3*missed {
			t.Fatalf("handled %v", page.handled)
		}
		w, page.connected = p.comesBack(pid, page.offset), false
		for range 2 + try%3 {
			if page.hear(t, w.read()); len(page.handled) >= missed {
				break
			}
		}
		w.Close() // whether the server has noticed yet or not
	}
	if !slices.Equal(page.handled, want) {
		t.Errorf("handled %v", page.handled)
	}
}

// The client's connection is cut, events come that are and are not for it, and it comes
// back, twice, with nothing in between the second time.
func TestConnectionStateRecovery(t *testing.T) {
	p := newPlace(t, kept, socketio.Config{})
	w, sid, pid := p.start(asks)
	p.send("news", "e", `"text"`)
	last := offset(t, w.read(), "e")
	w.Close()
	p.in("news", 0)
	p.send("news", "m1", "1")
	p.send("other", "m2", "2")
	p.send(sid, "m3", "3")
	p.hub.Publish(&hub.Publication{App: App, Everyone: true, Event: "m4", Data: []byte("4")})
	p.hub.Publish(&hub.Publication{App: App, Room: "news", Event: "m5", Data: []byte("5"), Except: sid})
	w = p.comesBack(pid, last)
	last = w.resumes(sid, pid, "m1", "m3", "m4")
	p.send("news", "live", "6") // its rooms are those that it was in
	if got := offset(t, w.read(), "live"); got <= last {
		t.Errorf("%s after %s", got, last)
	}
	w.Close()
	p.in("news", 0)
	w = p.comesBack(pid, last)
	last = w.resumes(sid, pid, "live")
	w.Close()
	p.in("news", 0)
	w = p.comesBack(pid, last)
	w.resumes(sid, pid)
	if err := p.hub.Check(); err != nil {
		t.Error(err)
	}
}

// What was published to a room before the client was in it is not what it missed, though it is
// behind the last event that it saw: it was told where it stands.
func TestRecoveryIsNotOfBeforeTheJoin(t *testing.T) {
	for _, open := range []bool{false, true} {
		p := newPlace(t, kept, socketio.Config{})
		w, sid, pid := p.start(asks)
		p.send("news", "e", "1")
		last := offset(t, w.read(), "e")
		p.send("late", "before", "2")
		w.say(`421["room","late",{"since":null}]`)
		w.told("431")
		p.send("late", "m1", "3")
		p.send("news", "m2", "4")
		if !open {
			w.Close()
			p.in("news", 0)
		}
		p.comesBack(pid, last).resumes(sid, pid, "m1", "m2")
		// Nor is it when it comes back once more, from before that.
		p.comesBack(pid, "").resumes(sid, pid, "e", "m1", "m2")
	}
}

// A client that had received nothing comes back to where it was connected.
func TestRecoveryBeforeTheFirstEvent(t *testing.T) {
	p := newPlace(t, kept, socketio.Config{})
	w, sid, pid := p.start(asks)
	w.Close()
	p.in("news", 0)
	p.send("news", "m", "1")
	p.comesBack(pid, "").resumes(sid, pid, "m")
}

// The old connection seems open: it is closed, and the new one has what was its.
func TestTakeOver(t *testing.T) {
	p := newPlace(t, kept, socketio.Config{})
	old, sid, pid := p.start(asks)
	p.send("news", "e", "1")
	last := offset(t, old.read(), "e")
	p.send("news", "lost", "2")
	w := p.comesBack(pid, last)
	w.resumes(sid, pid, "lost")
	old.read() // the copy of it that was on its way
	_ = old.SetReadDeadline(time.Now().Add(20 * time.Second))
	if _, text, err := old.ReadMessage(); err == nil {
		t.Errorf("the old connection read %s", text)
	}
	p.in("news", 1)
	p.send("news", "live", "3")
	offset(t, w.read(), "live")
	// The end of the old one is not that of the new one's state.
	w.Close()
	p.in("news", 0)
	p.comesBack(pid, last).resumes(sid, pid, "lost", "live")
}

// What cannot be is a new session: no event, another sid and another pid.
func TestRecoveryThatCannotBe(t *testing.T) {
	tests := []struct {
		name, connect string // %[1]s is the pid, %[2]s the offset
		before        func(p *place, w *tongue, sid string)
	}{
		{"an unknown offset", `40{"pid":%[1]q,"offset":"zzz"}`, nil},
		{"an offset of another log", `40{"pid":%[1]q,"offset":"0000000001-0000000001"}`, nil},
		{"an offset of the future", `40{"pid":%[1]q,"offset":"%.10[2]s-vvvvvvvvvv"}`, nil},
		{"an offset that is a number", `40{"pid":%[1]q,"offset":5}`, nil},
		{"an empty offset", `40{"pid":%[1]q,"offset":""}`, nil},
		{"an unknown pid", `40{"pid":"A%.35[1]s","offset":%[2]q,"recovery":true}`, nil},
		{"a pid with another secret", `40{"pid":"%.20[1]sAAAAAAAAAAAAAAAA","offset":%[2]q,"recovery":true}`, nil},
		{"a pid that is a number", `40{"pid":5,"offset":%[2]q,"recovery":true}`, nil},
		{"good-bye was said", `40{"pid":%[1]q,"offset":%[2]q}`, func(_ *place, w *tongue, _ string) { w.say("41") }},
		{"it was kicked", `40{"pid":%[1]q,"offset":%[2]q}`, func(p *place, _ *tongue, sid string) {
			p.hub.Find(App, sid).Receiver().(*socketio.Session).Kick()
		}},
		{"it was away for too long", `40{"pid":%[1]q,"offset":%[2]q}`, nil},
		{"too many are away", `40{"pid":%[1]q,"offset":%[2]q}`, nil},
		{"too much was missed", `40{"pid":%[1]q,"offset":%[2]q}`, func(p *place, w *tongue, _ string) {
			p.send("news", "first", "1")
			p.send("news", "second", "2")
			p.send("news", "third", "3")
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newPlace(t, history.Config{Age: time.Minute, Events: 3}, socketio.Config{}, func(c *ClientConfig) {
				switch tt.name {
				case "it was away for too long":
					c.Away = 0
				case "too many are away":
					c.AwayBytes = stateRoomCost
				}
			})
			w, sid, pid := p.start(asks)
			p.send("news", "e", "1")
			last := offset(t, w.read(), "e")
			if tt.before != nil {
				tt.before(p, w, sid)
			}
			w.Close()
			p.in("news", 0)
			p.send("news", "m", "1")
			w = p.open(4, "")
			w.say(fmt.Sprintf(tt.connect+"%.0[1]s%.0[2]s", pid, last))
			if s, again := w.greeting(); s == sid || again == pid || again == "" {
				t.Errorf("is %s with %q, was %s with %s", s, again, sid, pid)
			}
			if not, whole := p.clients.recovered.not.Load(), p.clients.recovered.whole.Load(); not != 1 || whole != 0 {
				t.Errorf("%d count as not recovered, %d as recovered", not, whole)
			}
			p.send("news", "not for it", "1")
			p.hub.Publish(&hub.Publication{App: App, Everyone: true, Event: "live", Data: []byte("4")})
			offset(t, w.read(), "live")
		})
	}
}

// post and get are the requests of a client that polls.
func (p *place) post(sid, body string) {
	p.t.Helper()
	answer, err := http.Post("http://"+p.addr+"/socket.io/?EIO=4&transport=polling&sid="+sid, "text/plain", strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	answer.Body.Close()
}

func (p *place) get(sid string) string {
	p.t.Helper()
	answer, err := http.Get("http://" + p.addr + "/socket.io/?EIO=4&transport=polling&sid=" + sid)
	if err != nil {
		p.t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(body)
}

// polls connects a client that polls, in a room; nothing waits for it.
func (p *place) polls(connect, room string) (sid, pid string) {
	p.t.Helper()
	var hello struct{ SID, PID string }
	if err := json.Unmarshal([]byte(p.get("")[1:]), &hello); err != nil {
		p.t.Fatal(err)
	}
	engine := hello.SID
	p.post(engine, connect)
	if err := json.Unmarshal([]byte(p.get(engine)[2:]), &hello); err != nil {
		p.t.Fatal(err)
	}
	p.post(engine, `42["room","`+room+`"]`)
	p.in(room, 1)
	return hello.SID, hello.PID
}

// The word that ends a kicked client may be too much for it: it is kicked all the same.
func TestKickThatOverflows(t *testing.T) {
	p := newPlace(t, kept, socketio.Config{Outbox: 64 << 10})
	sid, pid := p.polls(asks, "news")
	session := p.hub.Find(App, sid).Receiver().(*socketio.Session)
	left := 64<<10 - session.Waiting() - loop.Cost(socketio.EventFrame("e", []byte(`""`))) - 8
	if !session.Deliver(socketio.EventFrame("e", []byte(`"`+strings.Repeat("x", left)+`"`))) {
		t.Fatal("its outbox was full before")
	}
	session.Kick()
	p.in("news", 0)
	if why, slow := session.Ending(); !slow {
		t.Fatalf("it ended for %s", why)
	}
	w := p.comesBack(pid, "")
	if s, again := w.greeting(); s == sid || again == pid {
		t.Errorf("is %s with %s", s, again)
	}
}

// What waits for clients that poll is no reason to refuse one on a WebSocket what it missed.
func TestRecoveryBesideWhoPolls(t *testing.T) {
	p := newPlace(t, kept, socketio.Config{Unfetched: 10_000})
	w, sid, pid := p.start(asks)
	polling, _ := p.polls("40", "other")
	session := p.hub.Find(App, polling).Receiver().(*socketio.Session)
	if !session.Deliver(socketio.EventFrame("e", []byte(`"`+strings.Repeat("x", 9_900)+`"`))) {
		t.Fatal("nothing can wait for a client that polls")
	}
	w.Close()
	p.in("news", 0)
	p.send("news", "m", `"`+strings.Repeat("x", 1000)+`"`)
	p.comesBack(pid, "").resumes(sid, pid, "m")
}

// A client whose query asks speaks protocol 4, however late it asks for the namespace: it is
// not taken for one that waits for that.
func TestAskedForLate(t *testing.T) {
	p := newPlace(t, kept, socketio.Config{})
	w := p.open(4, "&recovery=1")
	time.Sleep(1500 * time.Millisecond) // after 1 s others are taken for one of protocol 3
	w.say("40")
	if _, pid := w.greeting(); pid == "" {
		t.Error("it has no pid")
	}
}

// Who has not asked has no pid, and no argument more; who may is a setting.
func TestWhoMayComeBack(t *testing.T) {
	tests := []struct {
		name           string
		mode           socketio.Recovery
		eio            int
		query, connect string
		want           bool
	}{
		{"not asked", socketio.RecoveryAsked, 4, "", "40", false},
		{"not asked, with words of the page's", socketio.RecoveryAsked, 4, "", `40{"token":"t"}`, false},
		{"asked no", socketio.RecoveryAsked, 4, "", `40{"recovery":false}`, false},
		{"asked", socketio.RecoveryAsked, 4, "", `40{"recovery":true}`, true},
		{"asked, as a text", socketio.RecoveryAsked, 4, "", `40{"recovery":"1"}`, true},
		{"asked by the query", socketio.RecoveryAsked, 4, "&recovery=1", "40", true},
		{"on", socketio.RecoveryOn, 4, "", "40", true},
		{"off", socketio.RecoveryOff, 4, "&recovery=1", `40{"recovery":true}`, false},
		{"protocol 3", socketio.RecoveryOn, 3, "&recovery=1", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newPlace(t, kept, socketio.Config{Recovery: tt.mode})
			w := p.open(tt.eio, tt.query)
			if tt.connect != "" {
				w.say(tt.connect)
			}
			if got := w.read(); strings.Contains(got, `"pid":`) != tt.want {
				t.Errorf("answered %s", got)
			}
			p.hub.Publish(&hub.Publication{App: App, Everyone: true, Event: "e", Data: []byte("1")})
			if got := w.read(); (got != `42["e",1]`) != tt.want {
				t.Errorf("read %s", got)
			}
		})
	}
}

// The connection is cut at each of many points while events flow.
func TestRecoveryAtEachPoint(t *testing.T) {
	const points = 300
	p := newPlace(t, kept, socketio.Config{})
	w, sid, pid := p.start(asks)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := range points {
			if n%3 == 0 {
				p.hub.Publish(&hub.Publication{App: App, Everyone: true, Event: "e", Data: fmt.Append(nil, n)})
			} else {
				p.send("news", "e", fmt.Sprint(n))
			}
			time.Sleep(time.Millisecond)
		}
	}()
	defer func() { <-done }()
	last := ""
	for n := 0; n < points; n++ {
		packet := w.read()
		for strings.HasPrefix(packet, "40") {
			if !strings.Contains(packet, sid) {
				t.Fatalf("event %d: %s", n, packet)
			}
			packet = w.read()
		}
		last = offset(t, packet, "e")
		if !strings.HasPrefix(packet, fmt.Sprintf(`42["e",%d,`, n)) {
			t.Fatalf("%s in place of number %d", packet, n)
		}
		w.Close() // whether the server has noticed yet or not
		w = p.comesBack(pid, last)
	}
}
