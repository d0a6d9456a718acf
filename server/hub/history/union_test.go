package history

import (
	"bytes"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"poosh/server/handover"
	"poosh/server/hub"
)

func toBoth(h *hub.Hub, event string, except ...string) {
	p := &hub.Publication{Event: event}
	p.Narrow(hub.Union{Rooms: []string{"a", "b"}, Except: except})
	h.Publish(p)
}

// names are the events of frames, without their positions.
func names(frames []string) string {
	for i, f := range frames {
		frames[i], _, _ = strings.Cut(f, " ")
	}
	return strings.Join(frames, " ")
}

// What is for several rooms is given once to who comes back to all of them, and to who comes back
// to one; and to nobody who is where it is not for.
func TestUnionIsRecovered(t *testing.T) {
	h, l := site(t, Config{})
	first := connect(h, "first")
	head := first.ask(t, h, &hub.Ask{Rooms: []string{"a"}}).Head
	publish(h, "a", "a1")
	toBoth(h, "u2")
	publish(h, "b", "b3")
	toBoth(h, "u4", "x")
	if got := names(first.take()); got != "a1 u2 u4" {
		t.Fatalf("who was there saw %q", got)
	}
	// It was in one of the rooms: of the other it gets what it has not had.
	if got := first.ask(t, h, &hub.Ask{Rooms: []string{"b"}, After: head}); !got.Whole || got.Missed != 1 {
		t.Errorf("who had them by another room was told %+v", got)
	}
	if got := names(first.take()); got != "b3" {
		t.Errorf("who had them by another room saw %q", got)
	}
	tests := []struct {
		name, rooms, want string
		formerly          []string
	}{
		{"both rooms", "a b", "a1 u2 b3 u4", nil},
		{"one room", "a", "a1 u2 u4", nil},
		{"the other", "b", "u2 b3 u4", nil},
		{"none of them", "c", "", nil},
		{"where it is not for", "a x", "a1 u2", nil},
		{"who was excepted", "b", "u2 b3", []string{"x"}},
	}
	for _, tt := range tests {
		c := connect(h, "back")
		got := c.ask(t, h, &hub.Ask{Rooms: strings.Fields(tt.rooms), After: head, Formerly: tt.formerly})
		if seen := names(c.take()); seen != tt.want || !got.Whole {
			t.Errorf("%s: saw %q, told %+v; want %q", tt.name, seen, got, tt.want)
		}
		h.Unregister(c.sub)
	}
	c := connect(h, "last")
	if got := c.ask(t, h, &hub.Ask{Rooms: []string{"a", "b"}, Last: 2}); names(c.take()) != "u2 b3 u4" || got.Missed != 3 {
		t.Errorf("of the last two of each: %+v", got)
	}
	l.check(t)
}

// Who is in several rooms of a publication needs room for it once.
func TestUnionFitsOnce(t *testing.T) {
	h, _ := site(t, Config{})
	head := connect(h, "x").ask(t, h, &hub.Ask{}).Head
	toBoth(h, "u1")
	toBoth(h, "u2")
	for most, whole := range map[int]bool{1: false, 2: true} {
		c := connect(h, "back")
		fits := func(frames, _ int) bool { return frames <= most }
		if got := c.ask(t, h, &hub.Ask{Rooms: []string{"a", "b"}, After: head, Fits: fits}); got.Whole != whole {
			t.Errorf("with room for %d: %+v", most, got)
		}
		h.Unregister(c.sub)
	}
}

