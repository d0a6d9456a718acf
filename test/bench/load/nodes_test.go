package load

import (
	"strings"
	"testing"
)

// Whatever the numbers of rooms and nodes are, rooms have clients at each node as evenly as
// can be, and get their events by each.
func TestNodesAreTakenInTurn(t *testing.T) {
	for _, rooms := range []Rooms{{}, {Count: 6}, {Count: 7}, {Count: 12, Each: 2}} {
		for nodes := 1; nodes <= 3; nodes++ {
			clients := make(map[[2]int]int) // by room and node
			const of = 6                    // clients of a room
			for i := range of * rooms.count() {
				clients[[2]int{i % rooms.count(), rooms.home(i, nodes)}]++
			}
			for at, n := range clients {
				if n != of/nodes {
					t.Errorf("%+v: room %d has %d clients at node %d of %d", rooms, at[0], n, at[1], nodes)
				}
			}
			events := make(map[string]map[int]bool) // by room, to which nodes
			for n := range 12 * nodes * max(rooms.Count, 1) {
				name := rooms.nameFor(1, 3, n)
				if events[name] == nil {
					events[name] = make(map[int]bool)
				}
				events[name][rooms.sentTo(n, nodes)] = true
			}
			for name, at := range events {
				if len(at) != nodes {
					t.Errorf("%+v: events to %s go to %d of %d nodes", rooms, name, len(at), nodes)
				}
			}
		}
	}
}

// A client in several rooms gets what goes to each of them.
func TestRoomsOfOneClient(t *testing.T) {
	rooms := Rooms{Count: 6, Each: 2}
	for client := range 5 {
		mine := rooms.of(client)
		if len(mine) != 2 || mine[0] == mine[1] {
			t.Fatalf("client %d is in %v", client, mine)
		}
		for n := range 20 {
			name := rooms.nameFor(0, 1, n)
			if got, want := rooms.target(0, 1, n) == client%3, name == mine[0] || name == mine[1]; got != want {
				t.Errorf("client %d in %v: event %d goes to %s, counted as its own: %v", client, mine, n, name, got)
			}
		}
	}
	if (Rooms{Count: 5, Each: 2}).whole() || !rooms.whole() {
		t.Error("rooms that do not come out even are not told")
	}
}

// Who is in several rooms must get what probes each.
func TestProbeOfRoomsOfOneClient(t *testing.T) {
	l := newLedger()
	l.rooms = Rooms{Count: 6, Each: 2}
	l.expectProbe(3, 12)
	for n := 12; n < 18; n++ {
		if l.Complete() {
			t.Fatalf("complete before event %d", n)
		}
		l.scan(n%3, message(0, n-6), 0) // of an attempt before
		l.scan(n%3, message(0, n), 0)
		l.scan(n%3, message(0, n), 0)
	}
	if !l.Complete() || l.Err() != nil {
		t.Errorf("complete %v, %v", l.Complete(), l.Err())
	}
}

func TestLooseTallyTakesAnyOrder(t *testing.T) {
	tests := []struct {
		name   string
		events []int
		early  int64
		want   string // in the error; empty for none
	}{
		{"in order", []int{5, 6, 7, 8}, 0, ""},
		{"exchanged", []int{6, 5, 8, 7}, 2, ""},
		{"backwards", []int{8, 7, 6, 5}, 3, ""},
		{"one missing", []int{5, 7, 8}, 2, "3 of 4"},
		{"one twice", []int{5, 6, 6, 7, 8}, 0, "out of order"},
		{"an early one twice", []int{6, 6, 5, 7, 8}, 1, "out of order"},
		{"one of before", []int{4, 5, 6, 7, 8}, 0, "out of order"},
		{"one of much later", []int{5, 6, 7, 8, 9 + earlyMost}, 0, "out of order"},
	}
	l := newLedger()
	l.loose = true
	for _, test := range tests {
		l.expect(1, 5, 4, 1)
		for _, n := range test.events {
			l.scan(0, message(0, n), 0)
		}
		err := l.Err()
		if test.want == "" && (err != nil || !l.Complete()) || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: error %v, want %q", test.name, err, test.want)
		}
		if l.Early != test.early {
			t.Errorf("%s: %d came early, want %d", test.name, l.Early, test.early)
		}
	}
}

// With rooms, the numbers of one room are apart, and those between are another's.
func TestLooseTallyKeepsRoomsApart(t *testing.T) {
	l := newLedger()
	l.loose, l.rooms = true, Rooms{Count: 3}
	l.expect(3, 0, 9, 1)
	for _, n := range []int{3, 0, 6} {
		l.scan(0, message(0, n), 0)
		l.scan(1, message(0, n+1), 0)
		l.scan(2, message(0, n+2), 0)
	}
	if l.Err() != nil || l.Early != 3 {
		t.Errorf("%v, %d early", l.Err(), l.Early)
	}
	l.scan(0, message(0, 10), 0)
	if err := l.Err(); err == nil || !strings.Contains(err.Error(), "out of order") {
		t.Errorf("an event to another room: %v", err)
	}
}
