package hub

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
)

// churner comes and goes in every way the hub knows.
type churner struct {
	h    *Hub
	t    *testing.T
	app  string
	rnd  *rand.Rand
	kind Encoder
	sub  *Subscriber
	in   map[string]string // opened rooms: the user's id in each
	n    int
	name string
}

func (c *churner) register() {
	c.n++
	c.sub = c.h.Register(c.app, fmt.Sprintf("%s-%d", c.name, c.n), 40, c.kind, &inbox{})
	c.in = make(map[string]string)
}

// step does one thing.
func (c *churner) step() {
	plain, opened := strconv.Itoa(c.rnd.IntN(12)), "open"+strconv.Itoa(c.rnd.IntN(4))
	switch c.rnd.IntN(8) {
	case 0:
		c.h.Leave(c.sub, plain)
	case 1:
		c.h.Publish(&Publication{App: c.app, Room: plain, Event: "e", Everyone: c.rnd.IntN(4) == 0})
	case 2:
		c.h.Publish(&Publication{App: c.app, Room: opened, Event: "e"})
	case 3, 4:
		c.enterOrLeave(opened)
	case 5:
		c.replace(plain)
	case 6:
		for range c.h.Rooms(c.app) {
		}
		c.h.Count(c.app, opened)
		c.h.Members(c.app, opened)
	default:
		if err := c.h.Join(c.sub, plain, []byte("welcome")); err != nil {
			c.t.Error(err)
		}
	}
}

// open takes a room's turn in each way that there is.
func (c *churner) open(room string) *Roster {
	switch c.rnd.IntN(3) {
	case 0:
		if r := c.h.TryOpen(c.app, room); r != nil {
			return r
		}
	case 1:
		opened := make(chan *Roster)
		c.h.Queue(c.app, room, func(r *Roster) { opened <- r })
		return <-opened
	}
	return c.h.Open(c.app, room)
}

func (c *churner) enterOrLeave(room string) {
	r := c.open(room)
	defer r.Close()
	id, is := c.in[room]
	if is {
		if was, _ := r.Leave(c.sub, id); !was {
			c.t.Errorf("was not in %s", room)
		}
		delete(c.in, room)
		return
	}
	id = []string{"", "a", "b", "c"}[c.rnd.IntN(4)]
	has := r.Has(id)
	first, err := r.Join(c.sub, Member{ID: id}, []byte("welcome"))
	if err != nil || first != (id != "" && !has) {
		c.t.Errorf("first %v of %q who was there %v: %v", first, id, has, err)
	}
	c.in[room] = id
}

// replace goes on with a new subscriber that has one of the old one's rooms.
func (c *churner) replace(room string) {
	old, in := c.sub, c.in
	c.register()
	if err := c.h.Replace(old, c.sub, room); err != nil {
		c.t.Error(err)
	}
	if old.In(room) || !c.sub.In(room) {
		c.t.Errorf("%s was not handed over", room)
	}
	c.end(old, in)
}

// end takes a subscriber out of everything.
func (c *churner) end(s *Subscriber, in map[string]string) {
	for room, id := range in {
		r := c.h.Open(c.app, room)
		r.Leave(s, id)
		r.Close()
	}
	c.h.Unregister(s)
}

