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
// is, nothing waits, and the line costs a lock that nobody else wants.
package command

import (
	"sync"
	"sync/atomic"
)

// How much may wait in a line before its owner is asked to pause: what a page says in
// one go as it opens. A line of nobody's messages but ours has no bound of its own.
const (
	MaxMessages = 64
	MaxBytes    = 16 << 10
)

// A Line holds back the messages of one connection while a command of it is under way.
// The zero Line is ready. Its methods may be called from any goroutine; messages are
// handled by one at a time.
type Line[M any] struct {
	busy atomic.Bool // a message has to wait; changed with mu held

	mu       sync.Mutex // guards what follows
	asked    bool       // a command has no answer yet
	handling bool       // a goroutine handles what waited
	paused   bool       // the owner was asked to pause
	over     bool       // nothing is taken any more
	waiting  *backlog[M]
}

// backlog is what waits, oldest first.
type backlog[M any] struct {
	messages []sized[M]
	size     int
}

type sized[M any] struct {
	message M
	size    int
}

// An Owner is the connection behind a line.
type Owner[M any] interface {
	// Handle handles a message that waited, as one that did not have to. It is called
	// on a goroutine that handles for this line alone and ends with what waits.
	Handle(M)

	// Pause stops the client's messages from coming until Resume, but for what has
	// been read of them, and reports false if that cannot be done. Both are called
	// with the line locked: they must neither block nor call it.
	Pause() bool
	Resume()
}

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
func (l *Line[M]) Busy() bool { return l.busy.Load() }

// Wait puts a message behind those that wait. It must be the line's to keep; size is
// its bytes.
func (l *Line[M]) Wait(o Owner[M], m M, size int) Verdict {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.over:
		return Waits
	case !l.busy.Load():
		return Now
	}
	l.put(m, size)
	if l.full() && !l.paused {
		if l.paused = o.Pause(); !l.paused {
			l.end()
			return TooMuch
		}
	}
	return Waits
}

// put appends a message. l.mu is held.
func (l *Line[M]) put(m M, size int) {
	if l.waiting == nil {
		l.waiting = new(backlog[M])
	}
	l.waiting.messages = append(l.waiting.messages, sized[M]{m, size})
	l.waiting.size += size
}

// take removes the oldest message. There is one, and l.mu is held.
func (l *Line[M]) take() M {
	w := l.waiting
	first := w.messages[0]
	w.messages[0] = sized[M]{}
	w.messages = w.messages[1:]
	if w.size -= first.size; len(w.messages) == 0 {
		l.waiting = nil
	}
	return first.message
}

func (l *Line[M]) full() bool {
	return l.waiting != nil && (len(l.waiting.messages) >= MaxMessages || l.waiting.size >= MaxBytes)
}

// Begin says that the message being handled is a command, before anybody is asked for
// the answer: what follows it waits until End. There is one at a time, so who handles a
// message calls it once at most.
func (l *Line[M]) Begin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.begin()
}

// begin is Begin. l.mu is held.
func (l *Line[M]) begin() {
	if l.asked {
		panic("command: a command was begun before the answer to the one before it")
	}
	l.asked = true
	l.busy.Store(true)
}

// End says that the command has its answer. It may be called from any goroutine, also
// before the handling of the message has returned, and with any lock held: what waits
// is handled on another one.
func (l *Line[M]) End(o Owner[M]) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.asked {
		panic("command: an answer to nothing")
	}
	l.asked = false
	l.proceed(o)
}

// proceed sees to it that what waits is handled, if it may be and nobody is at it.
// l.mu is held.
func (l *Line[M]) proceed(o Owner[M]) {
	switch {
	case l.handling || l.asked:
	case l.waiting != nil:
		l.handling = true
		l.busy.Store(true)
		go l.handle(o) // ends when nothing waits, or with the next command under way
	default:
		l.idle(o)
	}
}

// idle has messages handled as they come. l.mu is held.
func (l *Line[M]) idle(o Owner[M]) {
	if l.over {
		return // busy for ever
	}
	l.busy.Store(false)
	if l.paused {
		l.paused = false
		o.Resume()
	}
}

// handle handles what waits, until the next command that is not answered at once.
func (l *Line[M]) handle(o Owner[M]) {
	for {
		m, ok := l.next(o)
		if !ok {
			return
		}
		o.Handle(m)
	}
}

// next takes the next message that may be handled now. It reports false when there is
// none, and the goroutine is none of the line's any more.
func (l *Line[M]) next(o Owner[M]) (m M, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.asked || l.waiting == nil {
		l.handling = false
		l.proceed(o)
		return m, false
	}
	return l.take(), true
}

// Close drops what waits and takes nothing more. A command that is under way goes on:
// its End is still to come. Handle may be running, and returns.
func (l *Line[M]) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end()
}

// end is Close. l.mu is held.
func (l *Line[M]) end() {
	l.over, l.waiting = true, nil
	l.busy.Store(true) // nothing is handled past it
}
