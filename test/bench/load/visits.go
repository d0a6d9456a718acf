package load

import (
	"fmt"
	"sync/atomic"
)

// Progress tells how far a run of publishers with one publisher is, to another
// goroutine. The zero Progress is that of a run that begins with event 0.
type Progress struct {
	begun    atomic.Int32 // the first event that has not been sent yet
	answered atomic.Int32 // the first event whose answer has not come yet
}

// NewProgress is the progress of a run that begins with event next.
func NewProgress(next int) *Progress {
	p := new(Progress)
	p.begun.Store(int32(next))
	p.answered.Store(int32(next))
	return p
}

// A stay is how a client that comes and goes stands to the room.
type stay struct {
	state stayState
	seen  bool  // an event since it came in, or in flight since it left
	last  int32 // event that it got last
	from  int32 // inside: the first event that must come unless others come before
	until int32 // outside: the event that must come although it has left
	left  int32 // outside: the first event that had not been sent when it left
}

type stayState uint8

const (
	outside stayState = iota
	coming            // has asked to join and was not answered
	inside
)

// straggle is how many events may still come that were sent after a client said
// that it leaves, since leaving is not answered: those of a second.
const straggle = 20

// visits judge what clients get that join the one room and leave it again while
// one publisher sends to it: everything that was sent after they were told that
// they are in and answered before they left, nothing twice, and nothing when they
// are long gone.
type visits struct {
	residents int // clients that stay; all others come and go
	stays     []stay
	progress  *Progress

	heard   int64 // events by those who come and go
	missed  int64
	doubled int64
	strayed int64
}

// visited takes event n if a client is one that comes and goes.
func (v *visits) visited(client, n int) bool {
	if len(v.stays) == 0 || client < v.residents {
		return false
	}
	v.saw(&v.stays[client-v.residents], int32(n))
	return true
}

func (v *visits) saw(s *stay, n int32) {
	v.heard++
	if n <= s.last {
		v.doubled++
		return
	}
	switch s.state {
	case inside:
		due := s.from
		if s.seen {
			due = s.last + 1
		}
		v.missed += int64(max(n-due, 0))
	case outside:
		if n > s.left+straggle {
			v.strayed++
		}
	}
	s.last, s.seen = n, true
}

// comesIn is called when a client is told that it is in the room.
func (v *visits) comesIn(s *stay) {
	v.settle(s)
	s.state, s.seen, s.from = inside, false, v.progress.begun.Load()
}

// leaves is called before a client says that it leaves.
func (v *visits) leaves(s *stay) {
	s.until = v.owed(s)
	s.left = v.progress.begun.Load()
	s.state = outside
}

// owed is the last event that a client inside must have got by now or get soon, or
// -1 for none.
func (v *visits) owed(s *stay) int32 {
	last := v.progress.answered.Load() - 1
	if !s.seen && last < s.from {
		return -1
	}
	return last
}

// settle counts what a client has not got that it was owed when it left. Nothing
// of that is under way any more.
func (v *visits) settle(s *stay) {
	if s.until >= 0 && s.last < s.until {
		v.missed += int64(s.until - s.last)
	}
	s.until = -1
}

// settled reports whether every client has what it is owed, and its answer.
func (v *visits) settled() bool {
	for i := range v.stays {
		s := &v.stays[i]
		if s.state == coming {
			return false
		}
		until := s.until
		if s.state == inside {
			until = v.owed(s)
		}
		if until >= 0 && s.last < until {
			return false
		}
	}
	return true
}

// begin forgets what was judged before, with all clients outside.
func (v *visits) begin(p *Progress, next int) {
	v.progress = p
	v.heard, v.missed, v.doubled, v.strayed = 0, 0, 0, 0
	for i := range v.stays {
		v.stays[i] = stay{last: int32(next - 1), until: -1}
	}
}

// err tells what was wrong, or nil.
func (v *visits) err() error {
	for i := range v.stays {
		s := &v.stays[i]
		if s.state == inside {
			s.until = v.owed(s)
		}
		v.settle(s)
	}
	if v.missed+v.doubled+v.strayed > 0 {
		return fmt.Errorf("of clients that come and go %d events were missed, %d came twice, %d after the client had left", v.missed, v.doubled, v.strayed)
	}
	return nil
}
