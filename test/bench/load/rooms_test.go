package load

import (
	"slices"
	"testing"
)

func TestEverybodyIsInTheOneRoom(t *testing.T) {
	for _, client := range []int{0, 7} {
		if got := (Rooms{}).of(client); !slices.Equal(got, []string{Room}) {
			t.Errorf("client %d is in %v", client, got)
		}
	}
	if got := (Rooms{Count: 5, Shared: 3}).of(7); !slices.Equal(got, []string{"bench-2", "shared-1"}) {
		t.Errorf("client 7 is in %v", got)
	}
}

// The first event of a publisher to a room is the first one that is sent there, and
// the next one is count later.
func TestFirstEventToARoom(t *testing.T) {
	for _, r := range []Rooms{{}, {Count: 5}, {Count: 16}, {Count: 7, Shared: 2}} {
		const publishers = 3
		for publisher := range publishers {
			for _, next := range []int{0, 4, 103} {
				for room := range r.count() {
					n := next
					for r.target(publisher, publishers, n) != room {
						n++
					}
					if got := r.first(room, publisher, publishers, next); got != n {
						t.Errorf("%+v: first event of %d from %d on to room %d is %d, want %d", r, publisher, next, room, got, n)
					}
					if r.target(publisher, publishers, n+r.count()) != room {
						t.Errorf("%+v: event %d goes elsewhere", r, n+r.count())
					}
				}
			}
		}
	}
}
