package loop

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	// pressTime is how long publishers wait at a time for all who press together: as long as
	// for a connection with goroutines before its socket counts as one that takes nothing.
	pressTime = slowAfter
	// freeTime is how long nobody can press then. So those who press, however many they are
	// and whatever they do, take half of a publisher's time at the most.
	freeTime = slowAfter
)

// pressing is for whom publishers wait beside connections that do not keep up: clients whose
// outbox is no connection's, as of those who poll.
type pressing struct {
	now atomic.Int64 // how many press; changed with mu held

	mu    sync.Mutex  // guards what follows
	round uint32      // of the time in which they may, or did last; 0 before the first
	on    bool        // that time is not over
	free  time.Time   // the next one may not begin before
	timer *time.Timer // ends the round; nil before the first
	over  bool        // the loop is closed
}

// Press has publishers wait, as for a connection whose outbox fills up, for a client whose
// outbox is no connection's, until [Loop.Relieve] but not for longer than what is left of a
// round of 20 ms. Between two rounds there are 20 ms in which nobody presses. It returns the
// round in which the client counts, or 0 between two; last is what it returned before for the
// same client, which counts once a round, or 0. It never blocks, and may be called with any
// lock held but one of the loop's.
func (l *Loop) Press(last uint32) (round uint32) {
	p := &l.pressing
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.on && !p.begin(l) {
		return 0
	}
	if last != p.round {
		p.now.Add(1)
	}
	return p.round
}

// begin begins a round, if it is time. p.mu is held.
func (p *pressing) begin(l *Loop) bool {
	now := time.Now()
	if p.over || now.Before(p.free) {
		return false
	}
	if p.round++; p.round == 0 {
		p.round = 1
	}
	p.on = true
	p.free = now.Add(pressTime + freeTime)
	if p.timer == nil {
		p.timer = time.AfterFunc(pressTime, func() { p.end(l) })
	} else {
		p.timer.Reset(pressTime)
	}
	return true
}

// end ends a round for all who press. Nobody presses before it is time for the next one, which
// begins when it can be waited for, if the machine was late.
func (p *pressing) end(l *Loop) {
	p.mu.Lock()
	p.on = false
	p.free = time.Now().Add(freeTime)
	p.now.Store(0)
	p.mu.Unlock()
	l.caughtUp()
}

// Relieve ends what Press began, if round, which it returned, is not over: it reports whether
// that is so. What is said of Press holds for it.
func (l *Loop) Relieve(round uint32) (inTime bool) {
	p := &l.pressing
	p.mu.Lock()
	inTime = p.on && round == p.round
	last := inTime && p.now.Add(-1) == 0
	p.mu.Unlock()
	if last {
		l.caughtUp()
	}
	return inTime
}

// stop ends the last round.
func (p *pressing) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	if p.timer != nil {
		p.timer.Stop()
	}
	p.on = false
	p.now.Store(0)
}
