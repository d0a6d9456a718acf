package hub

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestRosterCountsUsersNotConnections(t *testing.T) {
	h, k := New(), &kind{}
	subs := make(map[string]*Subscriber)
	steps := []struct {
		op, by, id, info string
		want             bool // first or last
		connections, n   int
		members          string
	}{
		{"join", "1", "a", "1", true, 1, 1, "a=1"},
		{"join", "1", "a", "9", false, 1, 1, "a=1"}, // is there already
		{"join", "2", "a", "2", false, 2, 1, "a=1"}, // what was first known of a user stays
		{"join", "3", "", "", false, 3, 1, "a=1"},
		{"join", "4", "b", "3", true, 4, 2, "a=1 b=3"},
		{"leave", "1", "a", "", false, 3, 2, "a=1 b=3"},
		{"leave", "1", "a", "", false, 3, 2, "a=1 b=3"}, // has left already
		{"leave", "3", "", "", false, 2, 2, "a=1 b=3"},
		{"leave", "2", "a", "", true, 1, 1, "b=3"},
		{"join", "1", "a", "4", true, 2, 2, "a=4 b=3"},
		{"leave", "4", "b", "", true, 1, 1, "a=4"},
		{"leave", "1", "a", "", true, 0, 0, ""},
	}
	for i, step := range steps {
		s := subs[step.by]
		if s == nil {
			s = h.Register("app", step.by, 1, k, &inbox{})
			subs[step.by] = s
		}
		r := h.Open("app", "room")
		var got bool
		if step.op == "join" {
			var err error
			if got, err = r.Join(s, Member{step.id, []byte(step.info)}); err != nil {
				t.Fatal(err)
			}
		} else {
			_, got = r.Leave(s, step.id)
		}
		var members []string
		for m := range r.Members {
			members = append(members, m.ID+"="+string(m.Info))
			if !r.Has(m.ID) {
				t.Errorf("step %d: %s is listed and not there", i, m.ID)
			}
		}
		slices.Sort(members)
		if list := strings.Join(members, " "); got != step.want || list != step.members || r.Connections() != step.connections || r.Len() != step.n {
			t.Errorf("step %d: %v with %d connections and %d members %q", i, got, r.Connections(), r.Len(), list)
		}
		r.Close()
		if c, n := h.Count("app", "room"); c != step.connections || n != step.n {
			t.Errorf("step %d: counts %d and %d", i, c, n)
		}
		if err := h.check(); err != nil {
			t.Errorf("step %d: %v", i, err)
		}
	}
	for _, s := range subs {
		h.Unregister(s)
	}
	empty(t, h)
}

// A subscriber that is refused is no member, and its room is not kept.
func TestRosterRefused(t *testing.T) {
	h := New()
	s := h.Register("", "s", 0, &kind{}, &inbox{})
	r := h.Open("", "r")
	if first, err := r.Join(s, Member{ID: "a"}); first || err != ErrTooManyRooms || r.Has("a") || r.Connections() != 0 {
		t.Errorf("%v, %v with %d connections", first, err, r.Connections())
	}
	h.Unregister(s)
	if first, err := r.Join(s, Member{ID: "a"}); first || err != ErrClosed || r.Len() != 0 {
		t.Errorf("%v, %v with %d members", first, err, r.Len())
	}
	r.Close()
	empty(t, h)
}

// A room that is open outlives its last subscriber, with what is known of it.
func TestOpenRoomStays(t *testing.T) {
	h, k := New(), &kind{}
	r := h.Open("", "r")
	var b inbox
	for range 3 {
		s := h.Register("", "s", 1, k, &b)
		if first, err := r.Join(s, Member{ID: "a"}, []byte("hello")); !first || err != nil {
			t.Fatal(first, err)
		}
		h.Publish(&Publication{Room: "r", Event: "e"})
		if was, last := r.Leave(s, "a"); !was || !last {
			t.Fatal(was, last)
		}
		h.Unregister(s)
	}
	r.Close()
	if got := b.got(); got != "hello e hello e hello e" {
		t.Errorf("received %q", got)
	}
	empty(t, h)
}

