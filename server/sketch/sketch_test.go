package sketch

import (
	"math/rand/v2"
	"strconv"
	"testing"
)

func same(k string) string { return k }

// While there are no more keys than counters, counts are exact.
func TestExact(t *testing.T) {
	s := New[string, int](4)
	for i, key := range []string{"a", "b", "a", "c", "a", "d", "b"} {
		*s.Add(key, 2, same) += i
	}
	want := map[string]uint64{"a": 6, "b": 4, "c": 2, "d": 2}
	with := map[string]int{"a": 6, "b": 7, "c": 3, "d": 5}
	n := 0
	for it, sum := range s.All {
		if it.Count != want[it.Key] || it.Error != 0 || sum != with[it.Key] {
			t.Errorf("%+v with %d", it, sum)
		}
		n++
	}
	if n != 4 || len(s.heap) != 4 {
		t.Errorf("%d keys", n)
	}
	for range s.All {
		break
	}
	s.Reset()
	if len(s.heap) != 0 || *s.Add("e", 1, same) != 0 || len(s.heap) != 1 {
		t.Error("something is left")
	}
}

// Whatever comes, a count is never too low and at most its error too high, and all that
// are frequent are there (the paper's theorems 2 and 3).
func TestPromises(t *testing.T) {
	const counters, adds = 64, 50_000
	random := rand.New(rand.NewPCG(1, 2))
	zipf := rand.NewZipf(random, 1.2, 1, 20_000)
	s, truth := New[string, struct{}](counters), make(map[string]uint64)
	total := uint64(0)
	for range adds {
		key, weight := strconv.FormatUint(zipf.Uint64(), 10), uint64(1+random.IntN(3))
		s.Add(key, weight, same)
		truth[key] += weight
		total += weight
	}
	there, sum := make(map[string]bool), uint64(0)
	for it := range s.All {
		there[it.Key] = true
		sum += it.Count
		if real := truth[it.Key]; it.Count < real || it.Count-it.Error > real {
			t.Errorf("%q came %d times: %+v", it.Key, real, it)
		}
	}
	if sum != total || len(there) != counters {
		t.Errorf("%d of %d counted, of %d keys", sum, total, len(there))
	}
	for key, n := range truth {
		if n > total/counters && !there[key] {
			t.Errorf("%q came %d times of %d and is not there", key, n, total)
		}
	}
	for i := range s.heap {
		if s.by[s.heap[i].Key] != i || i > 0 && s.heap[(i-1)/2].Count > s.heap[i].Count {
			t.Fatalf("place %d is out of order", i)
		}
	}
}

// What one key had does not become another's who takes its place.
func TestTakenPlace(t *testing.T) {
	s := New[string, int](1)
	*s.Add("a", 5, same) = 7
	if with := s.Add("b", 1, same); *with != 0 {
		t.Errorf("it begins with %d", *with)
	}
	for it := range s.All {
		if it != (Item[string]{"b", 6, 5}) {
			t.Errorf("%+v", it)
		}
	}
}

// A key that is known costs nothing to count, and its texts are not copied again.
func TestAllocations(t *testing.T) {
	s := New[string, int](8)
	copies := 0
	own := func(k string) string { copies++; return k }
	s.Add("a", 1, own)
	if n := testing.AllocsPerRun(100, func() { s.Add("a", 1, own) }); n != 0 || copies != 1 {
		t.Errorf("%v allocations, %d copies", n, copies)
	}
}

func BenchmarkAdd(b *testing.B) {
	zipf := rand.NewZipf(rand.New(rand.NewPCG(1, 2)), 1.2, 1, 20_000)
	keys := make([]string, 1<<12)
	for i := range keys {
		keys[i] = strconv.FormatUint(zipf.Uint64(), 10)
	}
	s := New[string, int](256)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		s.Add(keys[i%len(keys)], 1, same)
	}
}
