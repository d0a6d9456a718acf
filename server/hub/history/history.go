// Package history keeps the recent publications of apps in the memory of this process, for
// those who were away for a while: it is the [hub.Log] of one process alone.
//
// It knows no protocol and no subscriber, opens nothing and starts no goroutine. What is
// too old goes as the next publication comes, or somebody asks. It outlives its process where
// somebody has it saved at the end and restored at the next start, see [Log.Save].
//
// # Why
//
// The log of an app is one list in one order, beside the rooms of the hub and not in them:
// a room of the hub ends with its last member, and what it missed is asked for by one who
// comes later. Each room has an index into that list, for as long as something of it is in
// there.
//
// One lock is that of an app: it is held while a publication is numbered, entered and
// handed to the outboxes, so that numbers and frames have the same order for a subscriber
// of several rooms.
package history

import (
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"poosh/server/hub"
	"poosh/server/setting"
)

// A Config says what is kept of each app. Zero fields mean the defaults of
// [Config.Settings].
type Config struct {
	Age    time.Duration // for how long; 0 for nothing at all
	Bytes  int64         // of all publications, with about what each takes beside
	Events int           // of one room

	Sessions int64 // bytes of what is known of clients that are away; not the log's own

	// File is where a process that ends leaves what it keeps of all apps, for the next one;
	// empty for nowhere. Not the log's own either.
	File string
}

// On reports whether anything is to be kept.
func (c *Config) On() bool { return c.Age > 0 }

// Settings describes the settings that fill c.
func (c *Config) Settings() *setting.Group {
	return &setting.Group{Title: "History", Files: []setting.File{{Name: "HISTORY_FILE", Kept: true, Replaced: true}}, Settings: []setting.Setting{
		{Name: "HISTORY", Help: "Time for which events on SERVER_PORT, and those of ECHO_REDIS and EMITTER_REDIS, are kept for clients that come back and ask for what they missed; unset, nothing is kept",
			Value: setting.Span(&c.Age, time.Second, 7*24*time.Hour)},
		{Name: "HISTORY_BYTES", Default: "64MiB", Help: "Bytes that the events kept may take, with 300 for each beside its payload; more and the oldest go",
			Value: setting.Size(&c.Bytes, "64KiB", "1024GiB")},
		{Name: "HISTORY_EVENTS", Default: "1000", Help: "Events that are kept of one room, and of those to everyone; more and its oldest go",
			Value: setting.Count(&c.Events, 1, 1_000_000)},
		{Name: "HISTORY_SESSION_BYTES", Default: "16MiB", Help: "Bytes that rooms and ids of socket.io clients that are away, and may come back by connection state recovery, may take; more and those who left first are forgotten",
			Value: setting.Size(&c.Sessions, "64KiB", "1024GiB")},
		{Name: "HISTORY_FILE", Help: "Path of the file in which a process that ends leaves what is kept, by PUSHER_HISTORY too, and who may come back by connection state recovery, for the next one to go on with; unset, all of it ends with the process. Two servers must not share it",
			Value: setting.Text(&c.File)},
	}}
}

// What is counted beside the texts and payload of a publication, and of a room with one in
// the log.
const (
	entryCost = 300
	roomCost  = 300
)

// A Log keeps the publications of some apps. Make one with [New].
type Log struct {
	apps map[string]*app // filled before it is in use
}

var _ hub.Log = (*Log)(nil)

// New returns an empty log for some apps, each with bounds of its own.
func New(cfg Config, apps ...string) *Log {
	setting.Fill(cfg.Settings().Settings)
	l := &Log{apps: make(map[string]*app)}
	for _, name := range apps {
		l.Add(name, cfg)
	}
	return l
}

// Add has the log keep one app more, within bounds of its own. Call it before the log is in
// use.
func (l *Log) Add(name string, cfg Config) {
	setting.Fill(cfg.Settings().Settings)
	l.apps[name] = &app{cfg: cfg, name: name, epoch: newEpoch(), rooms: make(map[string]*room)}
}

// newEpoch names a log like no other.
func newEpoch() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return cmp.Or(binary.LittleEndian.Uint64(b[:])&(1<<50-1), 1)
}

// Apps are those that are kept, in the order of their names.
func (l *Log) Apps() []string { return slices.Sorted(maps.Keys(l.apps)) }

