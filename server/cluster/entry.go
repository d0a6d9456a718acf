package cluster

import (
	"slices"
	"time"

	"poosh/server/guard"
	"poosh/server/hub"
)

// An entry is somebody who is about to be in a room.
type entry struct {
	sub    *subscription
	since  time.Time
	answer func(at hub.Position, err error)
}

// Fence says that somebody is about to be in a room whom nobody counts, or, with everyone, among all of an app. answer is
// called once: with where that is in the log, on the goroutine that delivers the room's events, in their order, so
// that who is seated within it gets everything behind it and nothing before; or with
// [hub.ErrAway], within the time that one command may take, at once while the engine is away.
// answer must neither wait nor call the cluster, but for Occupied and Vacated through the hub.
//
// Who is seated in spite of ErrAway gets what was published since, once the engine is there; where that is not
// known any more, [Options].Missed says so.
func (c *Cluster) Fence(app, room string, everyone bool, answer func(at hub.Position, err error)) {
	p := c.partition(app, room, everyone)
	p.mu.Lock()
	refused := p.over || p.isAway()
	p.mu.Unlock()
	if refused {
		s := p.want(p.channel(app, room, everyone))
		p.subs.letIn(s)
		answer(hub.Position{}, hub.ErrAway)
		p.unwant(s)
		return
	}
	e := &entry{sub: p.want(p.channel(app, room, everyone)), since: time.Now(), answer: answer}
	p.subs.mu.Lock()
	p.subs.entering = append(p.subs.entering, e)
	p.subs.mu.Unlock()
	p.mu.Lock()
	over := p.over
	p.mu.Unlock()
	if over {
		p.failEntries(time.Time{}) // which the end may have done before there was this one
	}
	p.wakeUp()
}

// Follow implements [hub.Follower]: behind a fence of an app that is kept.
func (c *Cluster) Follow(app string, then func(came bool)) {
	c.Fence(app, "", true, func(_ hub.Position, err error) { then(err == nil) })
}

// Subscribe has answer called once what is published to a room reaches this process, at once where
// it does already; or with [hub.ErrAway], as [Cluster.Fence]. Who is seated within it misses nothing that
// is published from then on. What is said of that one's answer holds.
func (c *Cluster) Subscribe(app, room string, answer func(error)) {
	p := c.partition(app, room, false)
	s := p.want(p.channel(app, room, false))
	there := p.subs.confirmed(s.channel)
	if there {
		answer(nil)
	}
	p.unwant(s)
	if !there {
		c.Fence(app, room, false, func(_ hub.Position, err error) { answer(err) })
	}
}

// fenceEntries has all who may go on wait for one fence, and returns that; 0 when there is
// nobody.
func (p *partition) fenceEntries() (request uint64, some bool) {
	p.subs.mu.Lock()
	defer p.subs.mu.Unlock()
	var rest, now []*entry
	for _, e := range p.subs.entering {
		if e.sub.confirmed {
			now = append(now, e)
		} else {
			rest = append(rest, e)
		}
	}
	if len(now) == 0 {
		return 0, false
	}
	p.subs.request++
	if p.subs.fenced == nil {
		p.subs.fenced = make(map[uint64][]*entry)
	}
	p.subs.entering, p.subs.fenced[p.subs.request] = rest, now
	return p.subs.request, true
}

// answerEntries answers who waited for a fence.
func (p *partition) answerEntries(request uint64, at hub.Position) {
	p.subs.mu.Lock()
	list := p.subs.fenced[request]
	delete(p.subs.fenced, request)
	p.subs.mu.Unlock()
	p.answer(list, at, nil)
}

// failEntries answers who has waited since before a time, or everybody if that is zero or the
// engine is away.
func (p *partition) failEntries(limit time.Time) {
	p.mu.Lock()
	all := limit.IsZero() || p.isAway()
	p.mu.Unlock()
	p.subs.mu.Lock()
	late := func(e *entry) bool { return all || e.since.Before(limit) }
	var list []*entry
	for _, e := range p.subs.entering {
		if late(e) {
			e.sub.blind = e.sub.blind || !e.sub.confirmed
			list = append(list, e)
		}
	}
	p.subs.entering = slices.DeleteFunc(p.subs.entering, late)
	for request, waiting := range p.subs.fenced {
		for _, e := range waiting {
			if late(e) {
				list = append(list, e)
			}
		}
		p.subs.fenced[request] = slices.DeleteFunc(waiting, late)
	}
	p.subs.mu.Unlock()
	p.answer(list, hub.Position{}, hub.ErrAway)
}

func (p *partition) answer(list []*entry, at hub.Position, err error) {
	for _, e := range list {
		guard.Call(p.c.log, "who enters a room is answered", func() { e.answer(at, err) }, "partition", p.index)
		p.unwant(e.sub)
	}
}
