package app

import (
	"container/list"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"time"

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
	// Delivered has somebody told what is handed to clients of this process, by the app in the hub; nil
	// where nobody counts that.
	Delivered func(app string, count func(p *hub.Publication, took int))
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
	counted map[*Connection]int // those that the desk has counted, and the most that there could be
	queue   *list.List          // of *later, oldest first
	queued  map[any]*list.Element
	timer   *time.Timer // fires try; nil while nothing is in queue
	away    bool        // the last answer was that nobody can be asked
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
		waiting: make(map[*Connection]map[string]*entry), counted: make(map[*Connection]int),
		queue: list.New(), queued: make(map[any]*list.Element)}
	for i := range x.seats {
		x.seats[i] = a.shared.Hub.Register(x.own, "", math.MaxInt32, nil, nobody{})
	}
	if err := a.shared.Hub.Join(x.seats[forCount], countRoom); err != nil {
		panic(err) // it may be in any number of rooms
	}
	x.Desk.Hear(a.hubName, listener{a})
	x.Desk.Hear(x.own, ownListener{a})
	if x.Delivered != nil {
		x.Delivered(a.hubName, a.delivered)
	}
	return x
}

// delivered counts what this process has handed to clients. What the protocol itself tells them counts
// nowhere.
func (a *App) delivered(p *hub.Publication, took int) {
	if !strings.HasPrefix(p.Event, "pusher_internal:") {
		a.traffic.Delivered(len(p.Data), took)
	}
}

// nobody is the receiver behind seats that are taken for the rooms' sake.
type nobody struct{}

func (nobody) Deliver([]byte) bool { return true }

// stop ends what waits. Every connection is gone.
func (x *across) stop() {
	x.mu.Lock()
	x.over = true
	x.queue.Init()
	clear(x.queued)
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
	if x.Delivered != nil {
		x.Delivered(x.app.hubName, nil)
	}
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
