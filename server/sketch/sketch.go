// Package sketch finds the most frequent of very many things in memory that is fixed. It is
// Space-Saving, of A. Metwally, D. Agrawal and A. El Abbadi, "Efficient Computation of
// Frequent and Top-k Elements in Data Streams" (ICDT 2005), with a heap in place of the
// paper's list of buckets.
//
// # Why
//
// The libraries that there are count no more than how often: here each counter carries
// sums of its own, and the texts of a key are copied only where a key comes in anew.
package sketch

// A Sketch counts up to a number of keys; one more takes the place of the rarest, with its
// count as the error. Every key that came more often than all weight divided by that
// number is in it. Make one with [New]. It is for one goroutine at a time.
type Sketch[K comparable, V any] struct {
	most int
	by   map[K]int     // where in heap
	heap []entry[K, V] // the rarest first
}

type entry[K comparable, V any] struct {
	Item[K]
	with V
}

// An Item is a key with its count.
type Item[K comparable] struct {
	Key   K
	Count uint64 // at most Error too high, and never too low
	Error uint64
}

// New returns a sketch of so many keys, at least one.
func New[K comparable, V any](most int) *Sketch[K, V] {
	return &Sketch[K, V]{most: most, by: make(map[K]int, most), heap: make([]entry[K, V], 0, most)}
}

// Add counts a key with a weight, and returns what belongs to it, which was zero when the
// key came in: it is good until the next call. own makes a copy of a key that comes in, and
// is equal to it.
func (s *Sketch[K, V]) Add(key K, weight uint64, own func(K) K) *V {
	i, there := s.by[key]
	switch {
	case there:
	case len(s.heap) < s.most:
		i = len(s.heap)
		s.heap = append(s.heap, entry[K, V]{Item: Item[K]{Key: own(key)}})
		s.by[s.heap[i].Key] = i
		i = s.up(i)
	default:
		i = 0
		e := &s.heap[0]
		delete(s.by, e.Key)
		*e = entry[K, V]{Item: Item[K]{Key: own(key), Count: e.Count, Error: e.Count}}
		s.by[e.Key] = 0
	}
	s.heap[i].Count += weight
	return &s.heap[s.down(i)].with
}

// up moves a counter towards the rarest.
func (s *Sketch[K, V]) up(i int) int {
	for i > 0 {
		parent := (i - 1) / 2
		if s.heap[parent].Count <= s.heap[i].Count {
			break
		}
		s.swap(i, parent)
		i = parent
	}
	return i
}

// down moves a counter away from the rarest.
func (s *Sketch[K, V]) down(i int) int {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(s.heap); child++ {
			if s.heap[child].Count < s.heap[least].Count {
				least = child
			}
		}
		if least == i {
			return i
		}
		s.swap(i, least)
		i = least
	}
}

func (s *Sketch[K, V]) swap(i, j int) {
	s.heap[i], s.heap[j] = s.heap[j], s.heap[i]
	s.by[s.heap[i].Key], s.by[s.heap[j].Key] = i, j
}

// All yields the keys with what belongs to them, in no order.
func (s *Sketch[K, V]) All(yield func(Item[K], V) bool) {
	for i := range s.heap {
		if !yield(s.heap[i].Item, s.heap[i].with) {
			return
		}
	}
}

// Reset forgets everything, and keeps the memory.
func (s *Sketch[K, V]) Reset() {
	clear(s.by)
	clear(s.heap)
	s.heap = s.heap[:0]
}
