package metric

import (
	"fmt"
	"sync/atomic"
)

// A Set is counters by the values of a closed list: V is the list's type, whose
// constants count from 0. What is counted is a constant, so no word of a stranger's can
// become a name. Make one with [Closed]; its methods may be called from any goroutine,
// take no lock and never block.
type Set[V ~uint8] struct {
	names  []string // set once
	counts []atomic.Uint64
}

// Closed returns a set of the values that have these names, in the order of their
// constants. It panics where a value has no name: the list and its names stand side by
// side in the source.
func Closed[V ~uint8](names []string) *Set[V] {
	for v, name := range names {
		if name == "" {
			panic(fmt.Sprintf("metric: value %d of %T has no name", v, V(0)))
		}
	}
	return &Set[V]{names: names, counts: make([]atomic.Uint64, len(names))}
}

// Add counts n things more.
func (s *Set[V]) Add(v V, n int) {
	if n > 0 {
		s.counts[v].Add(uint64(n))
	}
}

// Get returns how many were counted.
func (s *Set[V]) Get(v V) uint64 { return s.counts[v].Load() }

// All returns the counts that are not zero, by name.
func (s *Set[V]) All() map[string]uint64 {
	all := make(map[string]uint64)
	for v, name := range s.names {
		if n := s.counts[v].Load(); n > 0 {
			all[name] = n
		}
	}
	return all
}

// Samples returns every count from one value to another one, both included, as one
// label has it. cut is what is left out of the beginning of their names.
func (s *Set[V]) Samples(from, to V, cut string) []Sample {
	list := make([]Sample, 0, int(to-from)+1)
	for v := int(from); v <= int(to); v++ {
		name := s.names[v]
		if len(name) > len(cut) && name[:len(cut)] == cut {
			name = name[len(cut):]
		}
		list = append(list, Of(s.counts[v].Load(), name))
	}
	return list
}
