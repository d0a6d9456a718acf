package loop

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"poosh/server/guard"
)

// The wheel turns once in slots*tick; longer waits count rounds.
const (
	tick  = 100 * time.Millisecond
	slots = 512
)

// A Timer calls Fire once, some time after [Loop.Schedule]. It is meant to be
// a field of what it belongs to: a connection costs no timer of its own. Set
// Fire before the first Schedule and never again. Fire runs on the loop's wheel
// goroutine, one at a time with all others, and must not block. A panic in it is logged and
// counted, and costs this call alone: where more hangs on it, as the life of a connection,
// Fire has to see to that, as with [Conn.Guard].
type Timer struct {
	Fire func()

	// Guarded by wheel.mu.
	next, prev *Timer
	slot       int32 // one more than the index; 0 when not scheduled
	rounds     int32
}

// wheel is a hashed timing wheel: one goroutine and one lock for all timers.
type wheel struct {
	ticks  atomic.Int64  // since the start
	panics atomic.Uint64 // of timers
	log    *slog.Logger  // set once

	mu    sync.Mutex // guards what follows, and the timers' links
	heads [slots]*Timer
	now   int
	due   []*Timer // of the slot that is firing; used by turn alone
	done  chan struct{}
	ended sync.WaitGroup
}

func newWheel(log *slog.Logger) *wheel {
	w := &wheel{log: log, done: make(chan struct{})}
	w.ended.Go(w.turn) // ends with stop
	return w
}

func (w *wheel) stop() {
	close(w.done)
	w.ended.Wait()
}

// gap is how late a tick may be. One that is later tells that the process did not
// run, stopped or on a machine that was frozen: that is not time that passed, or all
// clients would be found silent before what they said is read.
const gap = 2 * time.Second

func (w *wheel) turn() {
	t := time.NewTicker(tick)
	defer t.Stop()
	last := time.Now()
	for {
		select {
		case <-w.done:
			return
		case <-t.C:
			now := time.Now()
			if late := now.Sub(last); late > gap {
				last = now.Add(-tick)
			}
			// A ticker drops ticks when the machine is busy; the wheel must not.
			for ; now.Sub(last) >= tick; last = last.Add(tick) {
				w.advance()
			}
		}
	}
}

// advance moves the wheel by one slot and fires what is due.
func (w *wheel) advance() {
	w.mu.Lock()
	w.now = (w.now + 1) % slots
	w.ticks.Add(1)
	due := w.due[:0]
	for t := w.heads[w.now]; t != nil; {
		next := t.next
		if t.rounds > 0 {
			t.rounds--
		} else {
			w.unlink(t)
			due = append(due, t)
		}
		t = next
	}
	w.mu.Unlock()
	for i, t := range due {
		due[i] = nil
		if !guard.Call(w.log, "a timer fired", t.Fire) {
			w.panics.Add(1)
		}
	}
	w.due = due
}

// schedule sets or resets a timer.
func (w *wheel) schedule(t *Timer, d time.Duration) {
	// One more than fit in d: part of the slot of this moment has passed.
	ticks := int((d+tick-1)/tick) + 1
	w.mu.Lock()
	defer w.mu.Unlock()
	if t.slot != 0 {
		w.unlink(t)
	}
	i := (w.now + ticks) % slots
	t.slot, t.rounds = int32(i+1), int32((ticks-1)/slots)
	t.prev, t.next = nil, w.heads[i]
	if t.next != nil {
		t.next.prev = t
	}
	w.heads[i] = t
}

func (w *wheel) cancel(t *Timer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if t.slot != 0 {
		w.unlink(t)
	}
}

// unlink takes a scheduled timer off its slot. wheel.mu is held.
func (w *wheel) unlink(t *Timer) {
	if t.prev != nil {
		t.prev.next = t.next
	} else {
		w.heads[t.slot-1] = t.next
	}
	if t.next != nil {
		t.next.prev = t.prev
	}
	t.next, t.prev, t.slot = nil, nil, 0
}