// What is for several rooms counts its payload once, in whatever order its copies go, and after a restart.
func TestUnionCountsOnce(t *testing.T) {
	const rooms, size = 100, 10_000
	names := make([]string, rooms)
	for i := range names {
		names[i] = fmt.Sprint("room", i)
	}
	publish := func(h *hub.Hub) {
		p := &hub.Publication{Event: "e", Data: make([]byte, size)}
		p.Narrow(hub.Union{Rooms: names})
		h.Publish(p)
	}
	h, l := site(t, Config{Events: 2})
	publish(h)
	l.check(t)
	one := l.Stats()
	// One payload, and for each room an entry and the room.
	if most := int64(size + rooms*(entryCost+roomCost+100)); one.Events != rooms || one.Bytes < size || one.Bytes > most {
		t.Errorf("%+v of one publication, want at most %d bytes", one, most)
	}
	publish(h)
	l.check(t)
	two := l.Stats()
	if got := two.Bytes - one.Bytes; got < size || got > size+rooms*(entryCost+100) {
		t.Errorf("the second one counts %d bytes", got)
	}
	var b bytes.Buffer
	w := handover.NewWriter(t.Context(), &b)
	l.Save(w)
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if got := int64(b.Len()); got > two.Bytes {
		t.Errorf("%d bytes are saved of %+v", got, two)
	}
	again := New(Config{Age: time.Minute, Events: 2}, "")
	if _, err := again.Restore(handover.NewReader(bytes.NewReader(b.Bytes()), int64(b.Len())), time.Now()); err != nil {
		t.Fatal(err)
	}
	again.check(t)
	if got := again.Stats(); got.Bytes != two.Bytes || got.Events != two.Events {
		t.Errorf("restored %+v, saved %+v", got, two)
	}
	list := again.Read("", append(all(names[0]), all(names[1])...), always).List
	if len(list) != 4 || &list[0].Data[0] != &list[1].Data[0] {
		t.Errorf("%d events of two rooms, and each has a payload of its own", len(list))
	}
	// In all rooms but one they go for HISTORY_EVENTS, one copy after the other.
	for i, log := range []*Log{l, again} {
		h := hub.NewWith(nil, log)
		for _, room := range names[1:] {
			for range 2 {
				h.Publish(&hub.Publication{Room: room, Event: "small"})
			}
			log.check(t)
		}
		before := log.Stats()
		if before.Bytes < 2*size {
			t.Errorf("log %d: %+v, while a room has both", i, before)
		}
		for range 2 {
			h.Publish(&hub.Publication{Room: names[0], Event: "small"})
		}
		log.check(t)
		if got := before.Bytes - log.Stats().Bytes; got < 2*size {
			t.Errorf("log %d: the last copies left %d bytes behind", i, 2*size-got)
		}
	}
	// Few bytes hold one of several rooms, and cut it whole.
	small, log := site(t, Config{Bytes: 2 * (size + rooms*(entryCost+roomCost+100))})
	for range 5 {
		publish(small)
		log.check(t)
	}
	if st := log.Stats(); st.Events == 0 || st.Events%rooms != 0 {
		t.Errorf("%+v are kept", st)
	}
}

// A log with unions is restored whole, and one of which copies are too old is too.
func TestUnionIsSaved(t *testing.T) {
	h, l := site(t, Config{})
	head := connect(h, "x").ask(t, h, &hub.Ask{}).Head
	publish(h, "a", "a1")
	toBoth(h, "u2", "x")
	all := &hub.Publication{Event: "all3"}
	all.Narrow(hub.Union{Except: []string{"x"}})
	h.Publish(all)
	var b bytes.Buffer
	w := handover.NewWriter(t.Context(), &b)
	l.Save(w)
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	for name, cfg := range map[string]Config{"all": {Age: time.Minute}, "little": {Age: time.Minute, Bytes: 1, Events: 1}} {
		again := New(cfg, "")
		done, err := again.Restore(handover.NewReader(bytes.NewReader(b.Bytes()), int64(b.Len())), time.Now())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		again.check(t)
		if name != "all" {
			continue
		}
		if done.Events != 4 { // one of them for each room
			t.Errorf("%d restored", done.Events)
		}
		h2 := hub.NewWith(nil, again)
		c := connect(h2, "back")
		got := c.ask(t, h2, &hub.Ask{Rooms: []string{"b", "a"}, After: head})
		if seen := c.take(); names(slices.Clone(seen)) != "a1 u2 all3" || !got.Whole {
			t.Errorf("saw %q, told %+v", seen, got)
		}
	}
}

// Whom publications for many rooms are to is read once for each, not for each of their rooms: what a
// restart takes grows with the events that are kept, and not with their square.
func TestUnionIsRestoredInOne(t *testing.T) {
	const publications, rooms = 10, 1000
	list := make([]string, rooms)
	for i := range list {
		list[i] = fmt.Sprint("room", i)
	}
	h, l := site(t, Config{})
	for range publications {
		p := &hub.Publication{Event: "e"}
		p.Narrow(hub.Union{Rooms: list})
		h.Publish(p)
	}
	part := saved(t, l)
	again := New(Config{Age: time.Minute}, "")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	done, err := restore(again, part, time.Now())
	runtime.ReadMemStats(&after)
	if err != nil || done.Events != publications*rooms {
		t.Fatalf("%+v, %v", done, err)
	}
	if each := (after.TotalAlloc - before.TotalAlloc) / (publications * rooms); each > 4<<10 { // a list of the rooms is 16 KiB
		t.Errorf("%d bytes are allocated for each event", each)
	}
	again.check(t)
}
