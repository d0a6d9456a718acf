package metric

import (
	"maps"
	"reflect"
	"sync"
	"testing"
)

type fruit uint8

const (
	apple fruit = iota
	goodPear
	badPear
)

var fruits = []string{apple: "apple", goodPear: "pear good", badPear: "pear bad"}

func TestSet(t *testing.T) {
	s := Closed[fruit](fruits)
	s.Add(goodPear, 2)
	s.Add(goodPear, 1)
	s.Add(apple, 0)
	s.Add(apple, -1)
	if got := s.All(); !maps.Equal(got, map[string]uint64{"pear good": 3}) || s.Get(goodPear) != 3 {
		t.Error(got)
	}
	want := []Sample{{[]string{"good"}, 3}, {[]string{"bad"}, 0}}
	if got := s.Samples(goodPear, badPear, "pear "); !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// A value without a name is found where the set is made, and not when it is counted.
func TestEveryValueHasAName(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a set was made with a value that has no name")
		}
	}()
	Closed[fruit]([]string{apple: "apple", badPear: "pear bad"})
}

func TestSetLosesNothing(t *testing.T) {
	s := Closed[fruit](fruits)
	var counting sync.WaitGroup
	for range 4 {
		counting.Go(func() {
			for range 2000 {
				s.Add(badPear, 1)
			}
		})
	}
	counting.Wait()
	if n := s.Get(badPear); n != 8000 {
		t.Errorf("%d counted", n)
	}
}

func TestCountingAllocatesNothing(t *testing.T) {
	s := Closed[fruit](fruits)
	if n := testing.AllocsPerRun(100, func() { s.Add(apple, 1) }); n != 0 {
		t.Error(n)
	}
}

func TestAttrs(t *testing.T) {
	got := Attrs([]Reading{
		Gauge("open", "open", "Open now.", 3),
		Counter("sent", "sent_total", "Sent.", uint64(7)),
		Counter("", "unsaid_total", "Not in the line.", 1),
		Counters("refused", "refused_total", "Refused.", "reason", []Sample{Of(1, "x"), Of(0, "y")}),
		Counters("refused", "late_total", "Too late.", "reason", []Sample{Of(2, "z")}),
	})
	if want := []any{"open", int64(3), "sent", int64(7), "refused", map[string]int64{"x": 1, "z": 2}}; !reflect.DeepEqual(got, want) {
		t.Error(got)
	}
}