func TestRooms(t *testing.T) {
	h, k := New(), &kind{}
	for i, at := range []struct{ app, room, id string }{{"x", "r", "a"}, {"x", "r", "b"}, {"x", "s", ""}, {"y", "r", "c"}} {
		r := h.Open(at.app, at.room)
		if _, err := r.Join(h.Register(at.app, strconv.Itoa(i), 1, k, &inbox{}), Member{ID: at.id}); err != nil {
			t.Fatal(err)
		}
		r.Close()
	}
	if err := h.Join(h.Register("x", "4", 1, k, &inbox{}), "never opened"); err != nil {
		t.Fatal(err)
	}
	looked := h.Open("x", "looked at only")
	var got []string
	for c := range h.Rooms("x") {
		got = append(got, fmt.Sprint(c.Room, c.Connections, c.Users))
	}
	looked.Close()
	slices.Sort(got)
	if want := []string{"never opened1 0", "r2 2", "s1 0"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestHubIsUsableWhileRoomsAreListed has somebody write a long list to a slow
// peer: others come and go in every room meanwhile.
func TestHubIsUsableWhileRoomsAreListed(t *testing.T) {
	h, k := New(), &kind{}
	const rooms = 1000
	enter := func(s *Subscriber, room string) {
		r := h.Open("app", room)
		defer r.Close()
		if _, err := r.Join(s, Member{}); err != nil {
			t.Error(err)
		}
	}
	first := h.Register("app", "first", rooms, k, &inbox{})
	second := h.Register("app", "second", rooms, k, &inbox{})
	for i := range rooms {
		enter(first, strconv.Itoa(i))
	}
	seen := make(map[string]int)
	for c := range h.Rooms("app") {
		seen[c.Room]++
		if len(seen) == 1 {
			done := make(chan struct{})
			go func() { // ends by itself, unless a lock is held
				defer close(done)
				for i := range rooms {
					enter(second, strconv.Itoa(i))
				}
			}()
			select {
			case <-done:
			case <-time.After(5 * time.Second):
				t.Fatal("nobody can enter a room while rooms are listed")
			}
		}
	}
	for room, n := range seen {
		if n != 1 {
			t.Errorf("room %s is listed %d times", room, n)
		}
	}
	if len(seen) != rooms {
		t.Errorf("%d of %d rooms are listed", len(seen), rooms)
	}
}

// TestPublishDoesNotWaitForATurn publishes to a room that somebody else has open.
func TestPublishDoesNotWaitForATurn(t *testing.T) {
	h := New()
	var b inbox
	if err := h.Join(h.Register("", "s", 1, &kind{}, &b), "r"); err != nil {
		t.Fatal(err)
	}
	r := h.Open("", "r")
	defer r.Close()
	done := make(chan struct{})
	go func() { // ends by itself, unless it waits for the turn
		defer close(done)
		h.Publish(&Publication{Room: "r", Event: "e"})
		h.Publish(&Publication{Everyone: true, Event: "f"})
	}()
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		t.Fatal("a publication waits for who has the room open")
	}
	if got := b.got(); got != "e f" {
		t.Errorf("received %q", got)
	}
}

// TestListAndJoinAreOneStep has users come and go at once. Each of their
// connections starts from the list it was given and then follows what it is told;
// in the end that must be who is there, whatever happened in between.
func TestListAndJoinAreOneStep(t *testing.T) {
	h, k := New(), &kind{}
	enter := func(s *Subscriber, id string) {
		r := h.Open("", "r")
		defer r.Close()
		ids := []string{id}
		for m := range r.Members {
			if m.ID != id {
				ids = append(ids, m.ID)
			}
		}
		first, err := r.Join(s, Member{ID: id}, []byte("="+strings.Join(ids, ",")))
		if err != nil {
			t.Error(err)
		}
		if first {
			h.Publish(&Publication{Room: "r", Event: "+" + id, Except: s.ID()})
		}
	}
	leave := func(s *Subscriber, id string) {
		r := h.Open("", "r")
		defer r.Close()
		if _, last := r.Leave(s, id); last {
			h.Publish(&Publication{Room: "r", Event: "-" + id})
		}
	}
	stay := make([]*inbox, 20)
	var wg sync.WaitGroup
	for w := range stay {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(w), 2))
			id := "user" + strconv.Itoa(w/2) // two connections each
			for i := range 60 {
				b := &inbox{}
				s := h.Register("", fmt.Sprintf("%d-%d", w, i), 1, k, b)
				enter(s, id)
				if i == 59 {
					stay[w] = b
					return
				}
				if rnd.IntN(2) == 0 {
					leave(s, id)
					enter(s, id)
				}
				leave(s, id)
				h.Unregister(s)
			}
		})
	}
	wg.Wait()
	for w, b := range stay {
		seen := make(map[string]bool)
		for i, step := range b.frames {
			id := step[1:]
			switch {
			case (i == 0) != (step[0] == '='):
				t.Fatalf("connection %d: step %d is %q", w, i, step)
			case step[0] == '=':
				for id := range strings.SplitSeq(id, ",") {
					seen[id] = true
				}
			case seen[id] == (step[0] == '+'):
				t.Fatalf("connection %d: %q when that was so already", w, step)
			default:
				seen[id] = step[0] == '+'
			}
		}
		for u := range len(stay) / 2 {
			if id := "user" + strconv.Itoa(u); !seen[id] {
				t.Errorf("connection %d misses %s in %q", w, id, b.got())
			}
		}
	}
	if c, n := h.Count("", "r"); c != len(stay) || n != len(stay)/2 {
		t.Errorf("%d connections of %d users", c, n)
	}
	if err := h.check(); err != nil {
		t.Error(err)
	}
}
