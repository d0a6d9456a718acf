package echo

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"poosh/server/handover"
	"poosh/server/hub"
	"poosh/server/presence/presencetest"
)

// TestRestart has a client come back to the next process, in its private channel: unless that asks
// no application, since nobody may be in one there.
func TestRestart(t *testing.T) {
	for name, asks := range map[string]bool{"with an application": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			app := newApplication(t)
			p := keptPlace(t, app.config)
			w := p.page("40")
			w.join("private-a", "1", 0)
			w.Close()
			until(t, "it is gone", func() bool { return p.hub.Len(App) == 0 })
			var file bytes.Buffer
			out := handover.NewWriter(t.Context(), &file)
			p.states.Save(out)
			if err := out.Flush(); err != nil {
				t.Fatal(err)
			}
			next := servePlace(t, p.hub, func(c *Config) {
				c.Away, c.AwayBytes = time.Hour, 1<<20
				if asks {
					app.config(c)
				}
			})
			if err := next.states.Restore(handover.NewReader(&file, int64(file.Len()))); err != nil {
				t.Fatal(err)
			}
			back := next.page(fmt.Sprintf(`40{"pid":%q}`, w.pid))
			back.join("orders", "", 0)
			if n, _ := p.hub.Count(App, "private-a"); asks != (n == 1) || asks != (back.sid == w.sid) {
				t.Errorf("%d are in the channel; it is %s and was %s", n, back.sid, w.sid)
			}
		})
	}
}

// TestLeavesBetween has a client that was out of a private channel be given nothing of that time,
// whatever it says that it has had.
func TestLeavesBetween(t *testing.T) {
	p := keptPlace(t, newApplication(t).config)
	w := p.page("40")
	w.join("private-a", "1", 0)
	p.send("private-a", "e", `{"n":1}`, "")
	offset := w.offset(`42["e","private-a",{"n":1}`)
	connect := fmt.Sprintf(`40{"pid":%q,"offset":%q}`, w.pid, offset)
	w.Close()
	until(t, "it is gone", func() bool { return p.find(w.sid) == nil })
	back := p.page(connect)
	if back.sid != w.sid {
		t.Fatal("is another one")
	}
	p.send("private-a", "e", `{"n":2}`, "")
	back.offset(`42["e","private-a",{"n":2}`)
	back.say(`42["unsubscribe",{"channel":"private-a"}]`)
	p.in("private-a", 0)
	p.send("private-a", "e", `{"secret":3}`, "")
	back.join("private-a", "1", 0)
	p.send("private-a", "e", `{"n":4}`, "")
	back.offset(`42["e","private-a",{"n":4}`)
	back.Close()
	until(t, "it is gone", func() bool { return p.find(w.sid) == nil })
	again := p.page(connect)
	if again.sid != w.sid {
		t.Fatal("is another one")
	}
	again.offset(`42["e","private-a",{"n":4}`)
}

// TestNoMemberYet has a client that has come back, and is cut off before it is a member again, still
// be who it was.
func TestNoMemberYet(t *testing.T) {
	who := &member{id: "1", entry: []byte("{}")}
	l := &listener{channels: map[string]*subscription{
		"presence-r": {channel: "presence-r", kind: kindOf("presence-r"), seated: true, returned: true, back: who},
		"presence-s": {channel: "presence-s", kind: kindOf("presence-s"), seated: true},
		"orders":     {channel: "orders", seated: true},
		"asked":      {channel: "asked"},
	}}
	rooms, members, returned := l.seats()
	if len(rooms) != 2 || len(members) != 1 || members["presence-r"] != who || !returned["presence-r"] || returned["orders"] {
		t.Errorf("in %q as %v, come back to %v", rooms, members, returned)
	}
}

