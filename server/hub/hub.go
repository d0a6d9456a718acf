// Package hub knows rooms, subscribers, publications and presence, and no
// protocol: it never reads a payload, opens a socket or starts a goroutine.
// Everything in it may be called from any goroutine.
//
// # Why
//
// A publication is encoded once for each kind of subscriber and never once for
// each subscriber: the seats of a room stand grouped by [Encoder], and every
// seat of a group is handed the same bytes.
//
// Lock order, outermost first: Subscriber.mu, then Hub.mu or room.mu but never
// both (a long publication must not hold up the rest of the hub), and below
// them whatever a [Receiver] locks inside Deliver (a connection's outbox). Deliver
// is the only foreign call made with a lock held; it must neither block nor
// call back into the hub.
package hub

import (
	"errors"
	"sync"
	"sync/atomic"
)

// A Publication is one event on its way to the subscribers of a room. The hub
// and all receivers share it: nothing in it may change once it is published.
type Publication struct {
	App      string // partition of the hub; rooms of two apps never meet
	Room     string // the room's name; unused when Everyone is set
	Everyone bool   // reach each subscriber of App, in a room or not

	Event string // event name as the sender wrote it
	Data  []byte // JSON text, or any text when Text is set
	Text  bool   // Data is a text that the dialect carries as a string

	UserID string // who a client event came from; empty otherwise
	Except string // id of a subscriber that gets no copy; empty for none
}

// An Encoder turns a publication into the bytes that one kind of connection
// writes. The hub compares encoders with ==, so all subscribers of a kind must
// share one value. Encode runs on the publisher's goroutine, several at once;
// the frame it returns is shared by all receivers and must never change. nil says
// that this kind of connection must not get the publication.
type Encoder interface {
	Encode(*Publication) []byte
}

// A Receiver is the connection behind a subscriber. Deliver queues a frame and
// reports whether it was taken. It is called with a room locked, so it must
// neither wait nor call the hub: a connection that is full marks itself and
// closes later, on a goroutine of its own.
type Receiver interface {
	Deliver(frame []byte) bool
}

// Errors that Join returns.
var (
	ErrTooManyRooms = errors.New("subscriber is in as many rooms as it may join")
	ErrClosed       = errors.New("subscriber has left the hub")
)

// A Hub joins publishers to subscribers. Make one with [New].
type Hub struct {
	mu   sync.RWMutex // guards apps and, in each app, rooms and ids
	apps map[string]*app

	bridges atomic.Pointer[[]bridge] // nil without one; replaced under mu

	published atomic.Uint64
	delivered atomic.Uint64
	refused   atomic.Uint64
}

// app is one partition: its rooms, and its subscribers by id.
type app struct {
	rooms    map[string]*room
	ids      map[string]*Subscriber
	everyone *room
}

// New returns an empty hub.
func New() *Hub {
	return &Hub{apps: make(map[string]*app)}
}

// A Subscriber is one connection's seat in an app and in the rooms it joined.
type Subscriber struct {
	hub      *Hub
	appName  string
	id       string
	encoder  Encoder
	receiver Receiver
	maxRooms int

	mu     sync.Mutex // guards what follows
	seats  []*seat    // one a room; the first is the app's everyone
	byRoom map[string]*seat
	gone   bool
}

// A seat is a subscriber's place in one room.
type seat struct {
	sub   *Subscriber
	room  *room
	group *group // guarded by room.mu
	index int    // in group.seats; guarded by room.mu
}

// indexAfter is how many rooms a subscriber may be in before it keeps a map of
// them: most are in one or two, and a map costs more than they do.
const indexAfter = 16

// ID returns the id the subscriber was registered with.
func (s *Subscriber) ID() string { return s.id }

// Register seats a connection in an app. A publication to the room named by id
// reaches it without a join, and one to everyone does too. maxRooms bounds the
// rooms it may join beside those. An id must not be registered twice at once:
// the newer takes the older's place for publications to that id.
//
// Everything the receiver needs must be ready: the first Deliver may come
// before Register returns.
func (h *Hub) Register(appName, id string, maxRooms int, enc Encoder, recv Receiver) *Subscriber {
	s := &Subscriber{hub: h, appName: appName, id: id, maxRooms: maxRooms, encoder: enc, receiver: recv}
	h.mu.Lock()
	a := h.apps[appName]
	if a == nil {
		a = &app{rooms: make(map[string]*room), ids: make(map[string]*Subscriber), everyone: newEveryone()}
		h.apps[appName] = a
	}
	a.ids[id] = s
	h.mu.Unlock()

	st := &seat{sub: s, room: a.everyone}
	s.mu.Lock()
	s.seats = append(make([]*seat, 0, 2), st)
	s.mu.Unlock()
	a.everyone.add(st, nil)
	return s
}

// Unregister takes a subscriber out of all its rooms and its app. A second call
// does nothing. After it returns no new Deliver begins.
func (h *Hub) Unregister(s *Subscriber) {
	s.mu.Lock()
	if s.gone {
		s.mu.Unlock()
		return
	}
	s.gone = true
	seats := s.seats
	s.seats, s.byRoom = nil, nil
	s.mu.Unlock()

	for _, st := range seats {
		h.leave(s.appName, st)
	}
	h.mu.Lock()
	if a := h.apps[s.appName]; a != nil {
		if a.ids[s.id] == s {
			delete(a.ids, s.id)
		}
		h.dropIfUnused(s.appName, a)
	}
	h.mu.Unlock()
}