// TestChurn joins, leaves, opens, publishes, replaces and closes at once, with bridges
// and both seams, while somebody looks whether every room agrees with itself; in the
// end all must agree with all and nothing be left.
func TestChurn(t *testing.T) {
	for _, seams := range []bool{false, true} {
		t.Run(fmt.Sprint("seams=", seams), func(t *testing.T) {
			h := New()
			var b *broker
			if seams {
				b = &broker{t: t, occupied: make(map[string]bool)}
				h = NewWith(b, new(log))
				b.hubs = []*Hub{h}
			}
			yes := func(*Publication) bool { return true }
			h.Bridge("app0", "app1", yes)
			h.Bridge("app1", "app0", yes)
			kinds := []*kind{{prefix: "x"}, {prefix: "y"}, {prefix: "z"}}
			stop := meanwhile(t, func(int) {
				if err := h.Check(); err != nil {
					t.Error(err)
				}
			})
			var wg sync.WaitGroup
			var stay sync.Mutex // guards left
			var left []func()
			for w := range 8 {
				wg.Go(func() {
					c := &churner{h: h, t: t, app: "app" + strconv.Itoa(w%2), rnd: rand.New(rand.NewPCG(uint64(w), 1)), name: strconv.Itoa(w)}
					if w%4 != 3 {
						c.kind = kinds[w%len(kinds)] // else it is rung
					}
					for i := range 100 {
						c.register()
						for range 20 {
							c.step()
						}
						if i%10 != 0 {
							c.end(c.sub, c.in)
							continue
						}
						s, in := c.sub, c.in
						stay.Lock()
						left = append(left, func() { c.end(s, in) })
						stay.Unlock()
					}
				})
			}
			wg.Wait()
			stop()
			if err := h.check(); err != nil {
				t.Error(err)
			}
			if n := h.Len("app0") + h.Len("app1"); n != len(left) {
				t.Errorf("%d subscribers, want %d", n, len(left))
			}
			for _, end := range left {
				end()
			}
			empty(t, h)
			if b != nil && len(b.occupied) != 0 {
				t.Errorf("the broker believes in %v", b.occupied)
			}
		})
	}
}

// TestReplaceIsOneStep publishes to a room whose one place goes from subscriber to
// subscriber: each publication reaches one of them.
func TestReplaceIsOneStep(t *testing.T) {
	h := New()
	kinds := []*kind{{prefix: "x"}, {prefix: "y"}}
	s := h.Register("", "0", 1, kinds[0], &inbox{})
	if err := h.Join(s, "r"); err != nil {
		t.Fatal(err)
	}
	stop := meanwhile(t, func(int) {
		if took := h.Publish(&Publication{Room: "r", Event: "e"}); took != 1 {
			t.Errorf("%d took it", took)
		}
	})
	for i := range 2000 {
		next := h.Register("", strconv.Itoa(i+1), 1, kinds[i/3%2], &inbox{})
		if err := h.Replace(s, next, "r"); err != nil {
			t.Fatal(err)
		}
		h.Unregister(s)
		s = next
	}
	stop()
	if err := h.check(); err != nil {
		t.Error(err)
	}
	h.Unregister(s)
	empty(t, h)
}

func TestReplace(t *testing.T) {
	h, k := New(), &kind{}
	a, b, full := h.Register("", "a", 1, k, &inbox{}), h.Register("", "b", 1, k, &inbox{}), h.Register("", "full", 0, k, &inbox{})
	// old is not there: a plain join.
	if err := h.Replace(a, b, "r"); err != nil || !b.In("r") {
		t.Errorf("%v, in %v", err, b.Rooms())
	}
	// who has the place is refused in the end, and the old one has left.
	if err := h.Replace(b, full, "r"); err != ErrTooManyRooms || b.In("r") || full.In("r") {
		t.Errorf("%v, in %v and %v", err, b.Rooms(), full.Rooms())
	}
	// the newcomer is there already: one seat.
	for _, s := range []*Subscriber{a, b} {
		if err := h.Join(s, "r"); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.Replace(a, b, "r"); err != nil || a.In("r") {
		t.Errorf("%v, in %v", err, a.Rooms())
	}
	if c, _ := h.Count("", "r"); c != 1 {
		t.Errorf("%d in the room", c)
	}
	h.Unregister(a)
	// of two that are gone, nobody.
	if err := h.Replace(b, a, "r"); err != ErrClosed || b.In("r") {
		t.Errorf("%v, in %v", err, b.Rooms())
	}
	for _, s := range []*Subscriber{b, full} {
		h.Unregister(s)
	}
	empty(t, h)
}

// A room of one app has no place for a subscriber of another, and nobody has moved.
func TestReplaceAcrossApps(t *testing.T) {
	h, k := New(), &kind{}
	a, b := h.Register("one", "a", 1, k, &inbox{}), h.Register("two", "b", 1, k, &inbox{})
	if err := h.Join(a, "r"); err != nil {
		t.Fatal(err)
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("a place went to another app")
			}
		}()
		_ = h.Replace(a, b, "r")
	}()
	if !a.In("r") || b.In("r") {
		t.Errorf("in %v and %v", a.Rooms(), b.Rooms())
	}
	h.Unregister(a)
	h.Unregister(b)
	empty(t, h)
}