// Keeps implements [hub.Log].
func (l *Log) Keeps(app string) bool { return l.apps[app] != nil }

// Append implements [hub.Log].
func (l *Log) Append(p *hub.Publication, deliver func(hub.Position)) {
	a, e := l.apps[p.App], newEntry(p)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.enter(e)
	deliver(e.At)
}

// AppendAt implements [hub.Log].
func (l *Log) AppendAt(p *hub.Publication, at hub.Position, deliver func(hub.Position)) {
	a, e := l.apps[p.App], newEntry(p)
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case at.Epoch != a.epoch:
		a.begin(at)
	case at.Number <= a.head:
		return
	}
	a.head = at.Number - 1
	a.enter(e)
	deliver(e.At)
}

// Reach implements [hub.Log].
func (l *Log) Reach(app string, at hub.Position) {
	a := l.apps[app]
	a.mu.Lock()
	defer a.mu.Unlock()
	if at.Epoch != a.epoch {
		a.begin(hub.Position{Epoch: at.Epoch, Number: at.Number + 1})
	}
	a.head = max(a.head, at.Number)
}

// begin has the log begin anew at a position of another epoch: of what was before it, it knows
// nothing. mu is held.
func (a *app) begin(at hub.Position) {
	for e := a.first; e != nil; e = a.first {
		a.drop(e)
	}
	a.epoch, a.head, a.floor = at.Epoch, at.Number-1, at.Number-1
	a.dropped, a.gaps = time.Time{}, nil
	a.everyone = room{cut: a.floor}
	a.quiet = quiet{all: cut{upTo: a.floor}} // what it knew was of another epoch
	a.filled = [2]hub.Position{}
}

// Begin has the log of an app begin anew behind a position: what was before, it does not know, or
// not all of it. What comes later is entered as ever. Whoever is there by then may lack something, see [Log.Filled].
func (l *Log) Begin(app string, at hub.Position) {
	a := l.apps[app]
	a.mu.Lock()
	defer a.mu.Unlock()
	before := hub.Position{Epoch: a.epoch, Number: a.head}
	a.begin(hub.Position{Epoch: at.Epoch, Number: at.Number + 1})
	a.jumped(before)
}

// Read implements [hub.Log].
func (l *Log) Read(app string, ask []hub.Span, wanted hub.Wanted) hub.Excerpt {
	x := l.apps[app].take(ask, wanted)
	if len(ask) > 1 {
		inOrder(x.List) // while others publish
	}
	return x
}

// take is read of this moment.
func (a *app) take(ask []hub.Span, wanted hub.Wanted) hub.Excerpt {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.cut()
	return a.read(ask, wanted)
}

// Hold implements [hub.Log].
func (l *Log) Hold(app string, f func(hub.Position, hub.Reader)) {
	a := l.apps[app]
	a.mu.Lock()
	defer a.mu.Unlock()
	a.cut()
	f(hub.Position{Epoch: a.epoch, Number: a.head}, func(ask []hub.Span, wanted hub.Wanted) hub.Excerpt {
		x := a.read(ask, wanted)
		if len(ask) > 1 {
			inOrder(x.List)
		}
		return x
	})
}

// Forget implements [hub.Log].
func (l *Log) Forget(app string) {
	a := l.apps[app]
	a.mu.Lock()
	defer a.mu.Unlock()
	a.head++ // who has seen the last event is at a position of before, too
	a.forget(a.head)
	a.over.Store(true)
}

// Stats are what is kept of all apps.
type Stats struct {
	Events, Rooms int
	Bytes         int64
	Cut           uint64 // events that went before their time, for HISTORY_BYTES or HISTORY_EVENTS
}

// Stats returns the counts of this moment.
func (l *Log) Stats() (st Stats) {
	for _, a := range l.apps {
		a.mu.Lock()
		a.cut()
		st.Events += a.events
		st.Rooms += len(a.rooms)
		st.Bytes += a.bytes
		st.Cut += a.early
		a.mu.Unlock()
	}
	return st
}

