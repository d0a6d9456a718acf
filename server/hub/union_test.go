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
			p := narrowed(strings.Fields(tt.rooms), strings.Fields(tt.except)...)
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
	e := h.Explain(narrowed([]string{"a"}, "x"))
	if n := e.Parts[0].Tallies[0].LeftOut[Excluded]; n != 1 || e.Matched() != 3 {
		t.Errorf("explained as %+v", e)
	}
	e = h.Explain(narrowed([]string{"nowhere"}))
	if !slices.Equal(e.Causes, []Cause{NoSuchRoom}) {
		t.Errorf("nobody is in a room: %v", e.Causes)
	}
}

func narrowed(rooms []string, except ...string) *Publication {
	p := &Publication{Event: "e"}
	p.Narrow(Union{Rooms: rooms, Except: except})
	return p
}

// What is no union is for nobody, and never for everyone.
func TestUnionUnreadable(t *testing.T) {
	h, got := New(), &inbox{}
	h.Register("", "x", 1, &kind{}, got)
	whole := narrowed([]string{"a", "bc", ""}, "x").Except
	for n := range len(whole) {
		p := &Publication{Everyone: true, Narrowed: true, Except: whole[:n]}
		if u, ok := p.Union(); ok || h.Publish(p) != 0 {
			t.Errorf("%q is %+v", p.Except, u)
		}
	}
	for _, text := range []string{whole + "\x00", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "\x80"} {
		if u, ok := (&Publication{Narrowed: true, Except: text}).Union(); ok {
			t.Errorf("%q is %+v", text, u)
		}
	}
	if u, ok := (&Publication{Narrowed: true, Except: whole}).Union(); !ok || !slices.Equal(u.Rooms, []string{"a", "bc", ""}) || !slices.Equal(u.Except, []string{"x"}) {
		t.Errorf("%+v", u)
	}
}
