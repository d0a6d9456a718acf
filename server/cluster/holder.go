package cluster

import (
	"cmp"
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"poosh/server/hub"
	"poosh/server/presence"
)

// An id belongs to the partition of the room that is called like it, so that whoever gets one
// has its place among the room's events. What a node asks about ids of one partition goes in
// batches, one after the other, see hold.lua; the answers come among the events. A batch without
// an answer is sent once more over the next link, and not done twice.
//
// What somebody has here is in a book. After each link that was made anew, and whenever the
// engine knows nothing of this node, all of it is asked for again with the time at which it was
// got: who was taken or barred meanwhile hears of it then, for as long as an hour. What the engine
// has of ids ends by itself, so all of the book is kept again in turns, some at each beat.

// Bounds of what waits in one partition.
const (
	mostClaims = 1 << 16 // claims and bars
	mostBars   = 1 << 16 // that are remembered for an engine that forgets
)

var _ presence.Holder = (*Cluster)(nil)

// idLife is until the engine forgets an id that is not kept again.
const idLife = 24 * time.Hour

// What an operation is, as hold.lua reads it.
const (
	opClaim   = "c"
	opKeep    = "k"
	opRelease = "r"
	opBar     = "b"
	opAgain   = "a" // a bar that the engine may have forgotten
)

// A holding is an operation on an id, in its turn.
type holding struct {
	op     string
	what   string        // app, a byte 0, id
	number string        // of the claim; of a bar the time before which it holds
	stamp  string        // of what is kept, and of bars that are put up again: when the engine gave it
	wait   time.Duration // of a bar
	until  time.Time     // of a bar that is put up again
	since  time.Time

	claim  *presence.Claim // nil for bars
	sub    *subscription   // of a claim, until its answer
	answer func(error)     // of a claim; nil once it has been called
	done   func(said string, err error)
}

// A held is an id that somebody here has.
type held struct {
	number, stamp string
	claim         *presence.Claim
}

// A barred is a bar that this node put up.
type barred struct {
	before, stamp string
	wait          time.Duration // behind stamp, which is of the engine's clock
	until         time.Time     // when this node forgets it, at the earliest
}

// holdings are what a partition has of ids. Its goroutine is work; answers come on that of the
// inbox.
type holdings struct {
	p    *partition
	wake chan struct{}

	mu     sync.Mutex // guards what follows; nobody is called with it held
	over   bool
	queue  []*holding
	counts int // claims and bars in queue and under
	under  *holdBatch
	book   map[string]*held
	claims map[*presence.Claim]string // of book: what
	bars   map[string]barred
	number uint64    // of the last claim or batch
	link   uint64    // the last for which the book was asked for again
	afresh bool      // it is to be
	turn   []string  // what of the book is to be kept yet in this turn
	turned time.Time // when it began

	refused bool // the engine takes nothing, and that is in the log; of work
}

// A holdBatch was sent, or is about to be.
type holdBatch struct {
	number string
	list   []*holding
	link   uint64 // that it was sent to last; 0 for none
	doubt  bool   // it was sent to one before, and may have been done
}

func (h *holdings) init(p *partition) {
	h.p, h.wake, h.turned = p, make(chan struct{}, 1), time.Now()
	h.book, h.claims, h.bars = make(map[string]*held), make(map[*presence.Claim]string), make(map[string]barred)
}

func (h *holdings) wakeUp() {
	select {
	case h.wake <- struct{}{}:
	default: // it will look
	}
}

// Claim implements [presence.Holder].
func (c *Cluster) Claim(claim *presence.Claim, answer func(error)) {
	p := c.partition(claim.App, claim.ID, false)
	o := &holding{op: opClaim, what: claim.App + "\x00" + claim.ID, claim: claim, since: time.Now(), answer: answer}
	// Nothing is asked for before what comes behind it is subscribed to.
	o.sub = p.want(p.channel(claim.App, claim.ID, false))
	if !p.holds.put(o) {
		p.unwant(o.sub)
		answer(presence.ErrAway)
	}
}

// Release implements [presence.Holder].
func (c *Cluster) Release(claim *presence.Claim) {
	h := &c.partition(claim.App, claim.ID, false).holds
	h.mu.Lock()
	defer h.mu.Unlock()
	what, ok := h.claims[claim]
	if !ok {
		return
	}
	h.release(what, h.forget(what).number)
}

// forget takes an entry out of the book. mu is held.
func (h *holdings) forget(what string) *held {
	b := h.book[what]
	delete(h.book, what)
	delete(h.claims, b.claim)
	return b
}

