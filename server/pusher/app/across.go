package app

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"poosh/server/guard"
	"poosh/server/hub"
	"poosh/server/presence"
	"poosh/server/pusher/protocol"
)

// An Across is what joins the processes of a cluster. The zero Across is one process alone, in
// which an app decides by what it knows itself.
type Across struct {
	Desk   presence.Desk
	Census presence.Census
	Bus    presence.Bus
}

// joined reports whether there are other processes.
func (x *Across) joined() bool { return x.Desk != nil }

// ErrAway answers an entry that is made later, by itself: other processes have to be asked, and
// cannot be reached.
var ErrAway = errors.New("the other nodes of the cluster cannot be reached: the subscription is made once they are back")

// An across is what an app has in a cluster: what waits until the other processes can be asked,
// and seats of its own.
//
// Where others have to be asked and cannot be reached, what a client wants is not lost. It stands
// in a queue, of which a timer tries one now and then, and all the others soon, by the hundred,
// once one was answered.
type across struct {
	Across
	app *App   // set once
	own string // set once: the app in the hub whose rooms are no channels

	// seats are who sits in the rooms of own for this process; set once.
	seats [seatKinds]*hub.Subscriber

	mu      sync.Mutex // guards what follows
	waiting map[*Connection]map[string]*entry
	counted map[*Connection]struct{} // those that the desk has counted
	queue   []func()                 // oldest first; for each thing that waits one, at the most
	timer   *time.Timer              // fires try; nil while nothing is in queue
	away    bool                     // the last answer was that nobody can be asked
	over    bool
}

// A seatKind is what one of an app's own seats is for.
type seatKind uint8

const (
	forCount  seatKind = iota // the room of all connections
	forOnline                 // the rooms of users who are signed in here
	forWatch                  // the rooms of users whom somebody here watches
	seatKinds
)

// countRoom is the room of own in which all connections of the app are counted.
const countRoom = "connections"

// newAcross joins an app to those of the other processes; nil for one process alone.
func newAcross(a *App, with Across) *across {
	if !with.joined() {
		return nil
	}
	x := &across{Across: with, app: a, own: a.hubName + "#own",
		waiting: make(map[*Connection]map[string]*entry), counted: make(map[*Connection]struct{})}
	for i := range x.seats {
		x.seats[i] = a.shared.Hub.Register(x.own, "", math.MaxInt32, nil, nobody{})
	}
	if err := a.shared.Hub.Join(x.seats[forCount], countRoom); err != nil {
		panic(err) // it may be in any number of rooms
	}
	x.Desk.Hear(a.hubName, listener{a})
	x.Desk.Hear(x.own, ownListener{a})
	return x
}

// nobody is the receiver behind seats that are taken for the rooms' sake.
type nobody struct{}

func (nobody) Deliver([]byte) bool { return true }

// stop ends what waits. Every connection is gone.
func (x *across) stop() {
	x.mu.Lock()
	x.over, x.queue = true, nil
	if x.timer != nil {
		x.timer.Stop()
	}
	x.mu.Unlock()
	for _, s := range x.seats {
		x.app.shared.Hub.Unregister(s)
	}
}

// deaf has nobody told of what happens in the rooms of the app's id.
func (x *across) deaf() {
	x.Desk.Hear(x.app.hubName, nil)
	x.Desk.Hear(x.own, nil)
}

// How often what waits is tried: one while nobody can be asked, and many once somebody can.
const (
	tryEvery  = 500 * time.Millisecond
	tryNext   = 20 * time.Millisecond
	tryAtOnce = 256
)

// later has something tried when others can be asked again, on a goroutine that may not wait
// long. It ends nowhere but with the app: what it is for looks whether that is still wanted.
func (x *across) later(f func()) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.over {
		return
	}
	x.queue = append(x.queue, f)
	x.schedule()
}

// schedule sets the timer. mu is held.
func (x *across) schedule() {
	if x.timer != nil || len(x.queue) == 0 || x.over {
		return
	}
	wait := tryNext
	if x.away {
		wait = tryEvery/2 + rand.N(tryEvery) // not all apps and processes at once
	}
	x.timer = time.AfterFunc(wait, func() {
		guard.Call(x.app.shared.Log, "asking the other nodes again", x.try, "app", x.app.ID())
	})
}

// try tries what has waited longest.
func (x *across) try() {
	x.mu.Lock()
	n := min(tryAtOnce, len(x.queue))
	if x.away {
		n = min(1, n)
	}
	now := x.queue[:n:n]
	x.queue = x.queue[n:]
	if len(x.queue) == 0 {
		x.queue = nil // the array of a crowd
	}
	x.mu.Unlock()
	defer func() {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.timer = nil
		x.schedule()
	}()
	for _, f := range now {
		f()
	}
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
	return true
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

// take has an entry not wait any more, and reports false if it does not: it has been taken back,
// and there may be another one of the connection for the channel.
func (x *across) take(e *entry) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.waiting[e.c][e.channel] == e && x.remove(e.c, e.channel)
}

// drop takes back an entry that is made later, and reports whether there was one. Who has asked
// for it just now finds that it is not wanted any more.
func (x *across) drop(c *Connection, channel string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.remove(c, channel)
}

// remove takes an entry off what waits, and reports whether there was one. mu is held.
func (x *across) remove(c *Connection, channel string) bool {
	of := x.waiting[c]
	if _, is := of[channel]; !is {
		return false
	}
	if delete(of, channel); len(of) == 0 {
		delete(x.waiting, c)
	}
	return true
}

// dropAll is drop for all entries of a connection that is gone, and returns their channels.
func (x *across) dropAll(c *Connection) (channels []string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for channel := range x.waiting[c] {
		channels = append(channels, channel)
	}
	delete(x.waiting, c)
	return channels
}

// said is an error of the desk in words for a client.
func (a *App) said(channel string, err error) error {
	switch {
	case errors.Is(err, presence.ErrMembers):
		return fmt.Errorf("channel %s has %d members, as many as it may have", channel, a.Conf().MaxMembers)
	case errors.Is(err, presence.ErrConnections):
		return fmt.Errorf("channel %s has as many subscriptions as it may have", channel)
	}
	return err
}

// A listener hears what happens in an app's channels, for those who are in them here.
type listener struct{ app *App }

var _ presence.Listener = listener{}

// Came implements [presence.Listener].
func (l listener) Came(channel string, m hub.Member, socket string) {
	info := m.Info
	if len(info) == 0 {
		info = protocol.EmptyObject
	}
	l.here(channel, "pusher_internal:member_added", memberData(m.ID, info), socket)
}

// Went implements [presence.Listener].
func (l listener) Went(channel, user string) {
	l.here(channel, "pusher_internal:member_removed", memberData(user, nil), "")
}

// here tells who is in a channel in this process. It is called in the order of its events.
func (l listener) here(channel, event string, data []byte, except string) {
	l.app.shared.Hub.DeliverAt(&hub.Publication{
		App: l.app.hubName, Room: channel, Event: event, Data: protocol.JSONString(data), Except: except, Passing: true,
	}, hub.Position{})
}

// Occupied implements [presence.Listener].
func (listener) Occupied(string) {}

// Vacated implements [presence.Listener].
func (listener) Vacated(string) {}

// Counted implements [presence.Listener].
func (l listener) Counted(channel string, n int) {
	if k := protocol.KindOf(channel); n > 0 && !k.Presence && !k.User {
		l.app.counter.changed(channel, n, noNetwork)
	}
}

// Due implements [presence.Listener].
func (l listener) Due(h presence.Happening, done func()) {
	l.app.hooks.Happened(h.Room, h.User, h.There, done)
}
