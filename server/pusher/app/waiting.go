package app

import (
	"errors"
	"math/rand/v2"
	"time"

	"poosh/server/guard"
	"poosh/server/presence"
)

// How often what waits is tried: one while nobody can be asked, and many once somebody can.
const (
	tryEvery  = 500 * time.Millisecond
	tryNext   = 20 * time.Millisecond
	tryAtOnce = 256
)

// A later is something that is tried when others can be asked again.
type later struct {
	what any // *entry, *Connection that is to be counted, or *person
	try  func()
}

// later has something tried when others can be asked again, on a goroutine that may not wait
// long. It stands in the queue once, until [across.forget]. What is tried looks whether it is
// still wanted.
func (x *across) later(what any, try func()) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.push(what, try)
}

// push is later with mu held.
func (x *across) push(what any, try func()) {
	if x.over || x.queued[what] != nil {
		return
	}
	x.queued[what] = x.queue.PushBack(&later{what, try})
	x.schedule()
}

// forget takes out of the queue what is not wanted any more.
func (x *across) forget(what any) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.pull(what)
}

// pull is forget with mu held.
func (x *across) pull(what any) {
	if at := x.queued[what]; at != nil {
		x.queue.Remove(at)
		delete(x.queued, what)
	}
}

// schedule sets the timer. mu is held.
func (x *across) schedule() {
	if x.timer != nil || x.queue.Len() == 0 || x.over {
		return
	}
	wait := tryNext
	if x.away {
		wait = tryEvery/2 + rand.N(tryEvery) // not all apps and processes at once
	}
	x.timer = time.AfterFunc(wait, x.try)
}

// try tries what has waited longest.
func (x *across) try() {
	x.mu.Lock()
	n := min(tryAtOnce, x.queue.Len())
	if x.away {
		n = min(1, n)
	}
	now := make([]*later, n)
	for i := range now {
		now[i] = x.queue.Front().Value.(*later)
		x.pull(now[i].what)
	}
	x.mu.Unlock()
	for _, l := range now {
		guard.Call(x.app.shared.Log, "asking the other nodes again", l.try, "app", x.app.ID())
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.timer = nil
	x.schedule()
}

// heard notes what an answer says of whether others can be asked.
func (x *across) heard(err error) (away bool) {
	away = errors.Is(err, presence.ErrAway)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.away = away
	return away
}

// wait has an entry made later. It reports false if it cannot: the client is gone.
func (x *across) wait(e *entry) bool {
	c := e.c
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.over || c.isGone() {
		return false
	}
	of := x.waiting[c]
	if of == nil {
		of = make(map[string]*entry)
		x.waiting[c] = of
	}
	e.late = true
	of[e.channel] = e
	x.push(e, e.again)
	return true
}

// waitOn has an entry that waits already made still later, unless it has been taken back.
func (x *across) waitOn(e *entry) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.waiting[e.c][e.channel] == e {
		x.push(e, e.again)
	}
}

// waits reports whether an entry of a connection is made later.
func (x *across) waits(c *Connection, channel string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	_, is := x.waiting[c][channel]
	return is
}

// waitingOf returns how many entries of a connection are made later.
func (x *across) waitingOf(c *Connection) int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.waiting[c])
}

// stillWaits reports whether an entry is still to be made.
func (x *across) stillWaits(e *entry) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.waiting[e.c][e.channel] == e
}

// sits says that an entry is being made: it cannot be taken back any more. It reports false if it
// has been. The channel's turn is taken.
func (x *across) sits(e *entry) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	e.sits = x.waiting[e.c][e.channel] == e
	return e.sits
}

// drop ends the waiting of an entry, and reports whether it was still waiting.
func (x *across) drop(e *entry) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.waiting[e.c][e.channel] != e {
		return false
	}
	x.strike(e)
	return true
}

// strike takes an entry off those that wait. mu is held.
func (x *across) strike(e *entry) {
	of := x.waiting[e.c]
	if delete(of, e.channel); len(of) == 0 {
		delete(x.waiting, e.c)
	}
	x.pull(e)
}

// takeBack takes back the entry to a channel that is made later, and reports whether there was one.
// Who has asked for it just now finds that it is not wanted any more. One that is being made is
// left once it is: whoever has the channel's turn next finds it made.
func (x *across) takeBack(c *Connection, channel string) (was, sits bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	e := x.waiting[c][channel]
	switch {
	case e == nil:
		return false, false
	case e.sits:
		return false, true
	}
	x.strike(e)
	return true, false
}

// takeAllBack is takeBack for all entries of a connection that is gone, and returns their channels.
func (x *across) takeAllBack(c *Connection) (channels []string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for channel, e := range x.waiting[c] {
		if !e.sits {
			channels = append(channels, channel)
			x.strike(e)
		}
	}
	return channels
}
