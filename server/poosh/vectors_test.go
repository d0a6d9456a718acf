package poosh

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"poosh/server/hub"
	"poosh/server/socketio"
)

// everyone sends an event to all clients.
func (p *place) everyone(event, data string) {
	p.hub.Publish(&hub.Publication{App: App, Everyone: true, Event: event, Data: []byte(data)})
}

// ended waits for the end of a connection.
func (w *tongue) ended() {
	w.t.Helper()
	for {
		_ = w.SetReadDeadline(time.Now().Add(20 * time.Second))
		if _, _, err := w.ReadMessage(); err != nil {
			if strings.Contains(err.Error(), "timeout") {
				w.t.Error("the connection is still open")
			}
			return
		}
	}
}

// Connection state recovery as it was recorded of socket.io 4.8.1, step by step on one server
// that has it on for everybody, with what is ours in place of it: the answer to CONNECT comes
// before what was missed (see [socketio.Session.Resume]), a client that has received nothing
// comes back, and one whose old connection is open takes that over.
func TestRecoveryVectors(t *testing.T) {
	p := newPlace(t, kept, socketio.Config{Recovery: socketio.RecoveryOn})
	w := p.open(4, "")
	step := func(name string, f func()) {
		t.Helper()
		before := t.Failed()
		if f(); t.Failed() && !before {
			t.Errorf("that was in: %s", name)
		}
	}
	var sid, pid, last string
	// away cuts the connection, and waits until the server knows.
	away := func() {
		w.Close()
		p.gone()
	}
	step("1: CONNECT is answered with two ids", func() {
		w.say("40")
		if sid, pid = w.greeting(); pid == "" || pid == sid {
			t.Errorf("sid %q, pid %q", sid, pid)
		}
	})
	step("2: an event to all has an offset", func() {
		p.everyone("e", "1")
		last = offset(t, w.read(), "e")
	})
	step("3: what looks like a place for bytes is no place, and has an offset", func() {
		p.everyone("b", `{"_placeholder":true,"num":0}`)
		got := w.read()
		if last = offset(t, got, "b"); got != `42["b",{"_placeholder":true,"num":0},"`+last+`"]` {
			t.Errorf("read %s", got)
		}
	})
	var first string
	step("4: a cut, and what was missed", func() {
		away()
		p.everyone("m", "2")
		w = p.comesBack(pid, last)
		first, last = last, w.resumes(sid, pid, "m")
	})
	step("7: what the page says beside is the page's", func() {
		away()
		w = p.open(4, "")
		w.say(fmt.Sprintf(`40{"pid":%q,"offset":%q,"token":"t","pid2":"x"}`, pid, first))
		w.resumes(sid, pid, "m")
	})
	step("8: another namespace knows no pid, and uses none up", func() {
		away()
		w = p.open(4, "")
		w.say(fmt.Sprintf(`40/foo,{"pid":%q,"offset":%q}`, pid, last))
		if got := w.read(); got != `44/foo,{"message":"Invalid namespace"}` {
			t.Errorf("read %s", got)
		}
		w.say(fmt.Sprintf(`40{"pid":%q,"offset":%q}`, pid, last))
		w.resumes(sid, pid)
	})
	step("9: an answer has no offset", func() {
		w.say(`425["room","news",{"since":null}]`)
		got := w.read()
		var args []any
		if text, ok := strings.CutPrefix(got, "435"); !ok || json.Unmarshal([]byte(text), &args) != nil || len(args) != 1 {
			t.Errorf("answered %s", got)
		}
	})
	step("11: the old connection is open", func() {
		old := w
		w = p.comesBack(pid, last)
		w.resumes(sid, pid)
		old.ended()
		p.send("news", "e", "3")
		last = offset(t, w.read(), "e")
	})
	step("5: an unknown offset", func() {
		away()
		p.send("news", "e", "4")
		w = p.comesBack(pid, "zzz")
		s, again := w.greeting()
		if s == sid || again == pid || again == "" {
			t.Errorf("is %s with %s", s, again)
		}
		sid, pid = s, again
	})
	step("10: a cut before anything was received", func() {
		away()
		p.everyone("m", "5")
		w = p.comesBack(pid, "")
		last = w.resumes(sid, pid, "m")
	})
	step("6: good-bye was said", func() {
		w.say("41")
		away()
		w = p.comesBack(pid, last)
		if s, again := w.greeting(); s == sid || again == pid {
			t.Errorf("is %s with %s", s, again)
		}
	})
	step("12: a client of protocol 3 gets no argument more", func() {
		old := p.dial(3)
		p.everyone("e", "1")
		old.want(0, `42["e",1]`)
	})
}

// gone waits until nobody is connected.
func (p *place) gone() {
	p.t.Helper()
	for end := time.Now().Add(20 * time.Second); p.hub.Len(App) > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			p.t.Fatalf("%d are connected", p.hub.Len(App))
		}
	}
}

// Whatever stands behind a room's name, it is a wish for that room and for others of names
// that are allowed, or refused.
func FuzzSince(f *testing.F) {
	f.Add(`{"since":"0000000001-0000000001"}`)
	f.Add(`{"since":1e300,"rooms":["a","b","a"]}`)
	f.Add(`{"since":"all","rooms":{"a":1}}`)
	f.Add(`{"since":-0.5,"rooms":[null,1,{}]}`)
	c := NewClients(ClientConfig{MaxRooms: 10, MaxRoomNameBytes: 10, Away: time.Minute}, hub.New(), nil)
	f.Fuzz(func(t *testing.T, arg string) {
		if !json.Valid([]byte(arg)) {
			t.Skip()
		}
		w := wish{room: "r"}
		if w.read([]byte(arg), c.nameOf) != nil {
			return
		}
		if !w.since && (w.missed || len(w.also) > 0) {
			t.Errorf("%s asks for nothing, and for %+v", arg, w)
		}
		if w.missed != (w.last != 0 || !w.after.IsZero()) {
			t.Errorf("%s: %+v", arg, w)
		}
		seen := map[string]bool{w.room: true}
		for _, room := range w.also {
			if seen[room] || len(room) > 10 {
				t.Errorf("%s: rooms %q", arg, w.also)
			}
			seen[room] = true
		}
	})
}
