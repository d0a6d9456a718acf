package sends

import (
	"fmt"
	"regexp"
	"slices"
	"sync"
	"testing"
)

// Ids of one feed sort in their order, and no two are equal, of two feeds either.
func TestIDs(t *testing.T) {
	form := regexp.MustCompile(`^[0-9a-v]{8}-[0-9]{12}$`)
	a, b := New(), New()
	var list []string
	for range 3 * perBlock {
		id := a.Next()
		if !form.MatchString(id) {
			t.Fatalf("%q", id)
		}
		list = append(list, id)
	}
	if !slices.IsSorted(list) || len(slices.Compact(slices.Clone(list))) != len(list) {
		t.Errorf("out of order or twice: %q", list)
	}
	if list[0] != a.ids.prefix+"-000000000001" || list[perBlock] != fmt.Sprintf("%s-%012d", a.ids.prefix, perBlock+1) {
		t.Errorf("%q, %q", list[0], list[perBlock])
	}
	if a.ids.prefix == b.ids.prefix {
		t.Errorf("two feeds have the prefix %s", a.ids.prefix)
	}
	if got := Item(list[0], 0); got != list[0]+".1" {
		t.Errorf("the first of a list is %s", got)
	}
}

// Nobody gets another's id, however many ask at once.
func TestIDsAtOnce(t *testing.T) {
	f := New()
	const workers, each = 8, 5000
	lists := make([][]string, workers)
	var wg sync.WaitGroup
	for i := range lists {
		wg.Go(func() {
			for range each {
				lists[i] = append(lists[i], f.Next())
			}
		})
	}
	wg.Wait()
	var all []string
	for _, list := range lists {
		if !slices.IsSorted(list) {
			t.Error("one goroutine's ids are out of order")
		}
		all = append(all, list...)
	}
	slices.Sort(all)
	for i, id := range all {
		if want := fmt.Sprintf("%s-%012d", f.ids.prefix, i+1); id != want {
			t.Fatalf("%s in the place of %s", id, want)
		}
	}
}

// Numbers outgrow their digits and stay whole.
func TestIDsGrow(t *testing.T) {
	f := New()
	const edge = 1_000_000_000_000
	f.ids.last.Store(edge - 2)
	for _, want := range []string{"999999999999", "1000000000000", "1000000000001"} {
		// The block that the edge is in has one width.
		if got := f.Next(); got != f.ids.prefix+"-"+want && got != f.ids.prefix+"-0"+want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestIDAllocations(t *testing.T) {
	f := New()
	if n := testing.AllocsPerRun(10*perBlock, func() { f.Next() }); n >= 0.2 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkNext(b *testing.B) {
	f := New()
	b.ReportAllocs()
	for b.Loop() {
		f.Next()
	}
}

func BenchmarkWatched(b *testing.B) {
	f := New()
	for b.Loop() {
		if f.Watched() {
			b.Fatal("nobody watches")
		}
	}
}

// BenchmarkReportToFull reports to as many watchers as there may be, of whom none reads.
func BenchmarkReportToFull(b *testing.B) {
	f := New()
	for range MaxWatchers {
		if _, err := f.Watch(Filter{}); err != nil {
			b.Fatal(err)
		}
	}
	s := Send{ID: f.Next(), Room: "r", Event: "e"}
	b.ReportAllocs()
	for b.Loop() {
		f.Report(s)
	}
}