// An app is the log of one app.
type app struct {
	cfg  Config // set once, as name
	name string
	over atomic.Bool // it lacks publications: nobody may go on with it

	mu       sync.Mutex // guards what follows; held while a publication is entered and delivered
	epoch    uint64
	head     uint64    // the number of the last publication
	floor    uint64    // all up to it are gone; the next process takes that for where quiet rooms are cut
	dropped  time.Time // when the last of those entered; the zero Time if that is not known
	quiet    quiet     // rooms that are not in rooms
	gaps     []gap     // of numbers that no publication has, oldest first
	first    *entry    // the oldest
	last     *entry
	rooms    map[string]*room // those with something in the log
	everyone room             // what reached all subscribers of the app
	events   int
	bytes    int64
	early    uint64
	filled   [2]hub.Position // see [Log.Filled]; of this epoch
}

// An entry is a publication in the list of its app.
type entry struct {
	hub.Kept
	cost         int64   // of itself alone
	common       *common // of the entries of a publication for several rooms; nil for others
	through      int64   // bytes of payload in its room, up to it and with it
	before, next *entry
}

// newEntry is what is kept of a publication, before it has its place. A payload in a much
// larger piece of memory, which would be kept whole, is copied.
func newEntry(p *hub.Publication) *entry {
	e := new(entry)
	e.Entered = time.Now()
	e.Publication = *p
	if cap(p.Data) > 2*len(p.Data)+64 {
		e.Data = append(make([]byte, 0, len(p.Data)), p.Data...)
	}
	e.cost = int64(entryCost + cap(e.Data) + len(p.Event) + len(p.Room) + len(p.Meta) + len(p.Except))
	return e
}

// enter gives an entry the next number and its place, and cuts what is too much then. mu
// is held. One that is for several rooms is entered for each, with the same number.
func (a *app) enter(e *entry) {
	a.head++
	e.At = hub.Position{Epoch: a.epoch, Number: a.head}
	if a.last != nil && e.Entered.Before(a.last.Entered) {
		e.Entered = a.last.Entered // it was made earlier, and waited longer
	}
	if u, ok := e.Union(); ok && len(u.Rooms) > 0 {
		a.addEach(e, u.Rooms)
	} else {
		a.add(e)
	}
	a.cut()
}

// add puts an entry at the end of the list, and of its room. mu is held.
func (a *app) add(e *entry) {
	if e.before = a.last; a.last != nil {
		a.last.next = e
	} else {
		a.first = e
	}
	a.last = e
	r := a.roomOf(&e.Publication)
	e.Room = r.name // one text for all of a room
	r.through += int64(len(e.Data))
	e.through = r.through
	r.events = append(r.events, e)
	a.events++
	a.bytes += e.cost
	if all := e.common; all != nil {
		if all.holders == 0 {
			a.bytes += all.cost
		}
		all.holders++
	}
	if r.len() > a.cfg.Events {
		a.drop(r.events[r.gone])
		a.early++
	}
}

// roomOf finds the room of a publication, or makes it. mu is held.
func (a *app) roomOf(p *hub.Publication) *room {
	if p.Everyone {
		return &a.everyone
	}
	r := a.rooms[p.Room]
	if r == nil {
		r = newRoom(p.Room, a.quiet.of(p.Room))
		a.rooms[p.Room] = r
		a.bytes += r.cost()
	}
	return r
}

// cut drops what is too old or too much, from the old end. mu is held.
func (a *app) cut() {
	if a.first == nil {
		return
	}
	oldest := time.Now().Add(-a.cfg.Age)
	for e := a.first; e != nil; e = a.first {
		tooOld := e.Entered.Before(oldest)
		// All copies of one that is for several rooms go at once.
		if !tooOld && a.bytes <= a.cfg.Bytes && e.At.Number > a.floor {
			return
		}
		if !tooOld {
			a.early++
		}
		a.floor, a.dropped = e.At.Number, e.Entered
		a.drop(e)
	}
}

// drop takes the oldest entry of a room out of the list and its room. mu is held.
func (a *app) drop(e *entry) {
	if e.before != nil {
		e.before.next = e.next
	} else {
		a.first = e.next
	}
	if e.next != nil {
		e.next.before = e.before
	} else {
		a.last = e.before
	}
	e.before, e.next = nil, nil
	a.events--
	a.bytes -= e.cost
	if all := e.common; all != nil {
		if all.holders--; all.holders == 0 {
			a.bytes -= all.cost
		}
	}
	r := a.roomOf(&e.Publication)
	r.shift()
	if r.len() == 0 && !e.Everyone {
		delete(a.rooms, r.name)
		a.bytes -= r.cost()
		a.quiet.gone(r.name, r.cutOff())
	}
}
