package history

import (
	"slices"
	"testing"
	"time"

	"poosh/server/hub"
)

// Who was there when the log was filled with what never came has not had that: until it is sent away the log ends for it
// where that begins. Who comes from then on has had it, and so has who comes back.
func TestFilledUnderWhoIsThere(t *testing.T) {
	l := New(Config{Age: time.Minute}, "")
	h := hub.NewWith(nil, l)
	const epoch = 7
	at := func(n uint64) hub.Position { return hub.Position{Epoch: epoch, Number: n} }
	event := func(n uint64) *hub.Publication {
		return &hub.Publication{Room: "r", Event: string(rune('a' + n - 1))}
	}
	fill := func(upTo uint64) {
		f := l.Fill("", at(0))
		for n := range upTo {
			f.Enter(event(n+1), at(n+1), time.Now())
		}
		f.Done(at(upTo))
	}
	fill(2)
	is := func(who string, got hub.Recovery, whole bool, head uint64, missed ...string) {
		t.Helper()
		var list []string
		for _, k := range got.List {
			list = append(list, k.Event)
		}
		if got.Whole != whole || got.Head != at(head) || !slices.Equal(list, missed) {
			t.Errorf("%s: whole %v, head %v, %q; want %v, %v, %q", who, got.Whole, got.Head, list, whole, at(head), missed)
		}
	}
	early := connect(h, "early") // when the log knew where it is, as who comes in a cluster
	is("early", early.ask(t, h, &hub.Ask{Rooms: []string{"r"}, After: at(1)}), true, 2, "b")
	quiet := connect(h, "quiet")
	fill(4) // what was published meanwhile never came
	is("early again", early.ask(t, h, &hub.Ask{Rooms: []string{"r"}, After: at(2)}), true, 2)
	is("early, of before", early.ask(t, h, &hub.Ask{Rooms: []string{"r"}, After: at(0)}), true, 2, "a")
	is("early, of later", early.ask(t, h, &hub.Ask{Rooms: []string{"r"}, After: at(3)}), false, 2)
	is("quiet, which joins", quiet.ask(t, h, &hub.Ask{Rooms: []string{"s"}}), true, 2)
	var welcomed hub.Position
	r := h.Open("", "t")
	if _, _, err := r.JoinKept(quiet.sub, &quiet.trail, hub.Member{}, &hub.Ask{}, func(head hub.Position) [][]byte {
		welcomed = head
		return nil
	}); err != nil || welcomed != at(2) {
		t.Errorf("who joins another one is told %v, %v", welcomed, err)
	}
	r.Close()
	back := connect(h, "early")
	is("back", back.ask(t, h, &hub.Ask{Rooms: []string{"r"}, After: at(2)}), true, 4, "c", "d")
	l.AppendAt(event(5), at(5), func(hub.Position) {})
	is("back again", back.ask(t, h, &hub.Ask{Rooms: []string{"r"}, After: at(4)}), true, 5)
	// Another log ends all that.
	l.Reach("", hub.Position{Epoch: 8, Number: 1})
	if got := early.ask(t, h, &hub.Ask{Rooms: []string{"r"}}); got.Head != (hub.Position{Epoch: 8, Number: 1}) {
		t.Errorf("in another log it is at %v", got.Head)
	}
}
