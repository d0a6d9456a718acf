package hub

import (
	"errors"
	"math"
	"slices"
	"sync"
)

// Errors that Join returns.
var (
	ErrTooManyRooms = errors.New("subscriber is in as many rooms as it may join")
	ErrClosed       = errors.New("subscriber has left the hub")
)

// A Subscriber is one connection's seat in an app and in the rooms it joined.
type Subscriber struct {
	id       string  // set once, with what follows
	encoder  Encoder // but this one, which is guarded by mu; see [Hub.Recover]
	receiver Receiver
	all      seat // among all subscribers of the app
	maxRooms int32

	gone   bool // guarded by mu, as what follows it
	mu     sync.Mutex
	seats  []*seat          // one for each joined room
	byRoom map[string]*seat // nil while there are few
}

// indexAfter is how many rooms a subscriber may be in before it keeps a map of
// them: most are in one or two, and a map costs more than they do.
const indexAfter = 16

// ID returns the id the subscriber was registered with.
func (s *Subscriber) ID() string { return s.id }

// appName is the name of the room that all subscribers of the app are in.
func (s *Subscriber) appName() string { return s.all.room.name }

// isEveryone reports whether a seat is one among all subscribers of the app.
func (st *seat) isEveryone() bool { return st == &st.sub.all }

// Register seats a connection in an app: a publication to everyone reaches it from
// now on. maxRooms bounds the rooms it may join. The id is what publications name
// that except somebody; no publication reaches it by that.
//
// Without an encoder the receiver is rung: for each publication Deliver is called
// with nil. That is for parts of the program that want to know that there was one.
//
// Everything the receiver needs must be ready: the first Deliver may come
// before Register returns.
func (h *Hub) Register(app, id string, maxRooms int, enc Encoder, recv Receiver) *Subscriber {
	s := &Subscriber{id: id, maxRooms: int32(min(maxRooms, math.MaxInt32)), encoder: enc, receiver: recv}
	s.all.sub = s
	at := h.shardOfEveryone(app)
	for {
		r := at.openEveryone(app)
		if h.add(r, &s.all, nil, nil) {
			return s
		}
		at.forget(app, r) // its last subscriber left in between
	}
}

// Unregister takes a subscriber out of all its rooms and its app. A second call
// does nothing. After it returns no new Deliver begins. Who is a member of a room
// must have left that by its [Roster].
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

	h.note(s, seats, true)
	for _, st := range seats {
		h.remove(st)
	}
	h.remove(&s.all)
}

// Join seats a subscriber in a room. Joining again changes nothing. It returns
// [ErrTooManyRooms] at the bound given to Register, [ErrClosed] after
// Unregister.
//
// The frames of welcome are delivered to the newcomer as it is seated, before
// anything that is published to the room.
func (h *Hub) Join(s *Subscriber, name string, welcome ...[]byte) error {
	_, err := h.join(s, name, nil, nil, welcome)
	return err
}

// Replace seats a subscriber in a room in the place of another, in one step: each
// publication reaches one of the two. Where old is not in the room, it is [Hub.Join].
// It returns the errors of Join; then nobody has the place. It panics for two of different
// apps, whose rooms are never the same.
func (h *Hub) Replace(old, s *Subscriber, name string) error {
	if old.appName() != s.appName() {
		panic("hub: a place in a room of one app for a subscriber of another")
	}
	old.mu.Lock()
	st := old.detach(name)
	old.mu.Unlock()
	joined, err := h.join(s, name, nil, st, nil)
	if st != nil && !joined {
		h.remove(st)
	}
	return err
}

// join seats a subscriber in a room, which is looked for unless the caller has it open,
// and in the place of a detached seat unless old is nil. It reports false for one who
// is there already, and with every error.
func (h *Hub) join(s *Subscriber, name string, opened *room, old *seat, welcome [][]byte) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.gone:
		return false, ErrClosed
	case s.seatIn(name) != nil:
		return false, nil
	case len(s.seats) >= int(s.maxRooms):
		return false, ErrTooManyRooms
	}
	st := &seat{sub: s}
	if opened == nil || !h.add(opened, st, old, welcome) {
		h.place(st, name, old, welcome)
	}
	s.attach(st)
	return true, nil
}

// place gives a seat a room of its app.
func (h *Hub) place(st *seat, name string, old *seat, welcome [][]byte) {
	app := st.sub.appName()
	for at := h.shard(app, name); ; {
		r := at.open(app, name)
		if h.add(r, st, old, welcome) {
			return
		}
		at.forget(app, r) // its last subscriber left in between
	}
}

// attach keeps a seat. Subscriber.mu is held.
func (s *Subscriber) attach(st *seat) {
	s.seats = append(s.seats, st)
	switch {
	case s.byRoom != nil:
		s.byRoom[st.room.name] = st
	case len(s.seats) >= indexAfter:
		s.byRoom = make(map[string]*seat, 2*len(s.seats))
		for _, st := range s.seats {
			s.byRoom[st.room.name] = st
		}
	}
}

// detach gives up the seat in a room without leaving it, and returns it, or nil.
// Subscriber.mu is held.
func (s *Subscriber) detach(name string) *seat {
	st := s.seatIn(name)
	if st == nil {
		return nil
	}
	i, last := slices.Index(s.seats, st), len(s.seats)-1
	s.seats[i] = s.seats[last]
	s.seats[last] = nil
	s.seats = s.seats[:last]
	delete(s.byRoom, name)
	return st
}

// Leave takes a subscriber out of a room; out of one it is not in, it does
// nothing. It reports whether the subscriber was there. Who is a member of the room
// leaves by its [Roster].
func (h *Hub) Leave(s *Subscriber, name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.detach(name)
	if st == nil {
		return false
	}
	h.note(s, []*seat{st}, false)
	h.remove(st)
	return true
}

// seatIn finds the seat in a joined room, or nil. Subscriber.mu is held.
func (s *Subscriber) seatIn(name string) *seat {
	if s.byRoom != nil {
		return s.byRoom[name]
	}
	for _, st := range s.seats {
		if st.room.name == name {
			return st
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
	if len(s.seats) == 0 {
		return nil
	}
	names := make([]string, 0, len(s.seats))
	for _, st := range s.seats {
		names = append(names, st.room.name)
	}
	return names
}

// Len returns how many subscribers an app has.
func (h *Hub) Len(app string) int {
	if r := h.shardOfEveryone(app).find(app, "", true); r != nil {
		return int(r.count.Load())
	}
	return 0
}
