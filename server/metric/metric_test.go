package metric

import (
	"maps"
	"reflect"
	"strconv"
	"sync"
	"testing"
)

func TestSet(t *testing.T) {
	var s Set
	s.Add("a", 2)
	s.Add("a", 1)
	s.Add("b", 0)
	s.Add("c", 1)
	if got := s.All(); !maps.Equal(got, map[string]uint64{"a": 3, "c": 1}) {
		t.Error(got)
	}
	closed := Closed("a", "b")
	closed.Add("a", 2)
	closed.Add("x", 1)
	closed.Add("y", 1)
	if got := closed.All(); !maps.Equal(got, map[string]uint64{"a": 2, Other: 2}) {
		t.Error(got)
	}
}

// However many names come, what a set takes is bounded and nothing is lost.
func TestSetIsBounded(t *testing.T) {
	var s Set
	var counting sync.WaitGroup
	for range 4 {
		counting.Go(func() {
			for i := range 2000 {
				s.Add(strconv.Itoa(i), 1)
			}
		})
	}
	counting.Wait()
	all := s.All()
	sum := uint64(0)
	for _, n := range all {
		sum += n
	}
	if len(all) > maxNames+1 || sum != 8000 {
		t.Errorf("%d names, %d counted", len(all), sum)
	}
}

func TestCountingAllocatesNothing(t *testing.T) {
	var s Set
	s.Add("a", 1)
	if n := testing.AllocsPerRun(100, func() { s.Add("a", 1) }); n != 0 {
		t.Error(n)
	}
}

func TestAttrs(t *testing.T) {
	by := map[string]uint64{"x": 1}
	got := Attrs([]Reading{Gauge("open", 3), Counter("sent", 7), Counters("refused", by)})
	if want := []any{"open", int64(3), "sent", int64(7), "refused", by}; !reflect.DeepEqual(got, want) {
		t.Error(got)
	}
}
