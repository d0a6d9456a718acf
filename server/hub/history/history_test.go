package history

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"poosh/server/hub"
	"poosh/server/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// all is a span with everything of a room.
func all(room string) []hub.Span { return []hub.Span{{Room: room, UpTo: ^uint64(0)}} }

func always(bool, int, int) bool { return true }

// put enters an event of a room and returns its number.
func put(l *Log, room, event string, size int) (n uint64) {
	l.Append(&hub.Publication{Room: room, Event: event, Data: make([]byte, size)}, func(at hub.Position) { n = at.Number })
	return n
}

// events are what there is of a room, and whether that is all there was.
func events(x hub.Excerpt) string {
	var b strings.Builder
	for _, k := range x.List {
		fmt.Fprintf(&b, "%s@%d ", k.Event, k.At.Number)
	}
	return b.String() + strconv.FormatBool(x.Whole)
}

func read(l *Log, room string, after uint64) string {
	return events(l.Read("", []hub.Span{{Room: room, After: after, UpTo: ^uint64(0)}}, always))
}

func TestBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Config{Age: time.Minute, Bytes: 4000, Events: 3}, "")
		for i := range 5 {
			put(l, "r", "e"+strconv.Itoa(i+1), 0)
		}
		if got := read(l, "r", 2); got != "e3@3 e4@4 e5@5 true" {
			t.Errorf("a room's bound leaves %q", got)
		}
		if got := read(l, "r", 1); got != "e3@3 e4@4 e5@5 false" {
			t.Errorf("what was cut for a room's bound is not told: %q", got)
		}
		// Another room, of which nothing was cut, is not touched by that.
		if got := read(l, "other", 0); got != "true" {
			t.Errorf("a room that never was gives %q", got)
		}
		put(l, "other", "big", 3000)
		if got, st := read(l, "r", 3), l.Stats(); st.Bytes > 4000 || got == "e4@4 e5@5 true" {
			t.Errorf("%d bytes of 4000 are kept, and %q", st.Bytes, got)
		}
		if got := read(l, "other", 5); got != "big@6 true" {
			t.Errorf("the newest was cut: %q", got)
		}
		time.Sleep(time.Minute + 1)
		if got := read(l, "other", 5); got != "false" {
			t.Errorf("what is too old gives %q", got)
		}
		if got := read(l, "other", 6); got != "true" {
			t.Errorf("who missed nothing is told %q", got)
		}
		if st := l.Stats(); st.Events != 0 || st.Rooms != 0 || st.Bytes != 0 {
			t.Errorf("an empty log holds %+v", st)
		}
		// An event larger than all that may be kept leaves nothing, and that is told.
		put(l, "r", "huge", 5000)
		if got := read(l, "r", 6); got != "false" {
			t.Errorf("an event that does not fit gives %q", got)
		}
		l.check(t)
	})
}

// Events to everyone are known by themselves: what is cut of rooms does not count.
func TestEveryone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Config{Age: time.Minute, Bytes: 1 << 20, Events: 2}, "")
		every := func(after uint64) string {
			return events(l.Read("", []hub.Span{{Everyone: true, After: after, UpTo: ^uint64(0)}}, always))
		}
		toAll := func(event string) {
			l.Append(&hub.Publication{Everyone: true, Event: event}, func(hub.Position) {})
		}
		put(l, "", "r1", 0)
		time.Sleep(2 * time.Minute)
		put(l, "", "r2", 0)
		if got := every(0); got != "true" {
			t.Errorf("there was none: %q", got)
		}
		for _, e := range []string{"a", "b", "c"} {
			toAll(e)
		}
		if got := every(2); got != "b@4 c@5 false" {
			t.Error(got)
		}
		if got := every(3); got != "b@4 c@5 true" {
			t.Error(got)
		}
		time.Sleep(2 * time.Minute)
		if got := every(4); got != "false" {
			t.Error(got)
		}
		if got := every(5); got != "true" {
			t.Error(got)
		}
		l.check(t)
	})
}

