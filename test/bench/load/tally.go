package load

import (
	"bytes"
	"fmt"
	"time"
)

// A Tally is what a crowd received of the events it was told to expect.
type Tally struct {
	Expected  int64
	Delivered int64
	Last      time.Duration // when the last one came, on the clock of Sent.First
	Latency   Histogram     // from just before the request to after the read

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
	publishers int
	next       []int32 // by client and publisher
	probing    bool    // clients may have missed the events before
	probe      int32   // the event that counts while probing
	at         int     // where the marker was last
	Tally
}

// expect begins a count of events that every client of n must get, from next on,
// of each publisher.
func (l *ledger) expect(n, next, events, publishers int) {
	if need := n * publishers; cap(l.next) < need {
		l.next = make([]int32, need)
	}
	l.publishers = publishers
	l.next = l.next[:n*publishers]
	for i := range l.next {
		l.next[i] = int32(next)
	}
	l.probing = false
	l.Tally = Tally{Expected: int64(n) * int64(events) * int64(publishers)}
}

// expectProbe begins a count of one event of publisher 0 that those before it may
// have been missed.
func (l *ledger) expectProbe(n, event int) {
	l.expect(n, 0, 1, 1)
	l.probing, l.probe = true, int32(event)
}

// scan counts the events in a message, or in part of a stream that holds whole
// events. It returns how many it saw.
func (l *ledger) scan(client int, b []byte, received int64) int {
	seen := 0
	for {
		at := l.at
		if len(b) < at+len(marker) || string(b[at:at+len(marker)]) != marker {
			if at = bytes.Index(b, []byte(marker)); at < 0 {
				return seen
			}
			l.at = at
		}
		seen++
		b = b[at:]
		sent, publisher, n, ok := parse(b, l.tail)
		if !ok {
			l.damaged++
			b = b[len(marker):]
			continue
		}
		b = b[textOffset+len(l.tail):]
		l.count(client, publisher, int32(n))
		l.Latency.Record(time.Duration(received - sent))
		l.Last = time.Duration(received)
	}
}

// count counts one event.
func (l *ledger) count(client, publisher int, n int32) {
	if l.probing {
		if n == l.probe && l.next[client] == 0 {
			l.next[client] = 1
			l.Delivered++
		}
		return
	}
	i := client*l.publishers + publisher
	if publisher >= l.publishers || i >= len(l.next) {
		l.damaged++
		return
	}
	if l.next[i] != n {
		l.misordered++
		l.next[i] = max(l.next[i], n) + 1
		return
	}
	l.next[i]++
	l.Delivered++
}

func (l *ledger) lose(err error) {
	if l.lost == 0 {
		l.firstLoss = err
	}
	l.lost++
}
