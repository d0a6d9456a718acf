package hub

import (
	"slices"
	"sync"
	"testing"
	"time"
)

// Who does not get a room's turn is not kept: what it wants done is done later, in the
// order in which it was left behind.
func TestTurnIsNotWaitedFor(t *testing.T) {
	h := New()
	s := h.Register("", "s", 10, &kind{}, &inbox{})
	r := h.TryOpen("", "r")
	if r == nil {
		t.Fatal("a room that nobody has is not to be had")
	}
	if h.TryOpen("", "r") != nil {
		t.Fatal("a room is had by two")
	}
	other := h.TryOpen("", "other")
	if other == nil {
		t.Fatal("a room waits for another")
	}
	other.Close()
	if _, err := r.Join(s, Member{ID: "a"}); err != nil {
		t.Fatal(err)
	}
	const steps = 10
	did := make(chan int, steps)
	var closing sync.WaitGroup // Close passes the turn on before it lets go of the room
	closing.Add(steps)
	for i := range steps {
		h.Queue("", "r", func(r *Roster) {
			did <- i
			end := func() {
				defer closing.Done()
				r.Close()
			}
			if i%2 == 0 {
				end()
				return
			}
			time.AfterFunc(time.Millisecond, end) // its goroutine goes, the turn stays
		})
	}
	if members := h.Members("", "r"); len(did) > 0 || len(members) != 1 || members[0].ID != "a" {
		t.Errorf("%d steps in the turn of another, members %v", len(did), members)
	}
	r.Leave(s, "a")
	h.Unregister(s)
	r.Close()
	var got []int
	for range steps {
		got = append(got, <-did)
	}
	if !slices.IsSorted(got) {
		t.Errorf("steps came in the order %v", got)
	}
	h.Open("", "r").Close()
	closing.Wait()
	empty(t, h)
}

func TestMembersOfNobody(t *testing.T) {
	h := New()
	if m := h.Members("", "r"); m != nil {
		t.Error(m)
	}
	if err := h.Join(h.Register("", "s", 1, &kind{}, &inbox{}), "r"); err != nil {
		t.Fatal(err)
	}
	if m := h.Members("", "r"); m != nil {
		t.Error(m)
	}
}
