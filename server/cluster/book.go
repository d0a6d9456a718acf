package cluster

import (
	"maps"
	"slices"
	"time"
)

// keep has all that is in the book asked for again, before anything else, and bars put up that
// the engine may have forgotten. mu is held.
func (h *holdings) keep() {
	h.prune()
	list := make([]*holding, 0, len(h.book)+len(h.bars))
	for what, b := range h.bars {
		list = append(list, &holding{op: opAgain, what: what, number: b.before, stamp: b.stamp, wait: b.wait, until: b.until})
	}
	for what, b := range h.book {
		list = append(list, b.kept(what))
	}
	h.turn, h.turned = nil, time.Now()
	// Some may wait since the last time.
	h.queue = append(list, slices.DeleteFunc(h.queue, func(o *holding) bool { return o.op == opKeep || o.op == opAgain })...)
}

// kept is what asks for an entry again.
func (b *held) kept(what string) *holding {
	return &holding{op: opKeep, what: what, number: b.number, stamp: b.stamp, claim: b.claim}
}

// keepSome has a part of the book asked for again, so that in a quarter of the time in which the engine
// forgets all of it has been. mu is held.
func (h *holdings) keepSome() {
	if len(h.turn) == 0 {
		if time.Since(h.turned) < h.p.c.idLife/4 {
			return
		}
		h.turn, h.turned = slices.Collect(maps.Keys(h.book)), time.Now()
	}
	n := min(len(h.turn), holdAtOnce)
	for _, what := range h.turn[:n] {
		if b := h.book[what]; b != nil {
			h.queue = append(h.queue, b.kept(what))
		}
	}
	h.turn = h.turn[n:]
}

// prune forgets bars that are over. mu is held.
func (h *holdings) prune() {
	now := time.Now()
	maps.DeleteFunc(h.bars, func(_ string, b barred) bool { return !b.until.After(now) })
}
