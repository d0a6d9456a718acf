package load

import (
	"bytes"
	"fmt"
	"time"

	"poosh/server/loadtest"
)

// A Tally is what a crowd received of the events it was told to expect.
type Tally struct {
	Expected  int64
	Delivered int64
	Last      time.Duration      // when the last one came, on the clock of Sent.First
	Latency   loadtest.Histogram // from when it was sent, or was due, to after the read
	Early     int64              // that came before one which their publisher had sent sooner; see Config.Loose

	misordered int64
	damaged    int64
	lost       int64 // connections that ended
	firstLoss  error
}

// Err tells what was wrong with the deliveries, or nil.
func (t *Tally) Err() error {
	switch {
	case t.lost > 0:
		return fmt.Errorf("%d connections ended: %w", t.lost, t.firstLoss)
	case t.damaged > 0:
		return fmt.Errorf("%d payloads were not what was sent", t.damaged)
	case t.misordered > 0:
		return fmt.Errorf("%d events came out of order, twice or after a gap", t.misordered)
	case t.Delivered != t.Expected:
		return fmt.Errorf("%d of %d events were delivered", t.Delivered, t.Expected)
	}
	return nil
}

// Complete reports whether nothing more is to come.
func (t *Tally) Complete() bool { return t.Delivered+t.misordered >= t.Expected || t.lost > 0 }

// ledger keeps which event each client must get next from each publisher.
type ledger struct {
	tail       []byte
	rooms      Rooms
	publishers int
	next       []int32  // by client and publisher
	loose      bool     // see Config.Loose
	early      []uint64 // by client and publisher: which of those after next have come, see countLoose
	probing    bool     // clients may have missed the events before
	probe      int32    // the first event that counts while probing
	at         int      // where the marker was last
	Tally
	visits // of clients that come and go, whom no tally counts
}

// expect begins a count of events of each publisher, from next on, of which each
// client of n must get those that go to its room.
func (l *ledger) expect(n, next, events, publishers int) {
	if need := n * publishers; cap(l.next) < need {
		l.next = make([]int32, need)
	}
	l.publishers = publishers
	l.next = l.next[:n*publishers]
	l.probing = false
	l.Tally = Tally{}
	l.forgetEarly()
	count := l.rooms.count()
	for i := range l.next {
		first := l.rooms.first(i/publishers%count, i%publishers, publishers, next)
		l.next[i] = int32(first)
		if past := next + events - first; past > 0 {
			l.Expected += int64((past + count - 1) / count)
		}
	}
}

// expectProbe begins a count of one event of publisher 0 to each room, before which
// clients may have missed some.
func (l *ledger) expectProbe(n, event int) {
	l.expect(n, 0, 0, 1)
	clear(l.next)
	l.Expected = int64(n * max(l.rooms.Each, 1))
	l.probing, l.probe = true, int32(event)
}

// scan counts the events in a message, or in part of a stream that holds whole
// events. It returns how many it saw.
func (l *ledger) scan(client int, b []byte, received int64) int {
	seen := 0
	for {
		at := l.at
		if len(b) < at+len(loadtest.Marker) || string(b[at:at+len(loadtest.Marker)]) != loadtest.Marker {
			if at = bytes.Index(b, []byte(loadtest.Marker)); at < 0 {
				return seen
			}
			l.at = at
		}
		seen++
		b = b[at:]
		sent, publisher, n, size, ok := loadtest.ParsePayload(b, l.tail)
		if !ok {
			l.damaged++
			b = b[len(loadtest.Marker):]
			continue
		}
		b = b[size:]
		if l.visited(client, n) {
			continue
		}
		l.count(client, publisher, int32(n))
		l.Latency.Record(time.Duration(received - sent))
		l.Last = time.Duration(received)
	}
}

// count counts one event.
func (l *ledger) count(client, publisher int, n int32) {
	if l.probing {
		l.countProbe(client, n-l.probe)
		return
	}
	i := client*l.publishers + publisher
	if publisher >= l.publishers || i >= len(l.next) {
		l.damaged++
		return
	}
	step := int32(l.rooms.count())
	if l.loose {
		l.countLoose(i, n, step)
		return
	}
	if l.next[i] != n {
		l.misordered++
		l.next[i] = max(l.next[i], n) + step
		return
	}
	l.next[i] += step
	l.Delivered++
}

// countProbe counts the event that is so many behind the first of a probe. next has a bit for
// each room of the client.
func (l *ledger) countProbe(client int, n int32) {
	if n < 0 || n >= int32(max(l.rooms.Count, 1)) {
		return
	}
	if bit := int32(1) << (n / int32(l.rooms.count())); l.next[client]&bit == 0 {
		l.next[client] |= bit
		l.Delivered++
	}
}

func (l *ledger) lose(err error) {
	if l.lost == 0 {
		l.firstLoss = err
	}
	l.lost++
}
