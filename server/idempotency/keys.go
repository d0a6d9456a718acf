package idempotency

import (
	"errors"
	"strings"
	"sync"
	"time"
)

// Why a request with a key is neither sent nor answered like the one before.
var (
	ErrConflict = errors.New("this idempotency key was used with another content before")
	ErrUnderWay = errors.New("a request with this idempotency key is still under way, try again")
)

// An Answer is what a request was answered, for the next one with its key. Whoever is given
// one must not change it.
type Answer struct {
	ID     string // of the send
	Handed int    // connections that took it, where the dialect tells that; negative where nobody knows
	Nodes  int    // processes that were handed it, in a cluster; negative where nobody knows

	// Body is what the answer told beside that, and Asked what the request wanted told:
	// one that wants something else needs another body. Body is nil for none, and where the
	// answer is too large to be kept.
	Body  []byte
	Asked string
	// Account is what the sender was told of what became of it, a JSON object; nil where it
	// did not ask, and where the answer is too large.
	Account []byte

	// Uncertain says that nobody knows whether it was sent, or all of it.
	Uncertain bool

	At time.Time // when it was given; set by [Claim.Settle]
}

// entryCost is what an entry takes beside its texts, counted with its place in the map.
const entryCost = 350

// largest is the share of an app's bytes that one answer may take: another key's answer is
// not forgotten for what can be made again.
const largest = 16

// step is how many entries go at once: a loop's goroutine may be waiting for the lock.
const step = 64

// An entry is a key that was taken.
type entry struct {
	name   string
	of     Content
	answer *Answer       // nil while it is under way
	over   chan struct{} // closed once it is not any more; nil while nobody waits
	cost   int64
	next   *entry // that was answered after it
}

// Keys are those of one app. Make them with [Store.App]; the methods may be called from any
// goroutine.
type Keys struct {
	store *Store

	mu     sync.Mutex // guards what follows; nothing is called with it held
	byName map[string]*entry
	first  *entry // who was answered first
	last   *entry
	bytes  int64
}

// take takes a key for a content. Of what it returns one is set: the claim of who is to
// send, the answer to who sent before, or what to wait for.
func (k *Keys) take(name string, of Content) (claim *Claim, answer *Answer, wait <-chan struct{}, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	k.cut(now, step)
	e := k.byName[name]
	if e != nil && e.answer != nil && k.old(e, now) {
		e = nil // it goes with those that are before it in the list
	}
	switch {
	case e == nil:
		e = &entry{name: name, of: of, cost: entryCost + int64(len(name))}
		k.byName[name] = e
		k.bytes += e.cost
		return &Claim{keys: k, entry: e}, nil, nil, nil
	case e.of != of:
		return nil, nil, nil, ErrConflict
	case e.answer != nil:
		return nil, e.answer, nil, nil
	}
	if e.over == nil {
		e.over = make(chan struct{})
	}
	return nil, nil, e.over, nil
}

// old reports whether the time of an entry that is answered is over. k.mu is held.
func (k *Keys) old(e *entry, now time.Time) bool {
	return now.Sub(e.answer.At) >= k.store.bounds.Load().TTL
}

// cut forgets what is too much or too old, so many at most, the oldest first. What is under
// way is neither: there is no more of it than there are requests. What is said to be left is
// for another step. k.mu is held.
func (k *Keys) cut(now time.Time, most int) (old, much bool) {
	by := k.store.bounds.Load()
	for e := k.first; e != nil; e = k.first {
		old, much = k.old(e, now), len(k.byName) > by.Most || k.bytes > by.Bytes
		if !old && !much || most <= 0 {
			return old, much
		}
		if !old {
			k.store.counts.Add(forgotten, 1)
		}
		k.forget(e)
		most--
	}
	return false, false
}

// tidy forgets all that is too much, and with all that is too old as well, and lets others in
// between.
func (k *Keys) tidy(all bool) {
	for more := true; more; {
		k.mu.Lock()
		old, much := k.cut(time.Now(), step)
		k.mu.Unlock()
		more = much || all && old
	}
}

// forget takes out an entry that is answered. k.mu is held.
func (k *Keys) forget(e *entry) {
	if k.first = e.next; k.first == nil {
		k.last = nil
	}
	if k.byName[e.name] == e { // and not one that came when this one was too old
		delete(k.byName, e.name)
	}
	k.bytes -= e.cost
}

// size returns how much is remembered.
func (k *Keys) size() (keys int, bytes int64) {
	k.tidy(true)
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.byName), k.bytes
}

// Close forgets all keys, of an app that is no more, whose numbers count no longer.
func (k *Keys) Close() {
	k.store.mu.Lock()
	defer k.store.mu.Unlock()
	delete(k.store.all, k)
}

// A Claim is a key that a request has taken: others with the key wait for what becomes of
// it. It is one goroutine's. A nil Claim is that of a request without a key.
type Claim struct {
	keys  *Keys
	entry *entry // nil once it is settled or released
}

// Settle says that what the key is for has been sent, and how that was answered. Nothing of
// a is the caller's afterwards.
func (c *Claim) Settle(a Answer) {
	if c == nil || c.entry == nil {
		return
	}
	k, e := c.keys, c.entry
	c.entry = nil
	k.store.counts.Add(sent, 1)
	answer := a // not a itself: a nil claim costs nothing
	if most := k.store.bounds.Load().Bytes / largest; int64(cap(a.Body)+cap(a.Account)+len(a.Asked)) > most {
		answer.Body, answer.Asked, answer.Account = nil, "", nil
	}
	answer.ID, answer.Asked = strings.Clone(a.ID), strings.Clone(answer.Asked) // they may be parts of longer texts
	answer.At = time.Now()
	defer k.tidy(false) // it may take the place of many
	k.mu.Lock()
	defer k.mu.Unlock()
	more := int64(len(a.ID) + cap(answer.Body) + cap(answer.Account) + len(answer.Asked))
	e.answer, e.cost, k.bytes = &answer, e.cost+more, k.bytes+more
	if k.last == nil {
		k.first = e
	} else {
		k.last.next = e
	}
	k.last = e
	e.wake()
}

// Release says that nothing was sent: whoever comes next with the key sends. It does
// nothing after [Claim.Settle].
func (c *Claim) Release() {
	if c == nil || c.entry == nil {
		return
	}
	k, e := c.keys, c.entry
	c.entry = nil
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.byName, e.name)
	k.bytes -= e.cost
	e.wake()
}

// wake tells those who wait. The lock of the keys is held.
func (e *entry) wake() {
	if e.over != nil {
		close(e.over)
		e.over = nil
	}
}
