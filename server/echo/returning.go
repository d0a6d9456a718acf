package echo

import (
	"sync/atomic"
	"time"

	"poosh/server/closed"
	"poosh/server/handover"
	"poosh/server/hub"
	"poosh/server/metric"
	"poosh/server/returning"
	"poosh/server/socketio"
)

// With history, a client of socket.io 4.6 and newer that was cut off comes back as who it was,
// in its channels: version 1 of laravel-echo with a client of socket.io 3 or 4 listens for an
// event of the client that there is no more, and so never subscribes again by itself.
//
// A client comes back to private and presence channels only where the application has let it in
// before, and for no longer than HISTORY.

// stateRoomCost is about what a channel of one who is away takes beside its name, in bytes.
const stateRoomCost = 200

// A state is what a client may come back to.
type state = returning.State[*listener, *member]

// newStates keeps what clients may come back to. One who was sent out of a private channel and is let
// in again is given nothing of the time between.
func newStates(h *hub.Hub, most time.Duration, bytes int64) *returning.States[*listener, *member] {
	return returning.New(returning.Config[*listener, *member]{
		Hub: h, Most: most, Bytes: bytes, RoomCost: stateRoomCost,
		Seats: func(l *listener) returning.Seats[*member] {
			rooms, members, returned := l.seats()
			return returning.Seats[*member]{Rooms: rooms, Members: members, Sub: l.sub, Trail: l.trail, Left: func(room string) bool { return !returned[room] }}
		},
		Member: &returning.Member[*member]{
			Has:     func(room string) bool { return kindOf(room).presence },
			Cost:    func(m *member) int64 { return int64(2 * len(m.entry)) },
			Save:    func(w *handover.Writer, m *member) { m.save(w) },
			Restore: restoreMember,
		},
	})
}

func (m *member) save(w *handover.Writer) {
	w.Text(m.id)
	w.Bytes(m.entry)
}

// restoreMember reads what save wrote.
func restoreMember(r *handover.Reader) *member {
	m := &member{id: r.Text(), entry: r.Bytes()}
	if m.bare = bareOf(m.entry); r.Err() == nil && (m.id == "" || len(m.bare) < 2 || len(m.bare) == len(m.entry)) {
		r.Fail("a member has no id")
	}
	return m
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

// Returns implements [socketio.Returner].
func (d *Dialect) Returns() bool { return d.kept }

// comeBack makes a client who it was, or returns nil for one that is new.
func (d *Dialect) comeBack(s *socketio.Session, cookie visitor) *listener {
	said := s.Return()
	if said.PID == "" || said.Wrong {
		return nil
	}
	st, old := d.states.Take(said.PID)
	if st == nil {
		return nil
	}
	if old != nil {
		if old.session.Kicked() { // its end is on its way
			return nil
		}
		old.session.Close(closed.Replaced, closed.Replaced.String())
	}
	after := st.Start
	if said.Offset != "" {
		var ok bool
		if after, ok = hub.ParsePosition(said.Offset); !ok {
			return nil
		}
	}
	l, quota := d.newListener(s, cookie), d.process.Rooms
	for _, room := range st.Rooms {
		if kindOf(room).private && d.asks == nil { // nobody may be in it any more
			return nil
		}
		l.taken += len(room) + channelCost
		l.channels[room] = &subscription{channel: room, kind: kindOf(room), seated: true, coming: kindOf(room).presence, back: st.Members[room], returned: true}
	}
	if quota != nil && l.taken > 0 && !quota.Take(l.from, 0, l.taken) {
		return nil
	}
	l.asked = len(st.Rooms) > 0
	l.trail = new(hub.Trail)
	l.sub = d.hub.Return(App, st.SID, d.bounds.Load().MaxChannels, s, l.trail, &hub.Ask{
		Rooms: st.Rooms, After: after, Joined: st.Joined, JoinedIn: st.Log, Encoder: numbered, Fits: s.Fits,
		Answer: func(r hub.Recovery) {
			d.counted.whole.Add(1)
			d.counted.events.Add(uint64(r.Missed))
			s.Resume(st.SID, st.PID)
		},
	})
	if l.sub == nil {
		if quota != nil {
			quota.Give(l.from, l.taken)
		}
		return nil
	}
	for _, s := range l.channels {
		d.kinds[s.kind.index()].made.Add(1)
	}
	l.state = st
	d.states.Resume(l, st)
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
