package poosh

import (
	"poosh/server/closed"
	"poosh/server/hub"
	"poosh/server/socketio"
)

var _ socketio.Returner = (*Clients)(nil)

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
	st := c.states.begin(l, s, start)
	s.GiveID(st.pid)
	return l
}

// comeBack makes a client who it was, or returns nil for one that is new.
func (c *Clients) comeBack(s *socketio.Session) *listener {
	said := s.Return()
	if said.PID == "" || said.Wrong {
		return nil
	}
	st, old := c.states.take(said.PID)
	if st == nil {
		return nil
	}
	if old != nil {
		if old.Kicked() { // its end is on its way
			return nil
		}
		old.Close(closed.Replaced, closed.Replaced.String())
	}
	after := st.start
	if said.Offset != "" {
		var ok bool
		if after, ok = hub.ParsePosition(said.Offset); !ok {
			return nil
		}
	}
	l := &listener{encoder: Encoder4, trail: new(hub.Trail), from: s.Network()}
	for _, room := range st.rooms {
		if room != st.sid {
			l.taken += len(room) + roomCost
		}
	}
	if c.quota != nil && l.taken > 0 && !c.quota.Take(l.from, 0, l.taken) {
		return nil
	}
	asked := wish{missed: true}
	l.sub = c.hub.Return(App, st.sid, c.bounds.Load().rooms+1, s, l.trail, &hub.Ask{
		Rooms: st.rooms, After: after, Joined: st.joined, JoinedIn: st.log, Encoder: EncoderIDs4, Fits: s.Fits,
		Answer: func(r hub.Recovery) {
			c.recovered.count(&asked, r)
			s.Resume(st.sid, st.pid)
		},
	})
	if l.sub == nil {
		if c.quota != nil {
			c.quota.Give(l.from, l.taken)
		}
		return nil
	}
	c.entered.Add(uint64(len(st.rooms) - 1))
	c.states.resume(l, s, st)
	return l
}
