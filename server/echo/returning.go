package echo

import (
	"container/list"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"poosh/server/closed"
	"poosh/server/hub"
	"poosh/server/metric"
	"poosh/server/socketio"
)

// With history, a client of socket.io 4.6 and newer that was cut off comes back as who it was,
// in its channels: version 1 of laravel-echo with a client of socket.io 3 or 4 listens for an
// event of the client that there is no more, and so never subscribes again by itself.
//
// A client comes back to private and presence channels only where the application has let it in
// before, and for no longer than HISTORY.

// A pid is a name that states are found by, and a secret that is compared in constant time.
const (
	pidName   = 12 // characters
	pidSecret = 24
)

// What a state takes, about, beside the names of its channels, and each channel beside its name.
const (
	stateCost     = 700
	stateRoomCost = 200
)

// A state is what a client may come back to. What follows start belongs to the states' lock.
type state struct {
	pid, sid string       // set once
	start    hub.Position // where its first connection began

	open    *listener          // while it is connected
	rooms   []string           // while it is away, and what follows
	members map[string]*member // by channel
	joined  map[string]uint64  // see [hub.Hub.Joined]
	log     uint64             // the epoch of their numbers
	until   time.Time
	cost    int64
	at      *list.Element // of states.away
	crowd   *crowd
	beside  *list.Element // of crowd.away
}

// A crowd is the states of one network that are away.
type crowd struct {
	network netip.Addr
	away    list.List // of *state, who left first in front
	size    int64
}

// states are those of clients that are here, and of those who left lately: bounded by time and
// bytes, and of one network by a fourth of the bytes; who left first is forgotten first.
type states struct {
	hub   *hub.Hub      // set once
	most  time.Duration // set once
	bytes int64         // set once

	mu     sync.Mutex        // guards what follows; taken before listener.mu
	byName map[string]*state // by the name in the pid
	away   list.List         // of *state, who left first in front
	size   int64             // what away costs
	crowds map[netip.Addr]*crowd
}

func (a *states) init(h *hub.Hub, most time.Duration, bytes int64) {
	a.hub, a.most, a.bytes = h, most, bytes
	a.byName, a.crowds = make(map[string]*state), make(map[netip.Addr]*crowd)
}

// begin gives a client that is new a state.
func (a *states) begin(l *listener, start hub.Position) *state {
	var b [(pidName + pidSecret) / 4 * 3]byte
	_, _ = rand.Read(b[:]) // never fails
	st := &state{pid: base64.RawURLEncoding.EncodeToString(b[:]), sid: l.sub.ID(), start: start}
	a.resume(l, st)
	return st
}

// resume notes that a client is connected with its state.
func (a *states) resume(l *listener, st *state) {
	a.mu.Lock()
	defer a.mu.Unlock()
	st.open, l.state = l, st
	a.byName[st.pid[:pidName]] = st
}

