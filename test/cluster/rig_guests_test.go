//go:build unix

package cluster

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
)

// A guest is one connection of a client, with a seat in each of its rooms.
type guest struct {
	r    *rig
	name string
	id   string // by which it is left out
	as   string // the user or id of an application, that is sent away by it
	node int
	born int64 // when it began to connect, or later, by the clock
	link *link
	own  atomic.Bool   // it ends because its client wants that
	gone chan struct{} // closed when it has ended

	mu    sync.Mutex // guards what follows
	seats map[string]*seat
	told  string // what the server said last of why it ends
	why   error  // it has ended
	keeps bool   // its client is to go on where it was
	last  string // the position of what came last, of a stream
}

func (r *rig) guest(kind string, node int, id string, l *link) *guest {
	return &guest{r: r, name: r.name(kind, node), id: id, node: node, born: r.truth.tick(), link: l, gone: make(chan struct{}), seats: make(map[string]*seat)}
}

// sit gives it a seat, unless it has one.
func (g *guest) sit(room string) *seat {
	g.mu.Lock()
	defer g.mu.Unlock()
	if s := g.seats[room]; s != nil {
		return s
	}
	s := g.r.truth.sit(room, g.name, g.id)
	g.seats[room] = s
	if g.why != nil { // or it would outlive it
		g.r.truth.rise(s)
	}
	return s
}

// heard notes a text that came.
func (g *guest) heard(text string) {
	g.mu.Lock()
	s := g.seats[roomOf(text)]
	g.mu.Unlock()
	if s == nil {
		g.r.truth.stray(g.name, text)
		return
	}
	g.r.truth.heard(s, text)
}

// over notes that it has ended. Its reader calls it, last.
func (g *guest) over(why error) {
	g.mu.Lock()
	since := int64(0)
	leaves := g.r.truth.rise
	if g.keeps {
		leaves = g.r.truth.cut
	}
	for _, s := range g.seats {
		since = max(since, leaves(s))
	}
	if g.told != "" {
		why = fmt.Errorf("%w, told %s", why, g.told)
	}
	g.why = why
	g.mu.Unlock()
	if !g.own.Load() && !g.sentAway(why) {
		g.r.ended(g.name, g.node, since, why)
	}
	g.link.close()
	close(g.gone)
}

// here reports whether it is connected.
func (g *guest) here() bool {
	if g == nil {
		return false
	}
	select {
	case <-g.gone:
		return false
	default:
		return true
	}
}

// end ends it and waits until its reader has.
func (g *guest) end() {
	if g == nil {
		return
	}
	g.own.Store(true)
	g.link.close()
	<-g.gone
}

// pooshRooms are those of POST /send.
var pooshRooms = []string{"r0", "r1", "r2", "r3"}

// A pooshSlot is a client of socket.io 4, or of a stream of events, that comes and goes. Its worker
// alone changes it.
type pooshSlot struct {
	r      *rig
	stream bool
	stays  bool // connects anew to its node when it has to, and is in all rooms
	node   int
	now    atomic.Pointer[guest]
}

func (s *pooshSlot) end() { s.now.Load().end() }

// act does something that such a client may do.
func (s *pooshSlot) act(dice *rand.Rand) {
	g := s.now.Load()
	if !g.here() {
		s.connect(dice)
		return
	}
	switch n := dice.IntN(60); {
	case s.stays:
	case n == 0:
		g.end()
	case n < 4 && !s.stream:
		room := pooshRooms[dice.IntN(len(pooshRooms))]
		g.sit(room)
		g.link.emit("room", room)
	}
}

func (s *pooshSlot) connect(dice *rand.Rand) {
	at, rooms := s.node, pooshRooms
	if !s.stays {
		at, rooms = dice.IntN(len(s.r.nodes)), []string{pooshRooms[dice.IntN(len(pooshRooms))]}
	}
	if s.stream {
		s.listens(at, rooms)
		return
	}
	n := s.r.nodes[at]
	l, sid, err := dialEngine(n.at(n.Port))
	if err != nil {
		return
	}
	g := s.begin("socket", at, sid, l, rooms)
	go func() { // ends with the connection
		g.over(l.engine(func(_ string, args []json.RawMessage) {
			var text string
			if len(args) > 0 && json.Unmarshal(args[0], &text) == nil {
				g.heard(text)
			}
		}))
	}()
	for _, room := range rooms {
		l.emit("room", room)
	}
}

func (s *pooshSlot) begin(kind string, at int, id string, l *link, rooms []string) *guest {
	g := s.r.guest(kind, at, id, l)
	g.sit(everyone)
	for _, room := range rooms {
		g.sit(room)
	}
	s.now.Store(g)
	return g
}

// sendSome sends to a room or to everyone, and sometimes leaves somebody out.
func (r *rig) sendSome(dice *rand.Rand) {
	room, except := everyone, ""
	if dice.IntN(8) > 0 {
		room = pooshRooms[dice.IntN(len(pooshRooms))]
	}
	if g := r.poosh[dice.IntN(len(r.poosh))].now.Load(); dice.IntN(5) == 0 && g.here() {
		except = g.id
	}
	r.sends(r.anyNode(dice), room, except)
}
