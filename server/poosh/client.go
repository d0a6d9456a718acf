package poosh

import (
	"errors"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"poosh/auth"
	"poosh/server/closed"
	"poosh/server/hub"
	"poosh/server/quota"
	"poosh/server/rate"
	"poosh/server/returning"
	"poosh/server/socketio"
)

// JoinEvent is the one event that a client sends: its argument names the room
// it wants to be in. Any other event is ignored, and none is answered.
const JoinEvent = "room"

// ClientConfig bounds what one client may do.
type ClientConfig struct {
	MaxRooms         int // rooms that one client may be in
	MaxRoomNameBytes int // of a room's name in UTF-8

	// Rooms, if set, counts what the rooms of all clients cost: the name and roomCost for
	// each that a client is in.
	Rooms *quota.Quota

	Registry Registry // nil for this process alone

	Away      time.Duration // for how long a client may be away and come back as who it was
	AwayBytes int64         // of what is known of all that are away
}

// roomCost is about what being in a room takes beside its name, in bytes: a seat, and
// the room itself if nobody else is in it.
const roomCost = 300

// errRoomsFull is why a client is closed that joins when no room is to be had.
var errRoomsFull = errors.New("the rooms of all clients take as much as they may")

// A listener is what is known of a client.
type listener struct {
	sub     *hub.Subscriber
	trail   *hub.Trail  // what it has had; nil where nothing is kept
	state   *state      // what it may come back to; nil for nothing. Set once, before its end
	encoder hub.Encoder // of a client that has not asked for positions
	from    netip.Addr  // the network that its rooms count for
	taken   int         // of ClientConfig.Rooms; owned by the session's events, or by asks
	asks    *asker      // nil without a registry, for who has waited for no other process
	stream  *stream     // of a client of GET /events; nil for others

	fruitless rate.Fruitless // of its questions for more than it can take; owned as taken is
}

var (
	_ hub.Describer = (*socketio.Session)(nil)
	_ hub.Misser    = (*socketio.Session)(nil)
	_ hub.Replayer  = (*socketio.Session)(nil)
)

// Clients are the listeners of Poosh: they implement [socketio.Handler].
type Clients struct {
	hub      *hub.Hub // set once, as what follows
	log      *slog.Logger
	quota    *quota.Quota // nil without one
	registry Registry     // nil for this process alone
	began    time.Time
	bounds   atomic.Pointer[bounds] // never nil

	joined, refused atomic.Uint64
	entered, left   atomic.Uint64 // rooms, but for those of their own ids
	recovered       recoveries
	states          *returning.States[connection, struct{}]
}

// bounds are what may change of a [ClientConfig].
type bounds struct{ rooms, nameBytes int }

func (c *ClientConfig) bounds() *bounds { return &bounds{c.MaxRooms, c.MaxRoomNameBytes} }

// NewClients returns the handler for the clients' socket.io server.
func NewClients(cfg ClientConfig, h *hub.Hub, log *slog.Logger) *Clients {
	c := &Clients{hub: h, log: log, quota: cfg.Rooms, registry: cfg.Registry, began: time.Now()}
	c.bounds.Store(cfg.bounds())
	c.states = newStates(h, cfg.Away, cfg.AwayBytes)
	return c
}

// Change has other bounds count: of names at once, of rooms for clients that connect from
// now on. It may be called from any goroutine; the rest of cfg is not looked at.
func (c *Clients) Change(cfg ClientConfig) {
	c.bounds.Store(cfg.bounds())
}

// Connected seats a client in the hub. It is in the room named by its id, and
// gets what is sent to everyone.
func (c *Clients) Connected(s *socketio.Session) {
	enc := Encoder
	if s.Protocol() == 4 {
		enc = Encoder4
	}
	l := c.comeBack(s)
	if l == nil {
		if said := s.Return(); said.PID != "" || said.Wrong {
			c.recovered.not.Add(1)
		}
		l = c.begin(s, enc)
	}
	if c.registry != nil {
		l.asks = &asker{clients: c, listener: l, session: s}
	}
	s.Data = l
}

// seat registers a client and has it in the room of its own id, as every socket of
// Socket.IO is (socket.io 1.3.5, lib/socket.js, onconnect). That room counts for
// nothing.
func seat(h *hub.Hub, id string, maxRooms int, enc hub.Encoder, recv hub.Receiver) *listener {
	l := &listener{encoder: enc}
	if h.Keeps(App) {
		l.trail = new(hub.Trail)
		l.sub, _ = h.RegisterKept(App, id, maxRooms+1, enc, recv, l.trail)
	} else {
		l.sub = h.Register(App, id, maxRooms+1, enc, recv)
	}
	if err := l.enter(h, id); err != nil {
		panic(err) // a new subscriber may be in one room
	}
	return l
}

// enter seats the client in a room.
func (l *listener) enter(h *hub.Hub, room string) error {
	if l.trail != nil {
		return h.JoinKept(l.sub, l.trail, room)
	}
	return h.Join(l.sub, room)
}