// release gives a claim back: as many as there were good answers, at the most. mu is held.
func (h *holdings) release(what, number string) {
	if !h.over {
		h.queue = append(h.queue, &holding{op: opRelease, what: what, number: number})
		h.wakeUp()
	}
}

// Bar implements [presence.Holder].
func (c *Cluster) Bar(app string, ids []string, before int64, wait time.Duration, done func(map[string]int64, error)) {
	all := &barring{left: len(ids), done: done, had: make(map[string]int64)}
	if len(ids) == 0 {
		done(nil, nil)
		return
	}
	for _, id := range ids {
		h := &c.partition(app, id, false).holds
		o := &holding{op: opBar, what: app + "\x00" + id, number: number(before), wait: wait, since: time.Now()}
		o.done = func(had string, err error) { all.add(id, had, err) }
		if !h.put(o) {
			all.add(id, "", presence.ErrAway)
		}
	}
}

// A barring puts together what became of the bars of one call.
type barring struct {
	done func(map[string]int64, error) // set once

	mu   sync.Mutex // guards what follows
	left int
	had  map[string]int64
	err  error
}

// add notes what became of one: had begins with "h" and the time of the token of who had it.
func (b *barring) add(id, had string, err error) {
	had, _, _ = strings.Cut(had, " ")
	b.mu.Lock()
	if strings.HasPrefix(had, "h") {
		b.had[id], _ = strconv.ParseInt(had[1:], 10, 64) // the engine has it from a node
	}
	b.err = cmp.Or(b.err, err)
	b.left--
	last := b.left == 0
	b.mu.Unlock()
	if last {
		b.done(b.had, b.err)
	}
}

// put has an operation wait for its turn, or reports that nobody can be asked.
func (h *holdings) put(o *holding) bool {
	h.p.mu.Lock()
	away := h.p.over || h.p.isAway()
	h.p.mu.Unlock()
	h.mu.Lock()
	defer h.mu.Unlock()
	if away || h.over || h.counts >= mostClaims {
		return false
	}
	if o.op == opClaim {
		o.number = h.next()
	}
	h.counts++
	h.queue = append(h.queue, o)
	h.wakeUp()
	return true
}

// Held implements [presence.Holder].
func (c *Cluster) Held(ctx context.Context, app string, ids []string) ([]bool, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	there := make([]bool, len(ids))
	places := make(map[*partition][]int)
	for i, id := range ids {
		p := c.partition(app, id, false)
		places[p] = append(places[p], i)
	}
	for p, list := range places {
		args := []string{string(p.tag)}
		for _, i := range list {
			args = append(args, app+"\x00"+ids[i])
		}
		answer, err := p.exec(ctx, heldScript, []string{p.tag.state()}, args)
		if err != nil {
			return nil, errors.Join(presence.ErrAway, err)
		}
		got, err := answer.AsIntSlice()
		if err != nil || len(got) != len(list) {
			return nil, errors.Join(presence.ErrAway, err)
		}
		for n, i := range list {
			there[i] = got[n] == 1
		}
	}
	return there, nil
}

// freeAtOnce is how many ids of a node are freed in one command.
const freeAtOnce = 512

// free frees what a node has that is given up, or is this one and leaves. It reports false where
// something may be left.
func (p *partition) free(ctx context.Context, node string) bool {
	leaves := "0"
	if node == p.c.name {
		leaves = "1"
	}
	for {
		answer, err := p.exec(ctx, freeScript, []string{p.tag.state()}, []string{string(p.tag), node, number(freeAtOnce), leaves})
		if err != nil {
			return false
		}
		left, err := answer.AsInt64()
		if err != nil || left > 0 && ctx.Err() != nil {
			return false
		}
		if left == 0 {
			return true
		}
	}
}

// stopHolding ends what is asked about ids, and frees those of this node.
func (c *Cluster) stopHolding(ctx context.Context) {
	for _, p := range c.rooms() {
		p.holds.stop()
		p.free(ctx, c.name)
	}
}

// stop answers who waits. Nothing is sent any more.
func (h *holdings) stop() {
	h.mu.Lock()
	h.over = true
	list := h.queue
	if h.under != nil {
		list = append(list, h.under.list...)
	}
	h.queue, h.under, h.counts = nil, nil, 0
	h.mu.Unlock()
	for _, o := range list {
		h.fail(o, hub.ErrAway)
	}
}
