package cluster

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"poosh/server/guard"
	"poosh/server/presence"
)

// holdAtOnce is how many operations are in one batch.
const holdAtOnce = 128

// What begins the answers of hold.lua, and what it tells who has lost an id.
const (
	letterHeld = 'H'
	letterLost = 'K'
)

func number(n int64) string { return strconv.FormatInt(n, 10) }

// next numbers claims and batches. mu is held.
func (h *holdings) next() string {
	h.number++
	return strconv.FormatUint(h.number, 10)
}

// work sends what waits, and says each second that this node is there as long as somebody has an
// id here. An engine that takes nothing is asked once a second. It ends with the cluster.
func (h *holdings) work() {
	tick := time.NewTicker(fenceEvery)
	defer tick.Stop()
	for {
		beat := false
		select {
		case <-h.p.c.over.Done():
			return
		case <-h.wake:
			if h.refused {
				continue
			}
		case <-tick.C:
			beat = true
		}
		if l := h.p.current(); l != nil {
			if b, args := h.take(l, beat); b != nil {
				h.send(l, args)
			}
		}
	}
}

// take takes a batch to send; nil for none.
func (h *holdings) take(l *link, beat bool) (*holdBatch, []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over {
		return nil, nil
	}
	if beat {
		h.prune()
	}
	if b := h.under; b != nil {
		if b.link == l.generation {
			return nil, nil // its answer is on its way
		}
		b.link, b.doubt = l.generation, true
		return b, h.args(l, b)
	}
	if h.afresh || h.link != l.generation {
		h.keep()
		h.afresh, h.link = false, l.generation
	}
	if beat && len(h.queue) == 0 {
		h.keepSome()
	}
	n := 0
	for n < len(h.queue) && n < holdAtOnce && h.p.subs.ready(h.queue[n].sub) {
		n++
	}
	if n == 0 && (!beat || len(h.book)+len(h.bars) == 0) {
		return nil, nil
	}
	b := &holdBatch{number: h.next(), list: h.queue[:n:n], link: l.generation}
	h.queue, h.under = h.queue[n:], b
	return b, h.args(l, b)
}

