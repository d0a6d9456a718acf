package cluster

import (
	"testing"

	"poosh/server/cluster/redistest"
	"poosh/server/hub"
)

// sendLater publishes to a room as a node of a version to come would.
func sendLater(t *testing.T, p *Cluster, room, text string) {
	t.Helper()
	pub := &hub.Publication{App: app, Room: room, Event: "e", Data: []byte(text)}
	part := p.partition(app, room, false)
	i := part.item(pub)
	b := []byte(i.envelope)
	b[0] = unionVersion + 1
	handed := make(chan hub.Handed, 1)
	i.envelope, i.done = string(b), func(h hub.Handed) { handed <- h }
	if err := part.enqueue(i); err != nil {
		t.Fatal(err)
	}
	if h := becameOf(t, handed); h.Err != nil {
		t.Fatal(h.Err)
	}
}

// A node that was cut off while a later version published catches up with all that it can read, closes nobody, and
// counts the rest.
func TestLaterVersionInTheBacklog(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	cfg := config(t, at(redis.Addr))
	far, wire := wired(t, cfg, redis.Addr)
	a, b := join(t, cfg), join(t, far)
	a.enter("r")
	b.enter("r")
	a.mustSend("r", "1")
	b.hasExactly("r", []string{"1"})
	wire.Cut()
	sendLater(t, a.Cluster, "r", "of a version to come")
	a.mustSend("r", "2")
	wire.Heal()
	for _, p := range []*process{a, b} {
		p.hasExactly("r", []string{"1", "2"})
		if n := p.count.unknown.Load(); n != 1 {
			t.Errorf("%d of a version that is not known, want 1", n)
		}
		if got := p.missedRooms(); len(got) != 0 {
			t.Errorf("missed in %v", got)
		}
	}
}

// A node that starts where a later version published reads the history but for that, and goes on.
func TestLaterVersionInTheHistory(t *testing.T) {
	t.Parallel()
	cfg := config(t, at(redistest.Start(t).Addr))
	a := openLibrary(t, cfg, much)
	begin := a.head()
	a.mustSend("r", "1")
	sendLater(t, a.Cluster, "r", "of a version to come")
	a.mustSend("r", "2")
	c := openLibrary(t, cfg, much)
	if n := c.count.unknown.Load(); n != 1 {
		t.Errorf("%d of a version that is not known, want 1", n)
	}
	c.mustSend("r", "3")
	for _, n := range []*library{a, c} {
		n.has("r", begin, []string{"1", "2", "3"})
	}
}
