// Package command keeps what somebody says in its order while a question of theirs has
// no answer yet, without a goroutine that waits for it.
//
// A [Line] is that for the messages of one connection, a [Turn] for those who want to
// decide something one after the other.
//
// # Why
//
// The goroutines that read for thousands of connections must wait for nobody. What a
// client asks for may have to be asked somewhere else: of who has the turn of a room,
// of another machine. So its message is handled up to there and the line of its
// connection is busy; what the client says meanwhile waits in the line, and everybody
// else goes on. Where the answer is there at once, as in one process it nearly always
// is, nothing waits, and a line is one word that is swapped twice.
package command

import (
	"sync"
	"sync/atomic"
)

// A Line holds back the messages of one connection while a command of it is under way.
// The zero Line is ready. Its methods may be called from any goroutine; messages are
// handled by one at a time.
type Line struct {
	// nil while messages are handled as they come, asked while a command has no answer
	// and nothing waits, over when nothing is taken any more.
	at atomic.Pointer[queue]
}

var asked, over = new(queue), new(queue)

// A queue is a line in which something waits.
type queue struct {
	mu       sync.Mutex // guards what follows
	asked    bool       // a command has no answer yet
	handling bool       // a goroutine handles what waited
	paused   bool       // the owner was asked to pause
	left     bool       // it is none of the line's any more
	waiting  []message  // oldest first
	size     int
}

type message struct {
	handle func()
	size   int
}

// An Owner is the connection behind a line. Its methods are called with the line locked:
// they must neither block nor call it.
type Owner interface {
	// Full reports whether so many messages of so many bytes, in all, are too much to
	// wait; see [Full].
	Full(messages, bytes int) bool

	// Pause stops the client's messages from coming until Resume, but for what has
	// been read of them, and reports false if that cannot be done. It is called when
	// the line is full, Resume once nothing waits.
	Pause() bool
	Resume()
}

// Full is for an Owner that can pause: what a page says in one go as it opens may wait.
func Full(messages, bytes int) bool { return messages >= 64 || bytes >= 16<<10 }

// A Verdict is what becomes of a message.
type Verdict uint8

// The verdicts.
const (
	Now     Verdict = iota // nothing is under way: handle it
	Waits                  // the line has it, or has dropped it behind the connection's end
	TooMuch                // too much waits and cannot be stopped: close the connection
)

// Busy reports whether a message has to wait: ask it before anything else, and what it
// costs is all that a line costs.
func (l *Line) Busy() bool { return l.at.Load() != nil }

// Wait puts a message of so many bytes behind those that wait. handle, which must handle
// it as one that did not wait and may Begin, is called on a goroutine that is for this
// line alone and ends with what waits. A panic in it ends the program.
func (l *Line) Wait(o Owner, size int, handle func()) Verdict {
	q := l.lock(true, false)
	switch q {
	case nil:
		return Now
	case over:
		return Waits
	}
	defer q.mu.Unlock()
	q.put(handle, size)
	if !q.paused && o.Full(len(q.waiting), q.size) {
		if q.paused = o.Pause(); !q.paused {
			l.leave(q, over)
			return TooMuch
		}
	}
	return Waits
}

// lock returns the line's queue, locked; or what the line is at without one, unless that
// is to be made a queue.
func (l *Line) lock(makeOfAsked, makeOfIdle bool) *queue {
	for {
		q := l.at.Load()
		switch {
		case q == over, q == asked && !makeOfAsked, q == nil && !makeOfIdle:
			return q
		case q == asked, q == nil:
			made := &queue{asked: q == asked}
			made.mu.Lock()
			if l.at.CompareAndSwap(q, made) {
				return made
			}
		default:
			q.mu.Lock()
			if !q.left {
				return q
			}
			q.mu.Unlock()
		}
	}
}

// leave has the line be at something else than a queue, which is locked.
func (l *Line) leave(q, at *queue) {
	q.left, q.waiting = true, nil
	l.at.Store(at)
}

func (q *queue) put(handle func(), size int) {
	q.waiting = append(q.waiting, message{handle, size})
	q.size += size
}

// take removes the oldest message. There is one, and q is locked.
func (q *queue) take() func() {
	first := q.waiting[0]
	q.waiting[0] = message{}
	q.waiting = q.waiting[1:]
	q.size -= first.size
	return first.handle
}

// Begin says that the message being handled is a command, before anybody is asked for
// the answer: what follows it waits until End. There is one at a time, so who handles a
// message calls it once at most.
func (l *Line) Begin() {
	for !l.at.CompareAndSwap(nil, asked) {
		switch q := l.lock(false, false); q {
		case nil:
		case over:
			return // nothing follows
		case asked:
			panic("command: a command was begun before the answer to the one before it")
		default:
			q.begin()
			return
		}
	}
}

func (q *queue) begin() {
	defer q.mu.Unlock()
	if q.asked {
		panic("command: a command was begun before the answer to the one before it")
	}
	q.asked = true
}

// End says that the command has its answer. It may be called from any goroutine, also
// before the handling of the message has returned, and with any lock held: what waits
// is handled on another one.
func (l *Line) End(o Owner) {
	for !l.at.CompareAndSwap(asked, nil) {
		switch q := l.lock(false, false); q {
		case nil:
			panic("command: an answer to nothing")
		case over:
			return
		case asked:
		default:
			l.answered(q, o)
			return
		}
	}
}

func (l *Line) answered(q *queue, o Owner) {
	defer q.mu.Unlock()
	if !q.asked {
		panic("command: an answer to nothing")
	}
	q.asked = false
	l.proceed(q, o)
}

// proceed sees to it that what waits is handled, if it may be and nobody is at it. q is
// locked.
func (l *Line) proceed(q *queue, o Owner) {
	switch {
	case q.handling || q.asked:
	case len(q.waiting) > 0:
		q.handling = true
		go l.handle(q, o) // ends when nothing waits, or with the next command under way
	default:
		l.leave(q, nil)
		if q.paused {
			o.Resume()
		}
	}
}

// handle handles what waits, until the next command that is not answered at once.
func (l *Line) handle(q *queue, o Owner) {
	for {
		next := l.next(q, o)
		if next == nil {
			return
		}
		next()
	}
}

// next takes the next message that may be handled now, or none: then the goroutine is
// none of the line's any more.
func (l *Line) next(q *queue, o Owner) func() {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.left:
		return nil
	case q.asked || len(q.waiting) == 0:
		q.handling = false
		l.proceed(q, o)
		return nil
	}
	return q.take()
}

// Close drops what waits and takes nothing more. It may be called while a message is
// handled or a command is under way, whose End is then nothing to the line.
func (l *Line) Close() {
	for {
		q := l.lock(false, false)
		if q == nil || q == asked {
			if l.at.CompareAndSwap(q, over) {
				return
			}
			continue
		}
		if q != over {
			l.leave(q, over)
			q.mu.Unlock()
		}
		return
	}
}
