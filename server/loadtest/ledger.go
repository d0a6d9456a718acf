package loadtest

import (
	"bytes"
	"sync"
	"sync/atomic"
	"time"
)

// A track is what one client has had of one publisher's events.
type track struct {
	next   int32  // one more than the highest number that has come
	got    int32  // different events
	window uint64 // bit i: number next-1-i has come
}

// A verdict is what an event is to a client that has had others.
type verdict uint8

const (
	good verdict = iota
	misordered
	doubled
)

// take counts event number n. What comes again, or so much later that it is not known
// whether it does, is doubled; what comes after a later one is misordered, and has come.
func (t *track) take(n int32) verdict {
	if n >= t.next {
		if ahead := n - t.next + 1; ahead < 64 {
			t.window <<= ahead
		} else {
			t.window = 0
		}
		t.window |= 1
		t.next = n + 1
		t.got++
		return good
	}
	back := t.next - 1 - n
	if back >= 64 || t.window&(1<<back) != 0 {
		return doubled
	}
	t.window |= 1 << back
	t.got++
	return misordered
}

// A source is one publisher's events to one room.
type source struct {
	next     int          // number of the next event, its publisher's alone
	accepted atomic.Int64 // events that the server has taken
	seen     atomic.Int64 // one more than the highest number that any client has had
	came     chan struct{}
}

// A room is where clients are and events go.
type room struct {
	name    string
	sources []source // of the publishers that it has, in their order
	members atomic.Int64
	probed  atomic.Int64 // members that a probe has reached
}

// publishersOf is who sends to a room: each publisher has some of the rooms where there
// are more rooms than publishers, and else each room has some of the publishers.
func publishersOf(room, rooms, publishers int) (list []int) {
	for p := room % publishers; p < publishers; p += rooms {
		list = append(list, p)
	}
	return list
}

// roomsOf is the same from the other side.
func roomsOf(publisher, rooms, publishers int) (list []int) {
	if rooms <= publishers {
		return []int{publisher % rooms}
	}
	for r := publisher; r < rooms; r += publishers {
		list = append(list, r)
	}
	return list
}

// sourceOf is which of a room's sources a publisher is; mine is false when it is none.
func (t *Test) sourceOf(room, publisher int) (i int, mine bool) {
	rooms, publishers := len(t.rooms), t.cfg.Publishers
	if rooms <= publishers {
		return publisher / rooms, publisher < publishers && publisher%rooms == room
	}
	return 0, publisher == room%publishers
}

// prober is the publisher number of events that only look who is in a room.
const prober = MaxPublishers - 1

// A shard is what some of the clients count, together.
type shard struct {
	mu sync.Mutex // guards what follows, and what clients say they guard by it

	latency    Histogram
	delivered  int64
	probes     int64 // deliveries of probes
	bytes      int64 // of messages with events
	doubled    int64
	misordered int64
	damaged    int64
	foreign    int64 // events that are not this test's
	last       int64 // when the last one came
}

// deliver counts what is in a message that has come to a client, and reports whether there
// was an event of this test.
func (c *client) deliver(b []byte, read int64) bool {
	t, s := c.test, c.shard
	at := bytes.Index(b, []byte(Marker))
	if at < 0 {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bytes += int64(len(b))
	for ; at >= 0; at = bytes.Index(b, []byte(Marker)) {
		b = b[at:]
		sent, publisher, n, size, ok := ParsePayload(b, t.tail)
		if !ok {
			s.damaged++
			b = b[len(Marker):]
			continue
		}
		b = b[size:]
		c.count(sent, publisher, n, read)
	}
	return true
}

// count counts one event; the shard is locked.
func (c *client) count(sent int64, publisher, n int, read int64) {
	t, s, r := c.test, c.shard, &c.test.rooms[c.room]
	if publisher == prober {
		s.probes++
		if !c.probed {
			c.probed = true
			r.probed.Add(1)
		}
		return
	}
	i, mine := t.sourceOf(c.room, publisher)
	if !mine {
		s.foreign++
		return
	}
	switch c.tracks[i].take(int32(n)) {
	case doubled:
		s.doubled++
		return
	case misordered:
		s.misordered++
	}
	s.delivered++
	s.latency.Record(time.Duration(read - sent))
	s.last = max(s.last, read)
	if src := &r.sources[i]; src.came != nil && int64(n) >= src.seen.Load() {
		src.seen.Store(int64(n) + 1)
		select {
		case src.came <- struct{}{}:
		default:
		}
	}
}