// TestLeavesWhileTheDeskIsAsked has nothing be kept of a channel that nobody is in.
func TestLeavesWhileTheDeskIsAsked(t *testing.T) {
	engine := presencetest.New()
	t.Cleanup(engine.Close)
	set := newApplication(t).config
	a, b := nodePlace(t, engine.Node("a", nil), set), nodePlace(t, engine.Node("b", nil), set)
	w, other := a.page("40"), b.page("40")
	other.subscribe("presence-r", "2")
	other.read()
	l := a.find(w.sid)
	s := &subscription{channel: "presence-r", kind: kindOf("presence-r")} // not in l.channels: it has left
	a.hub.Queue(App, s.channel, func(r *hub.Roster) {
		l.ask(r, s, &member{id: "1", entry: []byte(user1 + `}`), bare: []byte(user1 + `}`)})
	})
	other.wants(`42["presence:joining","presence-r",`+user1+`}]`, `42["presence:leaving","presence-r",`+user1+`}]`)
	until(t, "the channel is over", func() bool { return a.hub.CountRooms(App) == 0 })
	a.Dialect.mu.Lock()
	defer a.Dialect.mu.Unlock()
	if len(a.infos) != 0 {
		t.Errorf("kept %v", a.infos)
	}
}

// TestChannels lists channels in the order of their names, and counts who is in them on all nodes.
func TestChannels(t *testing.T) {
	eachPresence(t, func(t *testing.T, a, b *place) {
		first, second := a.page("40"), b.page("40")
		first.join("orders", "", 0)
		there := 1
		if a != b {
			there = 0
		}
		second.join("orders", "", there)
		second.join("private-x", "1", 0)
		first.subscribe("presence-r", "1")
		first.read()
		for _, n := range []int{2, 1, 0} {
			first.join(fmt.Sprintf("many.%d", n), "", 0)
		}
		var got []string
		for ch, err := range (door{b.Dialect}).Channels(t.Context(), "") {
			got = append(got, fmt.Sprint(ch.Name, " ", ch.Count, " ", err))
		}
		if want := "many.0 1 <nil>, many.1 1 <nil>, many.2 1 <nil>, orders 2 <nil>, presence-r 1 <nil>, private-x 1 <nil>"; strings.Join(got, ", ") != want {
			t.Errorf("channels %s\nwant     %s", strings.Join(got, ", "), want)
		}
		for name, want := range map[string]int{"orders": 2, "private-x": 1, "presence-r": 1, "nothing": 0} {
			if ch, err := (door{a.Dialect}).Channel(t.Context(), name); err != nil || ch.Count != want || ch.Users != 0 && name != "presence-r" {
				t.Errorf("%s: %+v, %v", name, ch, err)
			}
		}
	})
}

// TestChannelsAway says so where other nodes cannot be asked.
func TestChannelsAway(t *testing.T) {
	engine := presencetest.New()
	t.Cleanup(engine.Close)
	p := nodePlace(t, engine.Node("a", nil), nil)
	engine.Away(true)
	if _, err := (door{p.Dialect}).Channel(t.Context(), "orders"); err == nil {
		t.Error("one channel has a count")
	}
	n := 0
	for _, err := range (door{p.Dialect}).Channels(t.Context(), "") {
		if n++; err == nil {
			t.Error("a channel is known")
		}
	}
	if n != 1 {
		t.Errorf("%d answers", n)
	}
}

// TestPages has pages of channels that processes have answered come to one list, whatever each of
// them has more of.
func TestPages(t *testing.T) {
	var rooms [2][]hub.RoomCount
	want := make(map[string]int)
	for i := range 2000 {
		name := fmt.Sprintf("%05d%s", i, strings.Repeat("x", i%200))
		for n := range rooms {
			if i%(n+2) == 0 || i%500 < n*400 {
				rooms[n] = append(rooms[n], hub.RoomCount{Room: name, Connections: i + n + 1})
				want[name] += i + n + 1
			}
		}
	}
	got, pages := make(map[string]int), 0
	for after, more := "", true; more; pages++ {
		var list []countAnswer
		for _, of := range rooms {
			for len(of) > 0 && of[0].Room <= after {
				of = of[1:]
			}
			var a countAnswer
			a.page(slices.Values(of))
			list = append(list, a)
		}
		var some map[string]int
		some, after, more = merge(list)
		for name, n := range some {
			if _, twice := got[name]; twice {
				t.Fatalf("%s comes twice", name)
			}
			got[name] = n
		}
	}
	if pages < 3 || len(got) != len(want) {
		t.Errorf("%d channels of %d in %d pages", len(got), len(want), pages)
	}
	for name, n := range want {
		if got[name] != n {
			t.Errorf("%s has %d, want %d", name, got[name], n)
		}
	}
}
