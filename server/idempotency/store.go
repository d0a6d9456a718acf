// Package idempotency remembers what was sent with a key, so that a sender who does not
// know whether a request arrived may send it again: it is sent once, and answered the same
// twice.
//
// A key is bound to the app that it was sent for and to the content that it was sent with:
// with another content it is refused, in place of being taken for a repetition. It is taken
// before anything is published and given back where nothing was, so a refused request may
// be corrected and sent again. While a request with a key is under way, a second one waits
// for what becomes of it.
//
// What is remembered is bounded in time, number and bytes for each app; for the latter two
// the oldest go first, which is counted: a repetition of these is sent again.
//
// It knows no protocol and starts no goroutine. What is too old goes as other keys come, some
// for each, or as somebody asks for numbers.
//
// # Why
//
// Keys are for each app a map and a list in the order of their answers, under one lock that
// is held for neither the publishing nor the waiting. A send without a key comes by nothing
// of all this.
package idempotency

import (
	"sync"
	"sync/atomic"
	"time"

	"poosh/server/metric"
)

// patience is how long a second request waits for the first. That waits at most
// [poosh/server/admission.Patience] for the server to keep up.
const patience = 2 * time.Second

// An outcome is what became of a request, or of an event in one, that has a key.
type outcome uint8

const (
	sent outcome = iota
	replayed
	conflict
	underWay
	forgotten // no outcome of a request: the key went before its time
)

var outcomes = []string{sent: "sent", replayed: "replayed", conflict: "conflict", underWay: "under_way", forgotten: "forgotten"}

// A Store has the keys of all apps. Make one with [New]; its methods may be called from any
// goroutine.
type Store struct {
	bounds   atomic.Pointer[Config] // never nil
	counts   *metric.Set[outcome]
	patience time.Duration // set once

	mu  sync.Mutex // guards what follows; taken before that of any Keys
	all map[*Keys]struct{}
}

// New returns a store that remembers nothing yet.
func New(cfg Config) *Store {
	s := &Store{counts: metric.Closed[outcome](outcomes), patience: patience, all: make(map[*Keys]struct{})}
	s.Change(cfg)
	return s
}

// Change has other bounds count from now on, for what is remembered already too.
func (s *Store) Change(cfg Config) {
	s.bounds.Store(cfg.withDefaults())
	s.mu.Lock()
	defer s.mu.Unlock()
	for k := range s.all {
		k.tidy(true)
	}
}

// App returns the keys of one app, which are those of no other.
func (s *Store) App() *Keys {
	k := &Keys{store: s, byName: make(map[string]*entry)}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all[k] = struct{}{}
	return k
}

// Readings are the numbers of this moment.
func (s *Store) Readings() []metric.Reading {
	n, bytes := s.size()
	return []metric.Reading{
		metric.Gauge("idempotency_keys", "idempotency_keys", "Idempotency keys that are kept, of all apps.", n),
		metric.Gauge("", "idempotency_bytes", "Bytes that these and their answers take, as IDEMPOTENCY_BYTES counts them.", bytes),
		metric.Counters("idempotency", "idempotency_total", "Events and batches that came with an idempotency key, by what became of them.", "outcome", s.counts.Samples(sent, underWay, "")),
		metric.Counter("idempotency_forgotten", "idempotency_forgotten_total", "Idempotency keys that were forgotten before IDEMPOTENCY_TTL, for IDEMPOTENCY_KEYS or IDEMPOTENCY_BYTES.", s.counts.Get(forgotten)),
	}
}

// size returns how much is remembered.
func (s *Store) size() (keys int, bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k := range s.all {
		n, b := k.size()
		keys, bytes = keys+n, bytes+b
	}
	return keys, bytes
}
