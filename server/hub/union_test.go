package hub

import (
	"slices"
	"strings"
	"testing"
)

// A union is for each subscriber of any of its rooms, once, and for none of those that it excepts.
func TestUnion(t *testing.T) {
	h, enc := New(), &kind{}
	got := make(map[string]*inbox)
	join := func(id string, rooms ...string) {
		r := &inbox{}
		got[id] = r
		s := h.Register("", id, 10, enc, r)
		for _, room := range append(rooms, id) {
			if err := h.Join(s, room); err != nil {
				t.Fatal(err)
			}
		}
	}
	join("both", "a", "b")
	join("one", "a")
	join("other", "b")
	join("none")
	join("excepted", "a", "x")
	h.Register("elsewhere", "of another app", 1, enc, &inbox{})
	tests := []struct {
		rooms, except string
		want          string
	}{
		{"a b", "", "both excepted one other"},
		{"a a", "", "both excepted one"},
		{"a b", "x", "both one other"},
		{"a b none", "x other", "both none one"},
		{"a", "b", "excepted one"},
		{"a", "a", ""},
		{"", "x b", "none one"},
		{"", "nowhere", "both excepted none one other"},
		{"nowhere", "", ""},
	}
	for _, tt := range tests {
		for _, explain := range []bool{false, true} {
			for _, r := range got {
				r.frames = nil
			}
			p := &Publication{Everyone: true, Event: "e", To: &Union{Rooms: strings.Fields(tt.rooms), Except: strings.Fields(tt.except)}}
			var took int
			if explain {
				took = h.Explain(p).Took
			} else {
				took = h.Publish(p)
			}
			var who []string
			for id, r := range got {
				for range r.frames {
					who = append(who, id)
				}
			}
			slices.Sort(who)
			if list := strings.Join(who, " "); list != tt.want || took != len(who) {
				t.Errorf("%q except %q reached %q, %d took it; want %q", tt.rooms, tt.except, list, took, tt.want)
			}
		}
	}
	e := h.Explain(&Publication{Everyone: true, To: &Union{Rooms: []string{"a"}, Except: []string{"x"}}})
	if n := e.Parts[0].Tallies[0].LeftOut[Excluded]; n != 1 || e.Matched() != 3 {
		t.Errorf("explained as %+v", e)
	}
	e = h.Explain(&Publication{Everyone: true, To: &Union{Rooms: []string{"nowhere"}}})
	if !slices.Equal(e.Causes, []Cause{NoSuchRoom}) {
		t.Errorf("nobody is in a room: %v", e.Causes)
	}
}