// elsewhere moves a room to a shard that is not its own.
func elsewhere(h *Hub, r *room) {
	right := h.shard("app", "r")
	delete(right.rooms, "app")
	for i := range h.shards {
		if s := &h.shards[i]; s != right {
			s.rooms["app"] = map[string]*room{"r": r}
			return
		}
	}
}

// TestCheckFindsWhatIsWrong breaks one thing after the other.
func TestCheckFindsWhatIsWrong(t *testing.T) {
	breaks := map[string]func(h *Hub, s *Subscriber, r *room){
		"a count":        func(_ *Hub, _ *Subscriber, r *room) { r.count.Add(1) },
		"an index":       func(_ *Hub, s *Subscriber, _ *room) { s.seats[0].index++ },
		"a seat's room":  func(h *Hub, s *Subscriber, r *room) { s.seats[0].room = newRoom("r") },
		"an empty group": func(_ *Hub, _ *Subscriber, r *room) { r.first.Load().next.Store(&group{encoder: none{}}) },
		"a kind twice": func(_ *Hub, _ *Subscriber, r *room) {
			r.first.Load().next.Store(&group{encoder: r.one.encoder, seats: r.one.seats})
		},
		"a room that is over": func(_ *Hub, _ *Subscriber, r *room) { r.over = true },
		"a seat unknown":      func(_ *Hub, s *Subscriber, _ *room) { s.seats = nil },
		"a seat too many":     func(_ *Hub, s *Subscriber, _ *room) { s.maxRooms = 0 },
		"a stale seat":        func(_ *Hub, s *Subscriber, r *room) { s.seats = append(s.seats, &seat{sub: s, room: newRoom("x")}) },
		"a stale index":       func(_ *Hub, s *Subscriber, _ *room) { s.byRoom = map[string]*seat{} },
		"one who has left":    func(_ *Hub, s *Subscriber, _ *room) { s.gone = true },
		"a name":              func(_ *Hub, _ *Subscriber, r *room) { r.name = "s" },
		"a room for nobody":   func(h *Hub, _ *Subscriber, _ *room) { h.shard("app", "nobody").open("app", "nobody") },
		"an app with no room": func(h *Hub, _ *Subscriber, _ *room) { h.shards[0].rooms["nobody"] = map[string]*room{} },
		"a room elsewhere":    func(h *Hub, _ *Subscriber, r *room) { elsewhere(h, r) },
		"a holder":            func(_ *Hub, _ *Subscriber, r *room) { r.roster.Load().holders++ },
		"a member's name":     func(_ *Hub, _ *Subscriber, r *room) { r.roster.Load().people.list[0].ID = "b" },
		"a member by name":    func(_ *Hub, _ *Subscriber, r *room) { clear(r.roster.Load().people.byID) },
		"a member's count":    func(_ *Hub, _ *Subscriber, r *room) { r.roster.Load().people.list[0].connections = 0 },
		"members' count":      func(_ *Hub, _ *Subscriber, r *room) { r.roster.Load().people.list[0].connections++ },
		"a member too many":   func(_ *Hub, _ *Subscriber, r *room) { r.roster.Load().members.Add(1) },
		"a member left behind": func(h *Hub, s *Subscriber, r *room) {
			turn := h.Open("app", "r")
			_, _ = turn.Join(h.Register("app", "t", 1, nil, &bell{}), Member{ID: "b"})
			turn.Close()
			h.Leave(s, "r")
		},
	}
	for name, damage := range breaks {
		t.Run(name, func(t *testing.T) {
			h, k := New(), &kind{}
			s := h.Register("app", "s", 1, k, &inbox{})
			r := h.Open("app", "r")
			if _, err := r.Join(s, Member{ID: "a"}); err != nil {
				t.Fatal(err)
			}
			r.Close()
			if err := h.check(); err != nil {
				t.Fatal(err)
			}
			damage(h, s, h.shard("app", "r").find("app", "r", false))
			if err := h.check(); err == nil {
				t.Error("nothing was found")
			}
		})
	}
}