func TestSpans(t *testing.T) {
	l := New(Config{Age: time.Minute}, "")
	for i := range 6 {
		put(l, strconv.Itoa(i%2), "e"+strconv.Itoa(i+1), 0)
	}
	tests := []struct {
		name string
		ask  []hub.Span
		want string
	}{
		{"two rooms, in order", []hub.Span{{Room: "0", After: 1, UpTo: 9}, {Room: "1", UpTo: 9}}, "e2@2 e3@3 e4@4 e5@5 e6@6 true"},
		{"up to what was had", []hub.Span{{Room: "0", After: 1, UpTo: 4}}, "e3@3 true"},
		{"the last", []hub.Span{{Room: "0", UpTo: 9, Last: 2}}, "e3@3 e5@5 true"},
		{"the last but what was had", []hub.Span{{Room: "0", UpTo: 3, Last: 1}}, "e3@3 true"},
		{"more than there were", []hub.Span{{Room: "0", UpTo: 9, Last: 9}}, "e1@1 e3@3 e5@5 true"},
		{"all", []hub.Span{{Room: "1", UpTo: 9, Last: -1}}, "e2@2 e4@4 e6@6 true"},
		{"nothing", []hub.Span{{Room: "0", After: 9, UpTo: 9}}, "true"},
		{"nothing, the wrong way round", []hub.Span{{Room: "0", After: 4, UpTo: 2}}, "true"},
	}
	for _, tt := range tests {
		if got := events(l.Read("", tt.ask, always)); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// A payload that stands in a much larger piece of memory does not keep that.
func TestLargeBodyIsNotKept(t *testing.T) {
	l := New(Config{Age: time.Minute}, "")
	body := make([]byte, 1<<20)
	l.Append(&hub.Publication{Room: "r", Data: body[:10]}, func(hub.Position) {})
	if c := cap(l.Read("", all("r"), always).List[0].Data); c > 100 {
		t.Errorf("a payload of 10 bytes keeps %d", c)
	}
}

// check looks whether the sums and indexes of the log agree with what is in it.
func (l *Log) check(t *testing.T) {
	t.Helper()
	for _, a := range l.apps {
		a.mu.Lock()
		defer a.mu.Unlock()
		n, bytes, byRoom, holders := 0, int64(0), make(map[*room]int), make(map[*common]int)
		var before *entry
		for e := a.first; e != nil; before, e = e, e.next {
			if e.before != before || before != nil && e.At.Number <= before.At.Number && (!e.Narrowed || e.At.Number < before.At.Number) {
				t.Fatalf("entry %d is out of place", e.At.Number)
			}
			r := &a.everyone
			if !e.Everyone {
				r = a.rooms[e.Room]
			}
			if at := r.gone + byRoom[r]; r.events[at] != e || e.At.Number <= r.cut {
				t.Fatalf("entry %d is not where room %q has it", e.At.Number, r.name)
			}
			byRoom[r]++
			n++
			bytes += e.cost
			if (e.common != nil) != (e.Narrowed && !e.Everyone) {
				t.Fatalf("entry %d has in common what it has not, or the other way round", e.At.Number)
			}
			if e.common != nil {
				holders[e.common]++
			}
		}
		for all, n := range holders {
			bytes += all.cost
			if all.holders != n {
				t.Errorf("%d entries count for something that %d have in common", all.holders, n)
			}
		}
		for name, r := range a.rooms {
			if r.len() == 0 || byRoom[r] != r.len() || r.name != name {
				t.Errorf("room %q has %d events, %d in the list", name, r.len(), byRoom[r])
			}
			bytes += r.cost()
		}
		if a.last != before || n != a.events || bytes != a.bytes || byRoom[&a.everyone] != a.everyone.len() {
			t.Errorf("%d events of %d bytes in the list, %d of %d counted", n, bytes, a.events, a.bytes)
		}
	}
}

// While one publication is handed out, no other of its app is: their frames leave in the
// order of their numbers.
func TestOneAfterTheOther(t *testing.T) {
	l := New(Config{Age: time.Minute}, "", "other")
	var order []uint64
	done := make(chan struct{})
	l.Append(&hub.Publication{Room: "a"}, func(at hub.Position) {
		go func() {
			defer close(done)
			l.Append(&hub.Publication{Room: "b"}, func(at hub.Position) { order = append(order, at.Number) })
		}()
		l.Append(&hub.Publication{App: "other"}, func(hub.Position) {}) // which waits for nobody
		time.Sleep(20 * time.Millisecond)
		order = append(order, at.Number)
	})
	<-done
	if len(order) != 2 || order[0] != 1 || order[1] != 2 {
		t.Errorf("handed out in the order %v", order)
	}
}
