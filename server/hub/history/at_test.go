package history

import (
	"testing"
	"time"

	"poosh/server/hub"
)

// TestAppendAt: the log has what is brought where all processes have it, with others' numbers
// between; what is there already is not entered again; with another epoch all begins anew.
func TestAppendAt(t *testing.T) {
	l := New(Config{Age: time.Minute}, "")
	var delivered []hub.Position
	put := func(epoch, number uint64, room string) {
		l.AppendAt(&hub.Publication{Room: room, Event: "e"}, hub.Position{Epoch: epoch, Number: number}, func(at hub.Position) { delivered = append(delivered, at) })
		l.check(t)
	}
	read := func(room string, after uint64) (numbers []uint64, whole bool) {
		x := l.Read("", []hub.Span{{Room: room, After: after, UpTo: 1 << 49}}, func(bool, int, int) bool { return true })
		for _, k := range x.List {
			numbers = append(numbers, k.At.Number)
		}
		return numbers, x.Whole
	}
	put(5, 100, "r")
	put(5, 100, "r")
	put(5, 90, "r")
	put(5, 107, "r")
	if got, whole := read("r", 99); len(got) != 2 || got[0] != 100 || got[1] != 107 || !whole || len(delivered) != 2 {
		t.Errorf("%d, whole %v, delivered %v", got, whole, delivered)
	}
	if _, whole := read("r", 98); whole {
		t.Error("what was before it began is said to be whole")
	}
	for after, want := range map[uint64]bool{98: false, 99: true} {
		if _, whole := read("silent", after); whole != want {
			t.Errorf("a room without events behind %d: whole %v", after, whole)
		}
	}
	put(6, 3, "r")
	put(6, 4, "s")
	for after, want := range map[uint64]bool{1: false, 2: true} {
		if _, whole := read("silent", after); whole != want {
			t.Errorf("a room without events behind %d of another epoch: whole %v", after, whole)
		}
	}
	if got, whole := read("r", 2); len(got) != 1 || got[0] != 3 || !whole {
		t.Errorf("of another epoch %d, whole %v", got, whole)
	}
	l.Hold("", func(head hub.Position, _ hub.Reader) {
		if head != (hub.Position{Epoch: 6, Number: 4}) {
			t.Errorf("the head is %v", head)
		}
	})
}

// TestReach: who comes where nothing has been published is at the place that all processes have,
// and what was before it is not said to be whole.
func TestReach(t *testing.T) {
	l := New(Config{Age: time.Minute}, "")
	head := func(want hub.Position) {
		t.Helper()
		l.check(t)
		l.Hold("", func(at hub.Position, _ hub.Reader) {
			if at != want {
				t.Errorf("the head is %v, want %v", at, want)
			}
		})
	}
	whole := func(after uint64) bool {
		return l.Read("", []hub.Span{{Room: "r", After: after, UpTo: 1 << 49}}, func(bool, int, int) bool { return true }).Whole
	}
	l.Reach("", hub.Position{Epoch: 5, Number: 100})
	head(hub.Position{Epoch: 5, Number: 100})
	if whole(99) || !whole(100) {
		t.Error("what is whole begins elsewhere")
	}
	delivered := 0
	l.AppendAt(&hub.Publication{Room: "r"}, hub.Position{Epoch: 5, Number: 101}, func(hub.Position) { delivered++ })
	l.Reach("", hub.Position{Epoch: 5, Number: 90})
	head(hub.Position{Epoch: 5, Number: 101})
	l.Reach("", hub.Position{Epoch: 5, Number: 110})
	head(hub.Position{Epoch: 5, Number: 110})
	if !whole(100) || delivered != 1 {
		t.Errorf("what was there is lost, %d delivered", delivered)
	}
}
