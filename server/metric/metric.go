// Package metric counts what happens, and carries the numbers of this moment from the
// parts of the program to whoever shows them: the line that SIGUSR1 writes is made of
// [Reading] values, and an endpoint for a collector can be.
//
// # Why
//
// Nothing is kept twice: a gauge is read from what it measures when somebody asks, and a
// counter is one atomic number. Names are ours, never a stranger's words: no room, user,
// address or text that somebody sent is a name.
package metric

import (
	"sync"
	"sync/atomic"
)

// A Set is counters by name. The zero Set is ready; its names come into being when they
// are first counted, and [Other] has what finds no room. One of [Closed] has its names
// from the beginning and no others. Its methods may be called from any goroutine.
type Set struct {
	closed bool // set once

	mu     sync.RWMutex // guards the map; the counters are atomic
	byName map[string]*atomic.Uint64
}

// Other is the name under which a [Set] counts what has a name that it may not have.
const Other = "other"

// maxNames bounds the names of one set, in case one of them is a stranger's after all.
const maxNames = 500

// Closed returns a set with these names and no others.
func Closed(names ...string) *Set {
	s := &Set{closed: true, byName: make(map[string]*atomic.Uint64, len(names)+1)}
	for _, name := range append(names, Other) {
		s.byName[name] = new(atomic.Uint64)
	}
	return s
}

// Add counts n things more under a name.
func (s *Set) Add(name string, n int) {
	if n == 0 {
		return
	}
	s.mu.RLock()
	c := s.byName[name]
	if c == nil && s.closed {
		c = s.byName[Other]
	}
	s.mu.RUnlock()
	if c == nil {
		c = s.make(name)
	}
	c.Add(uint64(n))
}

// make returns the counter of a name, a new one if need be.
func (s *Set) make(name string) *atomic.Uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byName == nil {
		s.byName = make(map[string]*atomic.Uint64)
	}
	if len(s.byName) >= maxNames && s.byName[name] == nil {
		name = Other
	}
	c := s.byName[name]
	if c == nil {
		c = new(atomic.Uint64)
		s.byName[name] = c
	}
	return c
}

// All returns the counts that are not zero, by name.
func (s *Set) All() map[string]uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := make(map[string]uint64, len(s.byName))
	for name, c := range s.byName {
		if n := c.Load(); n > 0 {
			all[name] = n
		}
	}
	return all
}

// A Reading is one number of this moment, or counts by name, for people and programs.
type Reading struct {
	Key   string            // what it is called in the line of [Attrs]
	Kind  Kind              // what a program may do with it
	Value int64             // unless Kind is Counters
	By    map[string]uint64 // of Counters: those that are not zero
}

// A Kind says how a reading changes.
type Kind int

// The kinds.
const (
	IsGauge    Kind = iota // goes up and down
	IsCounter              // goes up, from 0 at the start
	IsCounters             // such numbers, by name
)

// Gauge is a reading of something that goes up and down.
func Gauge[T ~int | ~int64](key string, n T) Reading {
	return Reading{Key: key, Kind: IsGauge, Value: int64(n)}
}

// Counter is a reading of how often something has happened.
func Counter(key string, n uint64) Reading {
	return Reading{Key: key, Kind: IsCounter, Value: int64(n)}
}

// Counters is a reading of counts by name.
func Counters(key string, by map[string]uint64) Reading {
	return Reading{Key: key, Kind: IsCounters, By: by}
}

// Attrs are the keys and values of readings, for a line of a log.
func Attrs(readings []Reading) []any {
	attrs := make([]any, 0, 2*len(readings))
	for _, r := range readings {
		if r.Kind == IsCounters {
			attrs = append(attrs, r.Key, r.By)
			continue
		}
		attrs = append(attrs, r.Key, r.Value)
	}
	return attrs
}