// take takes the state of a pid out of the list: it is good once. old is the client that has
// it, if that is still there, and does not any more.
func (a *states) take(pid string) (st *state, old *listener) {
	if len(pid) != pidName+pidSecret {
		return nil, nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.expire(time.Now())
	st = a.byName[pid[:pidName]]
	if st == nil || subtle.ConstantTimeCompare([]byte(st.pid), []byte(pid)) != 1 {
		return nil, nil
	}
	delete(a.byName, pid[:pidName])
	if old = st.open; old != nil {
		a.note(st, old)
		old.state, st.open = nil, nil
	} else {
		a.unlist(st)
	}
	return st, old
}

// note keeps the channels that a client is in, and since when, over all of its connections in
// which it did not leave them: who was sent out of a private channel and is let in again is given
// nothing of the time between. mu is held.
func (a *states) note(st *state, l *listener) {
	before, log := st.joined, st.log
	var returned map[string]bool
	st.rooms, st.members, returned = l.seats()
	joined, epoch := a.hub.Joined(l.sub, l.trail)
	st.joined, st.log = make(map[string]uint64, len(st.rooms)), epoch
	for _, room := range st.rooms {
		n, since := joined[room], before[room]
		if returned[room] {
			if log != epoch { // another one has begun since
				since = 0
			}
			n = min(n, since)
		}
		st.joined[room] = n
	}
}

// seats are the channels that the client is in, who it is there, and to which of them it came back.
// One that has not been made a member again yet is who it was.
func (l *listener) seats() (rooms []string, members map[string]*member, returned map[string]bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	members, returned = make(map[string]*member), make(map[string]bool)
	for _, s := range l.channels {
		who := s.member
		if who == nil && s.returned {
			who = s.back
		}
		switch {
		case !s.seated || s.kind.presence && who == nil:
			continue
		case s.kind.presence:
			members[s.channel] = who
		}
		rooms, returned[s.channel] = append(rooms, s.channel), s.returned
	}
	return rooms, members, returned
}

// left keeps the state of a client that has left, or forgets it. The client is still in its
// channels.
func (a *states) left(l *listener, keep bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	st := l.state
	if st == nil {
		return
	}
	l.state, st.open = nil, nil
	if !keep {
		delete(a.byName, st.pid[:pidName])
		return
	}
	now := time.Now()
	a.note(st, l)
	a.keep(st, l.from, now.Add(a.most))
	a.expire(now)
}

// keep has a client be away until some time. mu is held.
func (a *states) keep(st *state, from netip.Addr, until time.Time) {
	st.until, st.cost = until, stateCost
	for _, room := range st.rooms {
		st.cost += int64(len(room)) + stateRoomCost
	}
	for _, m := range st.members {
		st.cost += int64(2 * len(m.entry))
	}
	c := a.crowds[from]
	if c == nil {
		c = &crowd{network: from}
		a.crowds[from] = c
	}
	a.byName[st.pid[:pidName]] = st
	st.at, st.crowd, st.beside = a.away.PushBack(st), c, c.away.PushBack(st)
	a.size, c.size = a.size+st.cost, c.size+st.cost
	for from.IsValid() && c.size > a.bytes/4 && c.away.Len() > 1 {
		a.forget(c.away.Front().Value.(*state))
	}
}

// forget forgets a client that is away. mu is held.
func (a *states) forget(st *state) {
	a.unlist(st)
	delete(a.byName, st.pid[:pidName])
}

// unlist has a state be none of those that are away. mu is held.
func (a *states) unlist(st *state) {
	c := st.crowd
	a.away.Remove(st.at)
	c.away.Remove(st.beside)
	a.size, c.size = a.size-st.cost, c.size-st.cost
	if c.away.Len() == 0 {
		delete(a.crowds, c.network)
	}
	st.at, st.crowd, st.beside = nil, nil, nil
}

// expire forgets who has been away for too long, or is too much. mu is held.
func (a *states) expire(now time.Time) {
	for e := a.away.Front(); e != nil; e = a.away.Front() {
		st := e.Value.(*state)
		if now.Before(st.until) && a.size <= a.bytes {
			return
		}
		a.forget(st)
	}
}

// Returns implements [socketio.Returner].
func (d *Dialect) Returns() bool { return d.kept }

// comeBack makes a client who it was, or returns nil for one that is new.
func (d *Dialect) comeBack(s *socketio.Session, cookie visitor) *listener {
	said := s.Return()
	if said.PID == "" || said.Wrong {
		return nil
	}
	st, old := d.states.take(said.PID)
	if st == nil {
		return nil
	}
	if old != nil {
		if old.session.Kicked() { // its end is on its way
			return nil
		}
		old.session.Close(closed.Replaced, closed.Replaced.String())
	}
	after := st.start
	if said.Offset != "" {
		var ok bool
		if after, ok = hub.ParsePosition(said.Offset); !ok {
			return nil
		}
	}
	l, by := d.newListener(s, cookie), d.cfg()
	for _, room := range st.rooms {
		if kindOf(room).private && d.asks == nil { // nobody may be in it any more
			return nil
		}
		l.taken += len(room) + channelCost
		l.channels[room] = &subscription{channel: room, kind: kindOf(room), seated: true, coming: kindOf(room).presence, back: st.members[room], returned: true}
	}
	if by.Rooms != nil && l.taken > 0 && !by.Rooms.Take(l.from, 0, l.taken) {
		return nil
	}
	l.trail = new(hub.Trail)
	l.sub = d.hub.Return(App, st.sid, by.MaxChannels, s, l.trail, &hub.Ask{
		Rooms: st.rooms, After: after, Joined: st.joined, JoinedIn: st.log, Encoder: numbered, Fits: s.Fits,
		Answer: func(r hub.Recovery) {
			d.counted.whole.Add(1)
			d.counted.events.Add(uint64(r.Missed))
			s.Resume(st.sid, st.pid)
		},
	})
	if l.sub == nil {
		if by.Rooms != nil {
			by.Rooms.Give(l.from, l.taken)
		}
		return nil
	}
	for _, s := range l.channels {
		d.kinds[s.kind.index()].made.Add(1)
	}
	d.states.resume(l, st)
	return l
}

// reseat makes a client that has come back a member of its presence channels again, and tells it
// who is there. Where it was away for less than the time of grace the others hear nothing of it.
func (l *listener) reseat() {
	l.mu.Lock()
	var list []*subscription
	for _, s := range l.channels {
		if s.back != nil {
			list = append(list, s)
		}
	}
	l.mu.Unlock()
	for _, s := range list {
		l.come(s, s.back)
	}
}

// recoveries counts what became of clients that wanted to come back, and what they were given.
type recoveries struct{ whole, not, events atomic.Uint64 }

func (n *recoveries) readings() []metric.Reading {
	return []metric.Reading{
		metric.Counters("echo_recoveries", "echo_recoveries_total", "Times that a client of laravel-echo wanted to come back as who it was, by whether it did.", "outcome",
			[]metric.Sample{metric.Of(n.whole.Load(), "recovered"), metric.Of(n.not.Load(), "not_recovered")}),
		metric.Counter("", "echo_replayed_total", "Events that these clients were given that they had missed.", n.events.Load()),
	}
}