// Closed takes a client out of all its rooms.
func (c *Clients) Closed(s *socketio.Session, reason string) {
	if l, ok := s.Data.(*listener); ok {
		s.Data = nil
		c.states.Left(connection{l, s}, l.state, l.from, reason != socketio.LeftByClient && !s.Kicked())
		c.depart(l)
	}
}

// depart takes a client that has gone out of the hub, and out of the registry.
func (c *Clients) depart(l *listener) {
	if l.asks != nil {
		l.asks.close()
		return
	}
	c.leave(l)
}

// leave takes a client out of the hub, and gives back what its rooms cost.
func (c *Clients) leave(l *listener) {
	c.left.Add(uint64(max(0, len(l.sub.Rooms())-1))) // its own room was not joined
	c.hub.Unregister(l.sub)
	if c.quota != nil {
		c.quota.Give(l.from, l.taken)
	}
}

// Event joins a room. The name is what JavaScript makes of the argument as the
// name of a property, as it was in the Node server: number 5 is "5", and a
// missing argument is "undefined". A client that wants too much is closed: it
// would wait for events that cannot come.
//
// What may follow the name is [wish]'s.
func (c *Clients) Event(s *socketio.Session, name string, args [][]byte, ack socketio.Ack) {
	if name != JoinEvent {
		return
	}
	l := s.Data.(*listener)
	room, err := c.roomName(args)
	w := wish{room: room, ack: ack}
	if err == nil && l.trail != nil && len(args) > 1 {
		err = w.read(args[1], c.nameOf)
	}
	if err != nil {
		c.decided(s, err)
		return
	}
	w.ahead = w.isAhead(c.hub)
	if l.asks == nil && w.ahead {
		l.asks = &asker{clients: c, listener: l, session: s}
	}
	if l.asks != nil {
		l.asks.want(w)
	} else {
		c.decided(s, c.join(l, s, &w))
	}
}

// A session is what is said to a client whose wish is decided: a [socketio.Session].
type session interface {
	ID() string
	RemoteAddr() string
	Close(why closed.Reason, text string)
	Guard(f func())
	Fits(frames, bytes int) bool
	Answer(frame []byte) bool
}

// decided counts a decision, and closes who is refused.
func (c *Clients) decided(s session, err error) {
	switch {
	case err == nil:
		c.joined.Add(1)
	case errors.Is(err, hub.ErrClosed):
	default:
		c.refused.Add(1)
		c.log.Warn("join refused, client closed", "remote", s.RemoteAddr(), "session", s.ID(), "err", err)
		s.Close(reasonOf(err), err.Error())
	}
}

// reasonOf is what a client counts as that is closed for a room.
func reasonOf(err error) closed.Reason {
	switch {
	case errors.Is(err, hub.ErrTooManyRooms), errors.Is(err, errTooMuch):
		return closed.TooManyRooms
	case errors.Is(err, errRoomsFull):
		return closed.RoomsFull
	}
	return closed.RoomName
}

// join takes a seat in the rooms of a wish, and of what there is for rooms.
func (c *Clients) join(l *listener, s session, w *wish) error {
	rooms, cost := 0, 0
	count := func(room string) {
		if !l.sub.In(room) {
			rooms, cost = rooms+1, cost+len(room)+roomCost
		}
	}
	count(w.room)
	for _, room := range w.also {
		count(room)
	}
	if c.quota != nil && cost > 0 && !c.quota.Take(l.from, l.taken, cost) {
		return errRoomsFull
	}
	if err := c.grant(l, s, w); err != nil { // which says too whether it has left
		if c.quota != nil && cost > 0 {
			c.quota.Give(l.from, cost)
		}
		return err
	}
	l.taken += cost
	c.entered.Add(uint64(rooms))
	return nil
}

// grant seats the client in the room that it wishes to be in, with what it missed there.
func (c *Clients) grant(l *listener, s session, w *wish) error {
	switch {
	case l.stream != nil:
		return c.grantStream(l, w)
	case w.since:
		return c.recover(l, s, w)
	}
	return l.enter(c.hub, w.room)
}

var errLongName = errors.New("room name is too long")

func (c *Clients) roomName(args [][]byte) (string, error) {
	if len(args) == 0 {
		return "undefined", nil
	}
	return c.nameOf(args[0])
}

func (c *Clients) nameOf(arg []byte) (string, error) {
	most := c.bounds.Load().nameBytes
	// An escape is up to six times as long as its character.
	if len(arg) > 6*most+2 {
		return "", errLongName
	}
	room, err := auth.JSString(arg)
	if err == nil && len(room) > most {
		err = errLongName
	}
	return room, err
}

// rooms returns how many rooms somebody is in now, how often one was entered, and how
// often one was left, but for those of clients' own ids.
func (c *Clients) rooms() (open int, entered, left uint64) {
	left = c.left.Load() // before what was entered: it is never more
	return max(0, c.hub.CountRooms(App)-c.hub.Len(App)), c.entered.Load(), left
}

// ClientStats are counts since the start.
type ClientStats struct{ Joined, Refused uint64 }

// Stats returns the counts so far.
func (c *Clients) Stats() ClientStats { return ClientStats{c.joined.Load(), c.refused.Load()} }
