package loop

import (
	"sync"
	"sync/atomic"
)

// A Turn is what somebody has to do once a reader has read all that there is and written what came of it: such as
// to put together what gathered meanwhile, so that it leaves in one write. See [Loop.AtEnd].
type Turn struct {
	// Run is called on the reader's goroutine, so it must not wait, nor panic. What it pushes with [Conn.PushNow]
	// leaves at once; what it pushes otherwise may wait for another round.
	Run func()

	waits bool // guarded by turns.mu
}

// turns are those that wait for a reader.
type turns struct {
	some atomic.Bool // whether there are any; changed with mu held

	mu    sync.Mutex // guards what follows; held for moments
	list  []*Turn
	spare []*Turn
}

// AtEnd has a reader that is on its round call t.Run at the end of that, whatever its shard. It returns false,
// and t.Run is not called, while no reader is on its round: then the caller has nobody to wait for. One that waits
// already is not called twice. It may be called from any goroutine, with any lock held but one of the loop's or one that
// t.Run takes.
func (l *Loop) AtEnd(t *Turn) bool {
	s := &l.turns
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.waits {
		return true // a reader that was there then will look here, also if it is done with its round
	}
	s.some.Store(true) // before readers is asked: a reader that is done looks here
	if l.readers.Load() == 0 {
		s.some.Store(len(s.list) > 0)
		return false
	}
	t.waits = true
	s.list = append(s.list, t)
	return true
}

// takeTurns does what waits for the reader that calls it.
func (l *Loop) takeTurns() {
	s := &l.turns
	if !s.some.Load() {
		return
	}
	s.mu.Lock()
	list := s.list
	s.list, s.spare = s.spare[:0], nil
	for _, t := range list {
		t.waits = false
	}
	s.some.Store(false)
	s.mu.Unlock()
	for _, t := range list {
		t.Run()
	}
	clear(list)
	s.mu.Lock()
	s.spare = list[:0]
	s.mu.Unlock()
}
