package attacks_test

import (
	"fmt"
	"sync"
	"time"
)

// A ledger says of numbered events which were acknowledged to their sender and which
// their receiver got. The sender waits for each answer before it sends the next, so
// there is one right order.
type ledger struct {
	name string

	mu       sync.Mutex // guards what follows
	acked    []int
	received []int
	refused  []error // of sends that got no acknowledgement
	lost     error   // why the receiver hears nothing any more
}

func (l *ledger) sent(n int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.refused = append(l.refused, fmt.Errorf("send %d: %w", n, err))
		return
	}
	l.acked = append(l.acked, n)
}

func (l *ledger) got(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.received = append(l.received, n)
}

func (l *ledger) gone(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lost == nil {
		l.lost = err
	}
}

// count returns how many sends were acknowledged.
func (l *ledger) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.acked)
}

// settle waits until the receiver has what was acknowledged, and then compares.
func (l *ledger) settle() error {
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		err := l.compare()
		if err == nil || time.Now().After(end) {
			return err
		}
		l.mu.Lock()
		hopeless := l.lost != nil || len(l.refused) > 0 || len(l.received) > len(l.acked)
		l.mu.Unlock()
		if hopeless {
			return err
		}
	}
}

// compare reports what is wrong. No more than what was acknowledged may have been
// received: nothing here cuts a sender off, so an event without an answer is a refused
// one.
func (l *ledger) compare() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.lost != nil:
		return fmt.Errorf("%s: the client's connection ended: %w", l.name, l.lost)
	case len(l.refused) > 0:
		return fmt.Errorf("%s: %d of %d sends were refused, the first one: %w", l.name, len(l.refused), len(l.refused)+len(l.acked), l.refused[0])
	case len(l.acked) == 0:
		return fmt.Errorf("%s: nothing was sent", l.name)
	}
	for i, n := range l.acked {
		if i >= len(l.received) {
			return fmt.Errorf("%s: %d sends were acknowledged and %d events received", l.name, len(l.acked), len(l.received))
		}
		if l.received[i] != n {
			return fmt.Errorf("%s: event %d is number %d, and %d was acknowledged", l.name, i, l.received[i], n)
		}
	}
	if len(l.received) > len(l.acked) {
		return fmt.Errorf("%s: %d events more than were acknowledged", l.name, len(l.received)-len(l.acked))
	}
	return nil
}
