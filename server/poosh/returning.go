package poosh

import (
	"time"

	"poosh/server/closed"
	"poosh/server/hub"
	"poosh/server/returning"
	"poosh/server/socketio"
)

var _ socketio.Returner = (*Clients)(nil)

// A connection is a client while it is there, with its session.
type connection struct {
	*listener
	session *socketio.Session
}

// A state is what a client may come back to.
type state = returning.State[connection, struct{}]

// stateRoomCost is about what a room of one who is away takes beside its name, in bytes.
const stateRoomCost = 90

// newStates keeps what clients may come back to.
func newStates(h *hub.Hub, most time.Duration, bytes int64) *returning.States[connection, struct{}] {
	return returning.New(returning.Config[connection, struct{}]{
		Hub: h, Most: most, Bytes: bytes, RoomCost: stateRoomCost,
		Seats: func(c connection) returning.Seats[struct{}] {
			return returning.Seats[struct{}]{Rooms: c.sub.Rooms(), Sub: c.sub, Trail: c.trail}
		},
	})
}

// Returns implements [socketio.Returner]. Of a client whose rooms another process may
// refuse nothing is given back.
func (c *Clients) Returns() bool { return c.hub.Keeps(App) && c.registry == nil }

// begin seats a client that is new.
func (c *Clients) begin(s *socketio.Session, enc hub.Encoder) *listener {
	if !s.Return().Wanted {
		l := seat(c.hub, s.ID(), c.bounds.Load().rooms, enc, s)
		l.from = s.Network()
		return l
	}
	l := &listener{encoder: Encoder4, trail: new(hub.Trail), from: s.Network()}
	var start hub.Position
	l.sub, start = c.hub.RegisterKept(App, s.ID(), c.bounds.Load().rooms+1, EncoderIDs4, s, l.trail)
	if err := l.enter(c.hub, s.ID()); err != nil {
		panic(err) // a new subscriber may be in one room
	}
	l.state = c.states.Begin(connection{l, s}, s.ID(), start)
	s.GiveID(l.state.PID)
	return l
}

// comeBack makes a client who it was, or returns nil for one that is new.
func (c *Clients) comeBack(s *socketio.Session) *listener {
	said := s.Return()
	if said.PID == "" || said.Wrong {
		return nil
	}
	st, old := c.states.Take(said.PID)
	if st == nil {
		return nil
	}
	if old := old.session; old != nil {
		if old.Kicked() { // its end is on its way
			return nil
		}
		old.Close(closed.Replaced, closed.Replaced.String())
	}
	after := st.Start
	if said.Offset != "" {
		var ok bool
		if after, ok = hub.ParsePosition(said.Offset); !ok {
			return nil
		}
	}
	l := &listener{encoder: Encoder4, trail: new(hub.Trail), from: s.Network()}
	for _, room := range st.Rooms {
		if room != st.SID {
			l.taken += len(room) + roomCost
		}
	}
	if c.quota != nil && l.taken > 0 && !c.quota.Take(l.from, 0, l.taken) {
		return nil
	}
	asked := wish{missed: true}
	l.sub = c.hub.Return(App, st.SID, c.bounds.Load().rooms+1, s, l.trail, &hub.Ask{
		Rooms: st.Rooms, After: after, Joined: st.Joined, JoinedIn: st.Log, Encoder: EncoderIDs4, Fits: s.Fits,
		Answer: func(r hub.Recovery) {
			c.recovered.count(&asked, r)
			s.Resume(st.SID, st.PID)
		},
	})
	if l.sub == nil {
		if c.quota != nil {
			c.quota.Give(l.from, l.taken)
		}
		return nil
	}
	c.entered.Add(uint64(len(st.Rooms) - 1))
	l.state = st
	c.states.Resume(connection{l, s}, st)
	return l
}
