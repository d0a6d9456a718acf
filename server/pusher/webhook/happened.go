package webhook

import (
	"net/netip"
	"sync/atomic"
)

// Happened tells what other processes of a cluster have seen to: that a channel came into use,
// or a user into a presence channel, or the end of that. Nothing is held back here. done is called
// once, from any goroutine, when each address has taken it, or will not, as one that [Hooks.Change]
// has ended: not if [Hooks.Close] cuts it off, so that another process can tell it.
func (w *Hooks) Happened(channel, userID string, there bool, done func()) {
	var e event
	switch {
	case userID != "" && there:
		e = newEvent(typeAdded, channel, netip.Addr{}, [2]string{"user_id", userID})
	case userID != "":
		e = newEvent(typeRemoved, channel, netip.Addr{}, [2]string{"user_id", userID})
	case there:
		e = newEvent(typeOccupied, channel, netip.Addr{})
	default:
		e = newEvent(typeVacated, channel, netip.Addr{})
	}
	e.promise = newPromise(done)
	w.emit(e)
	e.promise.kept()
}

// A promise is called for once everybody who has a part in it has kept that. A nil promise is
// nobody's.
type promise struct {
	left atomic.Int32 // who has a part in it
	done func()       // set once
}

// newPromise returns one in which the caller has a part.
func newPromise(done func()) *promise {
	p := &promise{done: done}
	p.left.Store(1)
	return p
}

// take takes a part in it. Somebody else still has one.
func (p *promise) take() {
	if p != nil {
		p.left.Add(1)
	}
}

// kept keeps a part of it.
func (p *promise) kept() {
	if p != nil && p.left.Add(-1) == 0 {
		p.done()
	}
}
