// Package latency measures how long what is published takes until its last copy has been
// written to a socket.
//
// A publication that is measured carries a [Mark]. Each outbox that takes a copy carries
// the mark too, behind the copy, and says when it has been written that far, or when its
// connection is gone; the last one ends the mark. What polls is there when the answer
// with it has been written.
//
// # Cost
//
// Few publications are measured: about [perSecond] a second where rooms are small, fewer
// the more connections have to be told and the more marks are under way. Which ones is
// chosen by their number, so that the last of a burst is as likely to be chosen as the
// first. Every other publication costs one look at a word, and a copy of it nothing.
//
// It starts no goroutine.
package latency

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// perSecond is how many publications a second are measured at the most, in the long
	// run.
	perSecond = 100
	// copies is how many copies of a publication that is measured cost as much as another
	// such publication.
	copies = 20
	// atOnce is how many may be measured before the next second's: of a burst to a crowd
	// that is one.
	atOnce = perSecond / 2
	// crowded is how many marks that are under way make another one cost twice as much. A
	// client that takes nothing keeps all of its room's for as long as it may; they would
	// leave none for others.
	crowded = 4
	// maxUnderWay bounds the marks that are under way; see crowded.
	maxUnderWay = 256
	// maxCarried bounds on how many outboxes marks wait.
	maxCarried = 128 << 10
	// strikes is how many publications may be chosen in vain before half as many are.
	strikes = 16
	// leastOdds is one in a million.
	leastOdds = 1 << 12
)

// A Meter measures publications. Make one with [New]; its methods may be called from any
// goroutine.
type Meter struct {
	odds    atomic.Uint32 // of 2^32, that a publication is chosen
	_       [60]byte      // what is read with each publication is not where others write
	carried atomic.Int64  // outboxes that marks wait for

	mu       sync.Mutex // guards what follows; nothing else is locked with it held
	funds    float64    // publications that may be measured now
	at       time.Time  // when funds were right
	underWay int
	taken    int       // marks since adapted
	denied   int       // publications that were chosen in vain since then
	adapted  time.Time // when odds were last looked at
	spread   spread
	recent   recent
}

// New returns a meter that measures from now on.
func New() *Meter {
	now := time.Now()
	m := &Meter{funds: atOnce, at: now, adapted: now}
	m.recent.turned = now
	m.odds.Store(math.MaxUint32)
	return m
}

// Picks reports whether a publication is one of those to be measured; n is its number
// among others, so that neighbours are told apart. It costs a look at a word.
func (m *Meter) Picks(n uint64) bool {
	return uint32((n*0x9E3779B97F4A7C15)>>32) <= m.odds.Load()
}

// Begin returns a mark for a publication that was picked, or nil when it cannot be
// measured. Its publisher must call [Mark.End].
func (m *Meter) Begin() *Mark {
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.funds = min(atOnce, m.funds+now.Sub(m.at).Seconds()*perSecond)
	m.at = now
	if m.funds < 1 || m.underWay >= maxUnderWay || m.carried.Load() > maxCarried {
		if m.denied++; m.denied%strikes == 0 {
			m.odds.Store(max(leastOdds, m.odds.Load()/2))
		}
		return nil
	}
	m.taken++
	m.underWay++
	k := &Mark{meter: m, began: now}
	k.left.Store(1)
	return k
}

// pay takes what a mark cost out of the funds, which may have to be made up for.
func (m *Meter) pay(carried int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.funds -= (1 + float64(carried)/copies) * (1 + float64(m.underWay-1)/crowded)
}

// adapt chooses more publications again where few were measured. m.mu is held.
func (m *Meter) adapt(now time.Time) {
	if now.Sub(m.adapted) < time.Second {
		return
	}
	m.adapted = now
	if m.denied == 0 && m.taken < perSecond/2 {
		m.odds.Store(uint32(min(math.MaxUint32, 4*uint64(m.odds.Load()))))
	}
	m.taken, m.denied = 0, 0
}

// end counts a mark that has ended.
func (m *Meter) end(took time.Duration, counts bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.underWay--
	if counts {
		m.spread.add(took)
		m.recent.add(took)
	}
}

// UnderWay returns how many marks have not ended, and on how many outboxes they wait.
func (m *Meter) UnderWay() (marks int, outboxes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.underWay, m.carried.Load()
}

// A Mark is carried by one publication. Its methods may be called from any goroutine, with
// any lock held.
type Mark struct {
	meter *Meter       // set once
	began time.Time    // set once
	left  atomic.Int32 // who have yet to pass it, the publisher among them
	total atomic.Int32 // who ever carried it
}

// Carry says that one more outbox has the mark; [Mark.Pass] must follow, once. The caller
// has it from somebody who has not passed it: the publisher, or another outbox.
func (k *Mark) Carry() {
	k.total.Add(1)
	k.left.Add(1)
	k.meter.carried.Add(1)
}

// Pass says that an outbox has been written as far as the mark, or never will be.
func (k *Mark) Pass() {
	k.meter.carried.Add(-1)
	k.pass()
}

func (k *Mark) pass() {
	if k.left.Add(-1) == 0 {
		k.meter.end(time.Since(k.began), k.total.Load() > 0)
	}
}

// End says that the publication has been handed to all who get it. A mark that nobody
// carried counts for nothing.
func (k *Mark) End() {
	k.meter.pay(int(k.total.Load()))
	k.pass()
}

// Marks are carried together by what waits for an outbox. Most often there are none.
type Marks []*Mark

// Add has one more of them carried.
func (list *Marks) Add(k *Mark) {
	k.Carry()
	*list = append(*list, k)
}

// Pass passes all of them, once.
func (list Marks) Pass() {
	for _, k := range list {
		k.Pass()
	}
}

// Move hands all of them over to somebody who carries them from now on.
func (list Marks) Move(to interface{ Mark(*Mark) }) {
	for _, k := range list {
		to.Mark(k)
		k.Pass()
	}
}
