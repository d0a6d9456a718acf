package fleet

import (
	"context"
	"net/url"
	"strings"
	"testing"
)

// What panics where an operator asks costs its node's part of the answer, and no process.
func TestKickPanics(t *testing.T) {
	fails := func(url.Values, string) (int, error) { panic("on purpose") }
	const panicked, two = `"kicked":0,"error":"cannot answer: its log says why"}`, `"kicked":2}`
	for _, here := range []bool{true, false} {
		town := &town{}
		a, b := serve(t, town, "nodeAA", 2, false, true), serve(t, town, "nodeBB", 2, false, true)
		want := `{"kicked":2,"nodes":[{"node":"nodeAA",` + two + `,{"node":"nodeBB",` + panicked + `]}`
		if here {
			a.cfg.Kick = fails
			want = `{"kicked":2,"nodes":[{"node":"nodeAA",` + panicked + `,{"node":"nodeBB",` + two + `]}`
		} else {
			b.cfg.Kick = fails
		}
		if status, text := a.ask(t, "/api/kick?id=1"); status != 200 || text != want {
			t.Errorf("%d %s, want %s", status, text, want)
		}
	}
}

// A follower that panics is one that tells nothing any more, and is said to be.
func TestFollowerPanics(t *testing.T) {
	a := serve(t, &town{}, "nodeAA", 1, false, true)
	tail := &tail{fleet: a.Fleet, come: make(chan news), following: make(map[string]context.CancelFunc)}
	tail.follow(context.Background(), "nodeBB", func(context.Context) { panic("on purpose") })
	if n := <-tail.come; n.node != "nodeBB" || n.state != Lost || !strings.Contains(n.why, errPanicked.Error()) {
		t.Errorf("%+v", n)
	}
	tail.followers.Wait()
}