// dropIfUnused forgets an app nobody is in. Hub.mu is held.
func (h *Hub) dropIfUnused(name string, a *app) {
	if len(a.ids) == 0 && len(a.rooms) == 0 && a.everyone.len() == 0 {
		delete(h.apps, name)
	}
}

// Join seats a subscriber in a room. Joining again changes nothing. It returns
// [ErrTooManyRooms] at the bound given to Register, [ErrClosed] after
// Unregister.
//
// The frames of welcome are delivered to the newcomer as it is seated, before
// anything that is published to the room.
func (h *Hub) Join(s *Subscriber, name string, welcome ...[]byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		return ErrClosed
	}
	if s.seatIn(name) != nil {
		return nil
	}
	if len(s.seats)-1 >= s.maxRooms {
		return ErrTooManyRooms
	}
	st := &seat{sub: s}
	for {
		st.room = h.room(s.appName, name)
		if st.room.add(st, welcome) {
			break
		}
		// Its last subscriber left in between; the next look finds a new one.
		h.forget(s.appName, st.room)
	}

	s.seats = append(s.seats, st)
	if s.byRoom != nil {
		s.byRoom[name] = st
	} else if len(s.seats) > indexAfter {
		s.byRoom = make(map[string]*seat, 2*len(s.seats))
		for _, st := range s.seats[1:] {
			s.byRoom[st.room.name] = st
		}
	}
	return nil
}

// room finds a room by name or makes it. The subscriber's app exists for as long
// as the subscriber is in its everyone.
func (h *Hub) room(appName, name string) *room {
	h.mu.Lock()
	defer h.mu.Unlock()
	a := h.apps[appName]
	r := a.rooms[name]
	if r == nil {
		r = newRoom(name)
		a.rooms[name] = r
	}
	return r
}

// forget drops a room that is over.
func (h *Hub) forget(appName string, r *room) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if a := h.apps[appName]; a != nil && a.rooms[r.name] == r {
		delete(a.rooms, r.name)
	}
}

// Leave takes a subscriber out of a room; out of one it is not in, it does
// nothing. It reports whether the subscriber was there.
func (h *Hub) Leave(s *Subscriber, name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.seatIn(name)
	if st == nil {
		return false
	}
	for i, other := range s.seats {
		if other == st {
			last := len(s.seats) - 1
			if i != last {
				s.seats[i] = s.seats[last]
			}
			s.seats[last] = nil
			s.seats = s.seats[:last]
			break
		}
	}
	delete(s.byRoom, name)
	h.leave(s.appName, st)
	return true
}

// seatIn finds the seat in a joined room, or nil. Subscriber.mu is held.
func (s *Subscriber) seatIn(name string) *seat {
	if s.byRoom != nil {
		return s.byRoom[name]
	}
	for i := 1; i < len(s.seats); i++ {
		if s.seats[i].room.name == name {
			return s.seats[i]
		}
	}
	return nil
}

// In reports whether the subscriber has joined a room.
func (s *Subscriber) In(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seatIn(name) != nil
}

// Rooms returns the names of the joined rooms, in no order.
func (s *Subscriber) Rooms() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.seats) < 2 {
		return nil
	}
	names := make([]string, 0, len(s.seats)-1)
	for _, st := range s.seats[1:] {
		names = append(names, st.room.name)
	}
	return names
}

// leave empties a seat and drops a room that nobody is left in.
func (h *Hub) leave(appName string, st *seat) {
	if over := st.room.remove(st); over {
		h.forget(appName, st.room)
	}
}

// Publish hands a publication to every subscriber of its room and reports how
// many took it. It never waits for a socket: a subscriber that cannot take the
// frame is not counted, and its connection closes itself. Of two publications
// for a room, one published after the other returned, every subscriber gets
// them in that order.
func (h *Hub) Publish(p *Publication) int {
	h.published.Add(1)
	took, refused := h.deliver(p.App, p)
	if bridges := h.bridges.Load(); bridges != nil {
		t, r := h.cross(*bridges, p)
		took, refused = took+t, refused+r
	}
	h.delivered.Add(uint64(took))
	h.refused.Add(uint64(refused))
	return took
}

// deliver hands p to the subscribers of its room in one app.
func (h *Hub) deliver(appName string, p *Publication) (took, refused int) {
	h.mu.RLock()
	var r *room
	var self *Subscriber
	if a := h.apps[appName]; a != nil {
		if p.Everyone {
			r = a.everyone
		} else {
			r = a.rooms[p.Room]
			self = a.ids[p.Room]
		}
	}
	h.mu.RUnlock()

	if r != nil {
		took, refused = r.deliver(p)
	}
	// The room named by a subscriber's id holds that subscriber by itself.
	if self != nil && (p.Except == "" || self.id != p.Except) && !self.In(p.Room) {
		switch frame := self.encoder.Encode(p); {
		case frame == nil:
		case self.receiver.Deliver(frame):
			took++
		default:
			refused++
		}
	}
	return took, refused
}

// Len returns how many subscribers an app has.
func (h *Hub) Len(appName string) int {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if a := h.apps[appName]; a != nil {
		return len(a.ids)
	}
	return 0
}

// Stats are counts since the hub was made. Delivered and Refused count frames
// taken and not taken by receivers.
type Stats struct {
	Published, Delivered, Refused uint64
}

// Stats returns the counts so far.
func (h *Hub) Stats() Stats {
	return Stats{h.published.Load(), h.delivered.Load(), h.refused.Load()}
}