// ready reports that a subscription is there, or that none is needed.
func (t *subscriptions) ready(s *subscription) bool {
	if s == nil {
		return true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return s.confirmed
}

// args are those of hold.lua. mu is held.
func (h *holdings) args(l *link, b *holdBatch) []string {
	args := append(l.args(), h.p.c.name, b.number, number(h.p.c.cfg.Lease.Milliseconds()), number(h.p.c.idLife.Milliseconds()))
	for _, o := range b.list {
		switch {
		case o.op == opBar && o.done == nil, o.op == opAgain && !o.until.After(time.Now()):
			// It is too late for it: who asked was told that nobody could be, or it is over. Nothing is
			// done in its place.
			args = append(args, opRelease, o.what, "0")
		case o.op == opClaim && o.answer == nil, o.op == opRelease: // nobody waits for it any more
			args = append(args, opRelease, o.what, o.number)
		case o.op == opClaim:
			args = append(args, opClaim, o.what, o.number, "0", number(o.claim.Made))
		case o.op == opKeep:
			args = append(args, opKeep, o.what, o.number, o.stamp, number(o.claim.Made))
		case o.op == opBar:
			args = append(args, opBar, o.what, o.number, number(max(1, o.wait.Milliseconds())))
		case o.op == opAgain:
			args = append(args, opAgain, o.what, o.number, number(max(1, o.wait.Milliseconds())), o.stamp)
		}
	}
	return args
}

// send sends a batch. Its answer comes among the events; without one it stays in doubt.
func (h *holdings) send(l *link, args []string) {
	ctx, cancel := l.context()
	defer cancel()
	err := holdScript.on(ctx, l.line.wire, []string{h.p.tag.state()}, args).Error()
	switch {
	case err == nil:
		h.refused = false
	case refused(err): // such as for want of memory
		if !h.refused {
			h.refused = true
			h.p.c.log.Error("the engine takes nothing about ids", "partition", h.p.index, "err", err)
		}
		h.giveUp()
	default:
		l.fail(fmt.Errorf("hold: %w", err))
	}
}

// giveUp answers those of a batch that the engine did not take. What was to be kept or released,
// and bars that are put up again, come in the next. Where the batch was in doubt, claims may have been
// done, so they are given back.
func (h *holdings) giveUp() {
	h.mu.Lock()
	b := h.under
	if b == nil {
		h.mu.Unlock()
		return
	}
	h.under = nil
	var failed, rest []*holding
	for _, o := range b.list {
		switch o.op {
		case opClaim, opBar:
			failed = append(failed, o)
			h.counts--
			if o.op == opClaim && b.doubt {
				rest = append(rest, &holding{op: opRelease, what: o.what, number: o.number})
			}
		default:
			rest = append(rest, o)
		}
	}
	h.queue = append(rest, h.queue...)
	h.mu.Unlock()
	for _, o := range failed {
		h.fail(o, presence.ErrAway)
	}
}

// fail answers who waited, if somebody does yet.
func (h *holdings) fail(o *holding, err error) {
	h.mu.Lock()
	answer, done, sub := o.answer, o.done, o.sub
	o.answer, o.done, o.sub = nil, nil, nil
	h.mu.Unlock()
	if sub != nil {
		h.p.unwant(sub)
	}
	h.call(func() {
		if answer != nil {
			answer(err)
		}
		if done != nil {
			done("", err)
		}
	})
}

func (h *holdings) call(f func()) {
	guard.Call(h.p.c.log, "who asked for an id is answered", f, "partition", h.p.index)
}

// expire fails what has waited since before a time, or all if the engine is away. What was sent may have been
// done: a claim is given back then.
func (h *holdings) expire(limit time.Time, away bool) {
	late := func(o *holding) bool {
		return (o.answer != nil || o.done != nil) && (away || o.since.Before(limit))
	}
	h.mu.Lock()
	var list []*holding
	h.queue = slices.DeleteFunc(h.queue, func(o *holding) bool {
		if !late(o) {
			return false
		}
		list = append(list, o)
		h.counts--
		return true
	})
	if h.under != nil {
		for _, o := range h.under.list {
			if late(o) {
				list = append(list, o)
			}
		}
	}
	h.mu.Unlock()
	for _, o := range list {
		h.fail(o, presence.ErrAway)
	}
}

// answered takes the answer to a batch: its number, "n" where the engine knew nothing of this
// node, and then what became of each operation.
func (h *holdings) answered(text string) bool {
	number, text, ok := cutNetstring(text)
	isNew, text, fine := cutNetstring(text)
	if !ok || !fine {
		return false
	}
	h.mu.Lock()
	b := h.under
	if b == nil || b.number != number {
		h.mu.Unlock()
		return true // said once more
	}
	h.under = nil
	h.afresh = h.afresh || isNew == "n" && len(h.book)+len(h.bars) > 0
	var calls []func()
	for _, o := range b.list {
		var said string
		said, text, ok = cutNetstring(text)
		if f := h.settle(o, said); f != nil {
			calls = append(calls, f)
		}
	}
	h.mu.Unlock()
	for _, f := range calls {
		h.call(f)
	}
	h.wakeUp()
	return ok || len(b.list) == 0
}

// settle takes what became of an operation, and returns who is to be told. mu is held.
func (h *holdings) settle(o *holding, said string) func() {
	switch o.op {
	case opClaim:
		h.counts--
		return h.claimed(o, said)
	case opKeep:
		if b := h.book[o.what]; b != nil && b.number == o.number && (said == "t" || said == "b") {
			return h.lose(o.what, said)
		}
	case opBar:
		h.counts--
		done := o.done
		if done == nil { // it took too long, and nobody counts on it
			return nil
		}
		o.done = nil
		_, stamp, ok := strings.Cut(said, " ")
		if _, some := h.bars[o.what]; ok && (some || len(h.bars) < mostBars) {
			h.bars[o.what] = barred{o.number, stamp, o.wait, time.Now().Add(o.wait)}
		}
		return func() { done(said, nil) }
	}
	return nil
}

// claimed is settle for a claim.
func (h *holdings) claimed(o *holding, said string) func() {
	answer, sub := o.answer, o.sub
	o.answer, o.sub = nil, nil
	given := len(said) > 1 && said[0] == 'o'
	if answer == nil { // it took too long
		if given {
			h.release(o.what, o.number)
		}
		return nil
	}
	var lost func()
	if given {
		if h.book[o.what] != nil { // which was told before, but for a link that was cut
			lost = h.lose(o.what, "t")
		}
		h.book[o.what] = &held{number: o.number, stamp: said[1:], claim: o.claim}
		h.claims[o.claim] = o.what
	}
	return func() {
		if lost != nil {
			lost()
		}
		switch {
		case given:
			answer(nil)
		case said == "b":
			answer(presence.ErrBarred)
		default:
			answer(presence.ErrAway)
		}
		if sub != nil {
			h.p.unwant(sub)
		}
	}
}

// lose takes an id away, and returns who is to be told. mu is held.
func (h *holdings) lose(what, why string) func() {
	b := h.forget(what)
	reason := presence.Taken
	if why == "b" {
		reason = presence.Barred
	}
	return func() { b.claim.Lost(reason) }
}

// lost takes what an operation took away, of another node or of this one: why, what, and the number of the claim.
func (h *holdings) lost(text string) bool {
	why, text, ok := cutNetstring(text)
	what, text, fine := cutNetstring(text)
	number, _, good := cutNetstring(text)
	if !ok || !fine || !good {
		return false
	}
	h.mu.Lock()
	var f func()
	if b := h.book[what]; b != nil && b.number == number {
		f = h.lose(what, why)
	}
	h.mu.Unlock()
	if f != nil {
		h.call(f)
	}
	return true
}

// heldText takes what hold.lua says, and reports false for anything else.
func (p *partition) heldText(text string) bool {
	if text == "" {
		return false
	}
	switch text[0] {
	case letterHeld:
		return p.holds.answered(text[1:])
	case letterLost:
		return p.holds.lost(text[1:])
	}
	return false
}
