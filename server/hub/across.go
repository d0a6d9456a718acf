package hub

import (
	"errors"
	"sync"

	"poosh/server/latency"
)

// Send is [Hub.Publish] for who wants to know what became of the publication, in however many
// processes: done, unless nil, is called once, from any goroutine and maybe before Send
// returns, and must not block. In one process alone it has been called then. Send itself never
// waits, so it may be called with a room's turn held.
//
// Of what crossed a bridge Handed has the sum: connections together, the processes of the one
// that reached most, and no error only if all of it was published.
func (h *Hub) Send(p *Publication, done func(Handed)) {
	if h.broker == nil {
		took := h.Publish(p)
		if done != nil {
			done(Handed{Took: took, Nodes: 1})
		}
		return
	}
	h.shardFor(p).published.Add(1)
	others := h.beyond(p)
	if done != nil && len(others) > 0 {
		done = Together(len(others)+1, done)
	}
	h.broker.Publish(p, done)
	for _, other := range others {
		h.broker.Publish(other, done)
	}
}

// Spread returns p with what it is beyond the bridges from its app, for who has publications reach all
// processes by other means than [Hub.Send], and calls [Hub.Sent] for each p that was.
func (h *Hub) Spread(p *Publication) []*Publication { return append([]*Publication{p}, h.beyond(p)...) }

// Sent counts a publication that was published, see [Hub.Spread].
func (h *Hub) Sent(p *Publication) { h.shardFor(p).published.Add(1) }

// Together is for who sends several publications and wants to know what became of all of them:
// what it returns is to be called with what became of each, n times in all, from any goroutine. The
// last call has done called, with no lock held, with the sum of them: connections together, the processes of
// the one that reached most, and no error only if all were published. Where some were, or may have
// been, that is [ErrUncertain]: who sent them again would send those twice. Where n is 0 done has been
// called.
func Together(n int, done func(Handed)) func(Handed) {
	if n == 0 {
		done(Handed{})
	}
	all := &handing{done: done, left: n}
	return all.add
}

// A handing puts together what became of several publications.
type handing struct {
	done func(Handed) // set once

	mu   sync.Mutex // guards what follows; done is called without it
	left int        // who have yet to answer
	any  bool       // somebody has
	sum  Handed
}

func (s *handing) add(h Handed) {
	s.mu.Lock()
	if s.any {
		h = s.sum.with(h)
	}
	s.sum, s.any = h, true
	s.left--
	last := s.left == 0
	s.mu.Unlock()
	if last {
		s.done(h)
	}
}

// with is what became of two publications together.
func (h Handed) with(other Handed) Handed {
	sum := Handed{Took: h.Took + other.Took, Nodes: max(h.Nodes, other.Nodes), Err: both(h.Err, other.Err)}
	if h.Took < 0 || other.Took < 0 {
		sum.Took = -1
	}
	return sum
}

// both is why two publications together were not published.
func both(one, other error) error {
	switch {
	case one == nil && other == nil:
		return nil
	case one == nil || other == nil || errors.Is(other, ErrUncertain):
		return ErrUncertain
	}
	return one
}

// DeliverAt hands a publication that a [Broker] brings to the subscribers of this process, and
// reports how many took it. Everybody else publishes. at is its place in the log that all
// processes share: publications of an app that is kept are entered there, and their frames say
// so; [Position]{} for one that has none, which is delivered and kept nowhere. It crosses no
// bridge. For one room it is to be called from one goroutine at a time, in the order that all
// processes have.
//
// What is measured begins here: how long the way between the processes took, the broker knows.
func (h *Hub) DeliverAt(p *Publication, at Position) int {
	s := h.shardFor(p)
	n := s.brought.Add(1)
	if h.meter == nil || !h.meter.Picks(n) {
		return h.deliverAt(s, p, at, nil)
	}
	mark := h.meter.Begin()
	if mark != nil {
		defer mark.End()
	}
	return h.deliverAt(s, p, at, mark)
}

func (h *Hub) deliverAt(s *shard, p *Publication, at Position, mark *latency.Mark) int {
	if at.IsZero() || p.Passing || !h.Keeps(p.App) {
		return h.handOut(s, p, mark)
	}
	return h.keep(s, p, at, mark)
}

// Reach says that all publications of an app that is kept have been delivered here up to a
// position, as far as they are for this process; see [Log]. It is to be called where DeliverAt is.
func (h *Hub) Reach(app string, at Position) {
	if !at.IsZero() {
		h.log.Reach(app, at)
	}
}
