package poosh

import (
	"errors"
	"log/slog"
	"sync/atomic"

	"poosh/auth"
	"poosh/server/hub"
	"poosh/server/socketio"
)

// JoinEvent is the one event that a client sends: its argument names the room
// it wants to be in. Any other event is ignored, and none is answered.
const JoinEvent = "room"

// ClientConfig bounds what one client may do.
type ClientConfig struct {
	MaxRooms         int // rooms that one client may be in
	MaxRoomNameBytes int // of a room's name in UTF-8
}

// Clients are the listeners of Poosh: they implement [socketio.Handler].
type Clients struct {
	cfg ClientConfig
	hub *hub.Hub
	log *slog.Logger

	joined, refused atomic.Uint64
}

// NewClients returns the handler for the clients' socket.io server.
func NewClients(cfg ClientConfig, h *hub.Hub, log *slog.Logger) *Clients {
	return &Clients{cfg: cfg, hub: h, log: log}
}

// Connected seats a client in the hub. It is in the room named by its id, and
// gets what is sent to everyone.
func (c *Clients) Connected(s *socketio.Session) {
	enc := Encoder
	if s.Protocol() == 4 {
		enc = Encoder4
	}
	s.Data = c.hub.Register(App, s.ID(), c.cfg.MaxRooms, enc, s)
}

// Closed takes a client out of all its rooms.
func (c *Clients) Closed(s *socketio.Session, _ string) {
	if sub, ok := s.Data.(*hub.Subscriber); ok {
		s.Data = nil
		c.hub.Unregister(sub)
	}
}

// Event joins a room. The name is what JavaScript makes of the argument as the
// name of a property, as it was in the Node server: number 5 is "5", and a
// missing argument is "undefined". A client that wants too much is closed: it
// would wait for events that cannot come.
func (c *Clients) Event(s *socketio.Session, name string, args [][]byte) {
	if name != JoinEvent {
		return
	}
	room, err := c.roomName(args)
	if err == nil {
		err = c.hub.Join(s.Data.(*hub.Subscriber), room)
	}
	switch {
	case err == nil:
		c.joined.Add(1)
	case errors.Is(err, hub.ErrClosed):
	default:
		c.refused.Add(1)
		c.log.Warn("join refused, client closed", "remote", s.RemoteAddr(), "session", s.ID(), "err", err)
		s.Close(err.Error())
	}
}

var errLongName = errors.New("room name is too long")

func (c *Clients) roomName(args [][]byte) (string, error) {
	if len(args) == 0 {
		return "undefined", nil
	}
	// An escape is up to six times as long as its character.
	if len(args[0]) > 6*c.cfg.MaxRoomNameBytes+2 {
		return "", errLongName
	}
	room, err := auth.JSString(args[0])
	if err == nil && len(room) > c.cfg.MaxRoomNameBytes {
		err = errLongName
	}
	return room, err
}

// ClientStats are counts since the start.
type ClientStats struct{ Joined, Refused uint64 }

// Stats returns the counts so far.
func (c *Clients) Stats() ClientStats { return ClientStats{c.joined.Load(), c.refused.Load()} }
