package cluster

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"poosh/server/cluster/redistest"
	"poosh/server/hub"
	"poosh/server/presence"
)

// One server has few partitions, and a Redis Cluster many. What a hub wanted and published before the process knew which
// of the two it has is where it belongs.
func TestPartitionsOfAnEngine(t *testing.T) {
	t.Parallel()
	for _, engine := range []struct {
		name string
		url  func() string
		want int
	}{
		{"one server", func() string { return at(redistest.Start(t).Addr) }, fewPartitions},
		{"a Redis Cluster", func() string { return at(redistest.Cluster(t)[0].Addr) }, partitions},
	} {
		t.Run(engine.name, func(t *testing.T) {
			cfg := config(t, engine.url())
			p := &process{t: t, log: &logged{}, got: make(map[string][]string)}
			p.Cluster = New(cfg)
			rooms := numbered(1, 64)
			answered := make(chan hub.Handed, len(rooms))
			for _, room := range rooms {
				p.Occupied(app, room, false)
				p.Occupied(app, room, false)
				p.Vacated(app, room, false)
				p.Publish(&hub.Publication{App: app, Room: room, Event: "e", Data: []byte("early")}, func(h hub.Handed) { answered <- h })
			}
			if err := p.Join(t.Context(), Options{Log: discard, Apps: []string{app}, Deliver: p.deliver, Missed: func(string, string, bool, hub.Position) {}}); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = p.Close(t.Context()) })
			if got := len(p.rooms()); got != engine.want {
				t.Errorf("there are %d partitions, want %d", got, engine.want)
			}
			for range rooms {
				if h := becameOf(t, answered); h.Err != nil {
					t.Fatalf("what was published early: %v", h.Err)
				}
			}
			until(t, "nothing waits, by its count", func() bool { return p.waiting.Load() == 0 })
			other := join(t, cfg)
			for _, room := range rooms {
				other.mustSend(room, "late")
			}
			for _, room := range rooms {
				until(t, room, func() bool { return slices.Equal(p.in(room), []string{"early", "late"}) })
			}
			for _, room := range rooms {
				part := p.partition(app, room, false)
				part.subs.mu.Lock()
				s := part.subs.of[part.tag.room(app, room)]
				part.subs.mu.Unlock()
				if s == nil || s.refs != 1 {
					t.Fatalf("%s is wanted as %+v in its partition, want once", room, s)
				}
			}
		})
	}
}

// What a node may remember is of a sixteenth of the rooms, however many partitions there are: as much in all.
func TestBoundsOfFewPartitions(t *testing.T) {
	t.Parallel()
	for _, few := range []bool{false, true} {
		c := New(Config{Backlog: 1 << 30, Timeout: time.Second})
		if few {
			c.narrow()
		}
		number := len(c.rooms())
		if got, want := c.backlog(), strconv.Itoa(16<<30/number); got != want {
			t.Errorf("%d partitions keep %s bytes each, want %s", number, got, want)
		}
		d := c.parts[0].desk
		d.book[place{app, "r"}] = &booked{told: true}
		most, mostLeft := 0, 0
		for i := range 10 * 4096 {
			user := strconv.Itoa(i)
			d.knows(happening{app, presence.Happening{Room: "r", User: user, There: true}}, &taken{at: strconv.Itoa(1000 + i)})
			d.parts(place{app, "r"}, user, hub.Position{})
			most, mostLeft = max(most, len(d.known)), max(mostLeft, len(d.left))
		}
		if want := 16 * 4096 / number; most != want || mostLeft != want {
			t.Errorf("of %d partitions one remembers %d that were told and %d that went, want %d", number, most, mostLeft, want)
		}
	}
}
