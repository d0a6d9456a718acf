package pusher

import (
	"hash/maphash"
	"net/netip"
)

// A class says whose turn a webhook event has. All events of a channel are of one
// class, which keeps them in their order.
type class int

const (
	signed class = iota // of private and presence channels, which an app lets clients into
	public
	cached // of public cache channels: anybody may find one empty, under any name
	classes
)

func classOf(channel string) class {
	switch k := kindOf(channel); {
	case k.private:
		return signed
	case k.cache:
		return cached
	}
	return public
}

// Turns in which a lane takes from its classes: while all wait, four of seven
// requests are for signed channels, two for public ones.
var turns = [...]class{signed, public, signed, cached, signed, public, signed}

// kept8ths is the part of the queue that each class finds free whatever the others
// do, in eighths. One eighth is for who comes first.
var kept8ths = [classes]int{signed: 4, public: 2, cached: 1}

// share8ths is the part of the queue that what clients of one network did may take,
// by class, in eighths.
var share8ths = [classes]int{signed: 2, public: 1, cached: 1}

// A load is how much waits or is being sent.
type load struct{ events, bytes int }

func (l load) plus(events, bytes int) load { return load{l.events + events, l.bytes + bytes} }

// within reports whether l is no more than so many eighths of most.
func (l load) within(most load, eighths int) bool {
	return l.events <= max(1, most.events*eighths/8) && l.bytes <= most.bytes*eighths/8
}

// A hookQueue holds the events that wait for one endpoint, in lanes: the events of a
// channel keep to one lane, in which a request follows the other. It is bounded in
// all, by class and by the network of who caused the events, so that strangers on
// public channels do not push out what happens on others. Its owner locks.
type hookQueue struct {
	most   load
	seed   maphash.Seed
	lanes  []lane
	all    load
	of     [classes]load
	shares map[origin]load
}

// An origin is the clients of one network in one class.
type origin struct {
	class class
	from  netip.Addr
}

// A lane is a queue for each class, and at most one goroutine, which ends when all
// are empty.
type lane struct {
	queues  [classes][]hookEvent
	turn    int // in turns
	running bool
}

func newHookQueue(events, lanes int) hookQueue {
	return hookQueue{most: load{events, hookBytes}, seed: maphash.MakeSeed(), lanes: make([]lane, lanes), shares: make(map[origin]load)}
}

// add puts an event into its lane, or says why it cannot.
func (q *hookQueue) add(e hookEvent) (*lane, lossReason) {
	c, size := classOf(e.channel), len(e.body)
	if !q.fits(c, size) {
		return nil, lostFull
	}
	who := origin{c, e.from}
	if e.from.IsValid() {
		share := q.shares[who].plus(1, size)
		if !share.within(q.most, share8ths[c]) {
			return nil, lostShare
		}
		q.shares[who] = share
	}
	q.all = q.all.plus(1, size)
	q.of[c] = q.of[c].plus(1, size)
	l := &q.lanes[maphash.String(q.seed, e.channel)%uint64(len(q.lanes))]
	l.queues[c] = append(l.queues[c], e)
	return l, ""
}

// fits reports whether there is room for one event more of a class beside what is
// kept for the others.
func (q *hookQueue) fits(c class, size int) bool {
	total := q.all.plus(1, size)
	for other := range classes {
		if other != c {
			total.events += max(0, q.most.events*kept8ths[other]/8-q.of[other].events)
			total.bytes += max(0, q.most.bytes*kept8ths[other]/8-q.of[other].bytes)
		}
	}
	return total.events <= q.most.events && total.bytes <= q.most.bytes
}

// take takes events out of a lane, in turns and no more than so many. They count
// until they are given to done.
func (q *hookQueue) take(l *lane, most int) []hookEvent {
	var events []hookEvent
	for len(events) < most {
		c := classes
		for i := range turns {
			next := (l.turn + i) % len(turns)
			if len(l.queues[turns[next]]) > 0 {
				c, l.turn = turns[next], next+1
				break
			}
		}
		if c == classes {
			break
		}
		events = append(events, l.queues[c][0])
		l.queues[c][0] = hookEvent{} // the array may live on
		if l.queues[c] = l.queues[c][1:]; len(l.queues[c]) == 0 {
			l.queues[c] = nil
		}
	}
	return events
}

// done forgets events that were taken and are sent, or lost.
func (q *hookQueue) done(events []hookEvent) {
	for _, e := range events {
		c, size := classOf(e.channel), len(e.body)
		q.all = q.all.plus(-1, -size)
		q.of[c] = q.of[c].plus(-1, -size)
		who := origin{c, e.from}
		if share, ok := q.shares[who]; ok {
			if share = share.plus(-1, -size); share.events == 0 {
				delete(q.shares, who)
			} else {
				q.shares[who] = share
			}
		}
	}
}
