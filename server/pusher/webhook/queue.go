package webhook

import (
	"hash/maphash"
	"net/netip"
	"strconv"
	"time"

	"poosh/server/pusher/protocol"
)

// An event is on its way to webhooks, as the JSON that they are sent.
type event struct {
	name, channel string
	from          netip.Addr // the network of the client that caused it; the zero Addr for none
	send          string     // id of the send that it tells of; empty for what is none
	body          []byte
	promise       *promise // kept when it is delivered or given up; nil for nobody's
}

// newEvent encodes an event. Each has its channel: the PHP library reads that
// without looking whether it is there.
func newEvent(name, channel string, from netip.Addr, fields ...[2]string) event {
	b := append([]byte(`{"name":"`), name...)
	b = protocol.AppendString(append(b, `","channel":`...), channel)
	for _, f := range fields {
		b = append(append(append(b, `,"`...), f[0]...), `":`...)
		b = protocol.AppendString(b, f[1])
	}
	return event{name: name, channel: channel, from: from, body: append(b, '}')}
}

// requestBody is one request's body. It is made when it is first sent and not again:
// the signature is of its bytes, and the Python library refuses one whose time is
// more than five minutes off.
func requestBody(at time.Time, events []event) []byte {
	b := append([]byte(`{"time_ms":`), strconv.FormatInt(at.UnixMilli(), 10)...)
	b = append(b, `,"events":[`...)
	for i, e := range events {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, e.body...)
	}
	return append(b, "]}"...)
}

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
	switch k := protocol.KindOf(channel); {
	case k.Private:
		return signed
	case k.Cache:
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

// maxBytes bounds the events that wait for one endpoint, in bytes.
const maxBytes = 16 << 20

// A load is how much waits or is being sent.
type load struct{ events, bytes int }

func (l load) plus(events, bytes int) load { return load{l.events + events, l.bytes + bytes} }

// within reports whether l is no more than so many eighths of most.
func (l load) within(most load, eighths int) bool {
	return l.events <= max(1, most.events*eighths/8) && l.bytes <= most.bytes*eighths/8
}

// A queue holds the events that wait for one endpoint, in lanes: the events of a
// channel keep to one lane, in which a request follows the other. It is bounded in
// all, by class and by the network of who caused the events, so that strangers on
// public channels do not push out what happens on others. Its owner locks.
type queue struct {
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
	queues  [classes][]event
	turn    int // in turns
	running bool
}

func newQueue(events, lanes int) queue {
	return queue{most: load{events, maxBytes}, seed: maphash.MakeSeed(), lanes: make([]lane, lanes), shares: make(map[origin]load)}
}

// add puts an event into its lane, or says why it cannot.
func (q *queue) add(e event) (*lane, lossReason) {
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
	return l, 0
}

// fits reports whether there is room for one event more of a class beside what is
// kept for the others.
func (q *queue) fits(c class, size int) bool {
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
func (q *queue) take(l *lane, most int) []event {
	var events []event
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
		l.queues[c][0] = event{} // the array may live on
		if l.queues[c] = l.queues[c][1:]; len(l.queues[c]) == 0 {
			l.queues[c] = nil
		}
	}
	return events
}

// done forgets events that were taken and are sent, or lost.
func (q *queue) done(events []event) {
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
