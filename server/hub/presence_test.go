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

func TestPresenceCountsUsersNotConnections(t *testing.T) {
	p := NewPresence()
	steps := []struct {
		op, id, info   string
		want           bool // first or last
		connections, n int
		members        string
	}{
		{"add", "a", "1", true, 1, 1, "a=1"},
		{"add", "a", "2", false, 2, 1, "a=1"}, // what was first known of a user stays
		{"add", "", "", false, 3, 1, "a=1"},
		{"add", "b", "3", true, 4, 2, "a=1 b=3"},
		{"remove", "a", "", false, 3, 2, "a=1 b=3"},
		{"remove", "", "", false, 2, 2, "a=1 b=3"},
		{"remove", "a", "", true, 1, 1, "b=3"},
		{"add", "a", "4", true, 2, 2, "a=4 b=3"},
		{"remove", "b", "", true, 1, 1, "a=4"},
		{"remove", "a", "", true, 0, 0, ""},
	}
	for i, s := range steps {
		r := p.Open("app", "room")
		var got bool
		if s.op == "add" {
			got = r.Add(s.id, []byte(s.info))
		} else {
			got = r.Remove(s.id)
		}
		var members []string
		for m := range r.Members {
			members = append(members, m.ID+"="+string(m.Info))
			if !r.Has(m.ID) {
				t.Errorf("step %d: %s is listed and not there", i, m.ID)
			}
		}
		slices.Sort(members)
		if list := strings.Join(members, " "); got != s.want || list != s.members || r.Connections() != s.connections || r.Len() != s.n {
			t.Errorf("step %d: %v with %d connections and %d members %q", i, got, r.Connections(), r.Len(), list)
		}
		r.Close()
		if c, n := p.Count("app", "room"); c != s.connections || n != s.n {
			t.Errorf("step %d: counts %d and %d", i, c, n)
		}
	}
	for i := range p.shelves {
		if n := len(p.shelves[i].apps); n != 0 {
			t.Errorf("%d apps are kept for nobody", n)
		}
	}
}

func TestPresenceRooms(t *testing.T) {
	p := NewPresence()
	for _, at := range []struct{ app, room, id string }{{"x", "r", "a"}, {"x", "r", "b"}, {"x", "s", ""}, {"y", "r", "c"}} {
		r := p.Open(at.app, at.room)
		r.Add(at.id, nil)
		r.Close()
	}
	empty := p.Open("x", "looked at only")
	var got []string
	for c := range p.Rooms("x") {
		got = append(got, fmt.Sprint(c.Room, c.Connections, c.Users))
	}
	empty.Close()
	slices.Sort(got)
	if want := []string{"r2 2", "s1 0"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestPresenceIsUsableWhileRoomsAreListed has somebody write a long list to a slow
// peer: others come and go in every room meanwhile.
func TestPresenceIsUsableWhileRoomsAreListed(t *testing.T) {
	p := NewPresence()
	enter := func(room string) {
		r := p.Open("app", room)
		r.Add("", nil)
		r.Close()
	}
	const rooms = 1000
	for i := range rooms {
		enter(strconv.Itoa(i))
	}
	seen := make(map[string]int)
	for c := range p.Rooms("app") {
		seen[c.Room]++
		if len(seen) == 1 {
			done := make(chan struct{})
			go func() { // ends by itself, unless a lock is held
				defer close(done)
				for i := range rooms {
					enter(strconv.Itoa(i))
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

// TestPresenceListAndJoinAreOneStep has users come and go at once. Each of their
// connections starts from the list it was given and then follows what it is told;
// in the end that must be who is there, whatever happened in between.
func TestPresenceListAndJoinAreOneStep(t *testing.T) {
	h, p, k := New(), NewPresence(), &kind{}
	enter := func(s *Subscriber, id string) {
		r := p.Open("", "r")
		defer r.Close()
		first := r.Add(id, nil)
		var ids []string
		for m := range r.Members {
			ids = append(ids, m.ID)
		}
		if err := h.Join(s, "r", []byte("="+strings.Join(ids, ","))); err != nil {
			t.Error(err)
		}
		if first {
			h.Publish(&Publication{Room: "r", Event: "+" + id, Except: s.ID()})
		}
	}
	leave := func(s *Subscriber, id string) {
		r := p.Open("", "r")
		defer r.Close()
		h.Leave(s, "r")
		if r.Remove(id) {
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
	if c, n := p.Count("", "r"); c != len(stay) || n != len(stay)/2 {
		t.Errorf("%d connections of %d users", c, n)
	}
	if err := h.check(); err != nil {
		t.Error(err)
	}
}

func BenchmarkPresenceJoinLeave(b *testing.B) {
	p := NewPresence()
	b.ReportAllocs()
	for b.Loop() {
		r := p.Open("app", "room")
		r.Add("a", nil)
		r.Close()
		r = p.Open("app", "room")
		r.Remove("a")
		r.Close()
	}
}
