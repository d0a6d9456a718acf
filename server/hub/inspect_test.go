package hub

import (
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
)

// Everybody of an app is found, in steps, whatever kind they are.
func TestSubscribers(t *testing.T) {
	h := New()
	kinds := []Encoder{&fixed{}, &fixed{}, nil}
	want := make(map[string]bool)
	for i := range 3*crowdStep + 7 {
		id := strconv.Itoa(i)
		h.Register("app", id, 1, kinds[i%3], &drain{})
		want[id] = true
	}
	h.Register("other", "stranger", 1, nil, &drain{})
	for s := range h.Subscribers("app") {
		if !want[s.ID()] {
			t.Fatalf("%s is there twice, or not of the app", s.ID())
		}
		delete(want, s.ID())
	}
	if len(want) > 0 {
		t.Errorf("%d are missing", len(want))
	}
	for range h.Subscribers("app") {
		break
	}
	for range h.Subscribers("nobody") {
		t.Error("somebody of an app that is not there")
	}
}

// Looking goes on while everybody comes and goes.
func TestLookingWhileOthersComeAndGo(t *testing.T) {
	h := New()
	var coming sync.WaitGroup
	for i := range 4 {
		coming.Go(func() {
			for n := range 500 {
				s := h.Register("app", fmt.Sprint(i, n), 2, &fixed{}, &drain{})
				_ = h.Join(s, s.ID())
				_ = h.Join(s, "all")
				if n%2 == 0 {
					h.Unregister(s)
				}
			}
		})
	}
	over := make(chan struct{})
	go func() { coming.Wait(); close(over) }()
	for done := false; !done; {
		select {
		case <-over:
			done = true
		default:
		}
		for s := range h.Subscribers("app") {
			s.SomeRooms(5)
		}
		h.Seated("app", "all", 100)
		h.Look("app", 100, func(r SeenRoom) bool { r.IsOwn(); return true })
	}
	n := 0
	for range h.Subscribers("app") {
		n++
	}
	if n != 1000 || h.check() != nil {
		t.Errorf("%d are there, %v", n, h.check())
	}
}

func TestSeatedAndFound(t *testing.T) {
	h := New()
	own := h.Register("app", "own", 10, &fixed{}, &drain{})
	guest := h.Register("app", "guest", 10, &fixed{}, &drain{})
	for _, room := range []string{"own", "a", "b"} {
		_ = h.Join(own, room)
	}
	_ = h.Join(guest, "a")
	if some, of := h.Seated("app", "a", 1); len(some) != 1 || of.Connections != 2 {
		t.Errorf("%d of %d", len(some), of.Connections)
	}
	if some, of := h.Seated("app", "nowhere", 5); len(some) != 0 || of.Connections != 0 {
		t.Errorf("somebody is nowhere: %v", some)
	}
	if h.Find("app", "own") != own || h.Find("app", "a") != nil || h.Find("other", "own") != nil {
		t.Error("who has an id is not who is found by it")
	}
	if names, all := own.SomeRooms(2); len(names) != 2 || all != 3 {
		t.Errorf("%v of %d", names, all)
	}
	if names, all := own.SomeRooms(9); len(names) != 3 || all != 3 {
		t.Errorf("%v of %d", names, all)
	}
	if own.Receiver() == nil {
		t.Error("no receiver")
	}
}

func TestLook(t *testing.T) {
	h := New()
	s := h.Register("app", "me", 10, &fixed{}, &drain{})
	for _, room := range []string{"me", "a"} {
		_ = h.Join(s, room)
	}
	var names []string
	whole := h.Look("app", 100, func(r SeenRoom) bool {
		if r.IsOwn() != (r.Name() == "me") || r.Count().Connections != 1 {
			t.Errorf("%s is somebody's own: %v", r.Name(), r.IsOwn())
		}
		names = append(names, r.Name())
		return true
	})
	slices.Sort(names)
	if !whole || !slices.Equal(names, []string{"a", "me"}) {
		t.Errorf("%v, all of them: %v", names, whole)
	}
	_ = h.Join(h.Register("app", "you", 10, &fixed{}, &drain{}), "me")
	h.Look("app", 100, func(r SeenRoom) bool {
		if r.IsOwn() {
			t.Errorf("%s has a guest", r.Name())
		}
		return true
	})
}

// What is looked at has a bound, and it is told when it was met.
func TestLookIsBounded(t *testing.T) {
	h := New()
	s := h.Register("app", "me", 1<<20, &fixed{}, &drain{})
	shard := h.shard("app", "0")
	const most = 50
	n := 0
	for i := 0; n <= most; i++ {
		if name := strconv.Itoa(i); h.shard("app", name) == shard {
			_ = h.Join(s, name)
			n++
		}
	}
	seen := 0
	if h.Look("app", most, func(SeenRoom) bool { seen++; return true }) || seen != most {
		t.Errorf("%d of %d rooms looked at, as if they were all", seen, n)
	}
	if !h.Look("app", most+1, func(SeenRoom) bool { return true }) {
		t.Error("all were looked at, as if they were not")
	}
}
