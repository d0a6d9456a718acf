package cluster

import (
	"slices"
	"testing"
	"time"

	"poosh/server/cluster/redistest"
	"poosh/server/hub"
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
				select {
				case h := <-answered:
					if h.Err != nil {
						t.Fatalf("what was published early: %v", h.Err)
					}
				case <-time.After(30 * time.Second):
					t.Fatal("what was published early is not answered")
				}
			}
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
