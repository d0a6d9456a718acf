package closed

import (
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"poosh/server/excerpt"
)

// A Connection is one that has ended.
type Connection struct {
	ID      string // what its dialect calls it; of a long one the first [MaxID] bytes
	Dialect string
	App     string     // whose it was
	Network netip.Addr // it came from, as the bounds on connections have it
	Reason  Reason
	Since   time.Time // when it began
	At      time.Time // when it ended
	Waiting int       // bytes that were still to be written to it, and are lost
}

// MaxID is how many bytes of an id are kept.
const MaxID = 64

// Kept is how many connections a book of the server's keeps, about half a megabyte.
const Kept = 4096

// A Book counts ends by reason, and keeps the last of them. Make one with [New]; its
// methods may be called from any goroutine.
type Book struct {
	mu   sync.Mutex // guards what follows
	ring []Connection
	next int // where the next one goes, if the ring is full
	kept int
}

// New returns a book that keeps so many connections; with 0 it only counts.
func New(keep int) *Book { return &Book{ring: make([]Connection, keep)} }

// add keeps a connection.
func (b *Book) add(c Connection) {
	if len(b.ring) == 0 {
		return
	}
	c.ID = clip(c.ID)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ring[b.next] = c
	if b.next++; b.next == len(b.ring) {
		b.next = 0
	}
	b.kept = min(b.kept+1, len(b.ring))
}

// clip bounds an id. A long one is copied, so that what it was cut from is not kept.
func clip(id string) string {
	short, cut := excerpt.Beginning(id, MaxID)
	if cut {
		return strings.Clone(short)
	}
	return id
}

// Latest returns up to n of the connections that ended last, the last one first.
func (b *Book) Latest(n int) []Connection {
	return b.Select(n, func(*Connection) bool { return true })
}

// Find returns up to n of those that ended last and had an id, the last one first. An id
// may have been had by several, one after the other.
func (b *Book) Find(id string, n int) []Connection {
	id = clip(id)
	return b.Select(n, func(c *Connection) bool { return c.ID == id })
}

// Select returns up to n of those that ended last and that wanted picks, the last one
// first. It looks at all that are kept, which takes some ten microseconds, and who ends
// meanwhile waits for that: wanted must neither wait nor call the book.
func (b *Book) Select(n int, wanted func(*Connection) bool) (found []Connection) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.kept {
		c := &b.ring[(b.next-1-i+2*len(b.ring))%len(b.ring)]
		if len(found) == n {
			break
		}
		if wanted(c) {
			found = append(found, *c)
		}
	}
	return found
}

// A Source is the part of a book that is about one application of one dialect. Its
// methods may be called from any goroutine.
type Source struct {
	book         *Book  // set once
	dialect, app string // set once

	opened atomic.Uint64
	closed [reasons]atomic.Uint64
}

// Source returns where an application's connections are counted.
func (b *Book) Source(dialect, app string) *Source {
	return &Source{book: b, dialect: dialect, app: app}
}

// Opened counts a connection that has begun. [Source.Closed] follows once.
func (s *Source) Opened() { s.opened.Add(1) }

// Closed counts and keeps a connection that has ended, after having been open for some
// time. Waiting are bytes that never left.
func (s *Source) Closed(why Reason, id string, from netip.Addr, open time.Duration, waiting int) {
	if why == None {
		why = ByServer
	}
	s.closed[why].Add(1)
	now := time.Now()
	s.book.add(Connection{ID: id, Dialect: s.dialect, App: s.app, Network: from, Reason: why,
		Since: now.Add(-open), At: now, Waiting: waiting})
}

// OpenedCount returns how many connections have begun.
func (s *Source) OpenedCount() uint64 { return s.opened.Load() }

// ClosedCount returns how many connections have ended for a reason.
func (s *Source) ClosedCount(r Reason) uint64 { return s.closed[r].Load() }

// ClosedAll returns how many connections have ended.
func (s *Source) ClosedAll() (n uint64) {
	for r := range Reasons {
		n += s.closed[r].Load()
	}
	return n
}

// By returns how many connections have ended, by the reason's name, but for those that
// never were one.
func (s *Source) By() map[string]uint64 {
	by := make(map[string]uint64)
	for r := range Reasons {
		if n := s.closed[r].Load(); n > 0 {
			by[r.String()] = n
		}
	}
	return by
}
