// Package quota gives what all connections of a kind use together one number: the
// bytes of input that is held, say. What a single address may take of it is bounded
// too, so that a stranger cannot use up what all share.
package quota

import (
	"errors"
	"io"
	"net/netip"
	"sync"
	"sync/atomic"
)

// ErrFull says that a quota has no room. An HTTP request is answered 503 with
// Retry-After over it.
var ErrFull = errors.New("too much input is waiting for its end, try again")

// A Quota is a number of bytes that many share. The zero Quota has no room; make
// one with [New]. Its methods may be called from any goroutine and never block.
type Quota struct {
	max  atomic.Int64
	used atomic.Int64

	refused atomic.Uint64

	mu     sync.Mutex // guards what follows
	byKey  map[netip.Addr]int64
	share  int64 // of one key
	little int64 // what each key has in any case
}

// A quota is kept in parts, so that those who hold much do not keep out those who hold
// little: one holder of up to small bytes has an eighth that others do not get, and a
// network of up to little bytes in all another one, which many strangers together do not
// use up unless they have as many networks as fit into it.
const (
	small  = 16 << 10
	little = 8 << 10  // or more where there is much:
	parts  = 16 << 10 // one in so many of all
)

// New returns a quota of so many bytes, of which one address may take a share: a
// fourth.
func New(bytes int64) *Quota {
	q := &Quota{byKey: make(map[netip.Addr]int64)}
	q.Resize(bytes)
	return q
}

// Resize makes the quota one of so many bytes. What is taken stays so, also when it is
// more.
func (q *Quota) Resize(bytes int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.max.Store(bytes)
	q.share, q.little = max(1, bytes/4), max(little, bytes/parts)
}

// Take asks for n bytes more for one who holds some already, and an address, which is
// best a network as peers.Network has it; the zero Addr stands for many and is not
// bounded by itself. It reports false, and has taken nothing, when there are not so
// many.
func (q *Quota) Take(from netip.Addr, holds, n int) bool {
	whole := q.max.Load()
	most := whole - whole/8
	if holds+n > small {
		most = whole - whole/4
	}
	if !from.IsValid() {
		return q.take(most, n)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	all := q.byKey[from] + int64(n)
	if all <= q.little {
		most = whole
	}
	if all > q.shareOf(holds+n) {
		q.refused.Add(1)
		return false
	}
	if !q.take(most, n) {
		return false
	}
	q.byKey[from] = all
	return true
}

// shareOf is what one address may take for one who holds so much then. q.mu is held.
func (q *Quota) shareOf(holds int) int64 {
	if holds > small {
		return q.share - q.share/8
	}
	return q.share
}

// Exceeds reports whether Take refuses because of the address's own share: then it is of
// no use that others give something back.
func (q *Quota) Exceeds(from netip.Addr, holds, n int) bool {
	if !from.IsValid() {
		return false
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.byKey[from]+int64(n) > q.shareOf(holds+n)
}

// take takes n bytes if no more than most are taken then.
func (q *Quota) take(most int64, n int) bool {
	if q.used.Add(int64(n)) > most {
		q.used.Add(-int64(n))
		q.refused.Add(1)
		return false
	}
	return true
}

// Give gives back what was taken for an address.
func (q *Quota) Give(from netip.Addr, n int) {
	if n == 0 {
		return
	}
	q.used.Add(-int64(n))
	if !from.IsValid() {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.byKey[from] -= int64(n); q.byKey[from] <= 0 {
		delete(q.byKey, from)
	}
}

// Used returns how many bytes are taken.
func (q *Quota) Used() int64 { return q.used.Load() }

// Refused returns how often there was no room.
func (q *Quota) Refused() uint64 { return q.refused.Load() }

// A Reader takes from a quota what is read through it, until it is closed.
type Reader struct {
	io.ReadCloser
	quota *Quota
	from  netip.Addr
	taken int
	full  bool
}

// Reader returns r with every byte counted; a read for which there is no room fails
// with [ErrFull]. One goroutine uses it at a time.
func (q *Quota) Reader(r io.ReadCloser, from netip.Addr) *Reader {
	return &Reader{ReadCloser: r, quota: q, from: from}
}

// Read implements [io.Reader].
func (r *Reader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	if n > 0 {
		if r.full || !r.quota.Take(r.from, r.taken, n) {
			r.full = true
			return 0, ErrFull
		}
		r.taken += n
	}
	return n, err
}

// Release gives back what was read. It may be called more than once.
func (r *Reader) Release() {
	r.quota.Give(r.from, r.taken)
	r.taken = 0
}

// Discard reads and throws away up to most bytes of a body for which there was no
// room: most senders write all of it before they look for an answer.
func (r *Reader) Discard(most int64) {
	if r.full {
		_, _ = io.CopyN(io.Discard, r.ReadCloser, most)
	}
}
