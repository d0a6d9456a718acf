package history

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"poosh/server/hub"
)

// TestJoinKept has a member come back while events flow: its welcome, what it missed, and
// what is new, each once and in order.
func TestJoinKept(t *testing.T) {
	h, _ := site(t, Config{})
	publish := func(n int) {
		h.Publish(&hub.Publication{Room: "news", Event: fmt.Sprintf("e%03d", n), Data: []byte("1")})
		h.Publish(&hub.Publication{Room: "news", Event: "passing", Passing: true})
	}
	publish(0)
	start, _ := h.Kept("", nil)
	const before, all = 20, 200
	for n := 1; n <= before; n++ {
		publish(n)
	}
	var flow sync.WaitGroup
	flow.Go(func() { // ends with its events
		for n := before + 1; n <= all; n++ {
			publish(n)
		}
	})
	var p page
	sub := h.Register("", "me", 10, plain{}, &p)
	var trail hub.Trail
	r := h.Open("", "news")
	first, got, err := r.JoinKept(sub, &trail, hub.Member{ID: "anna", Info: []byte("{}")}, &hub.Ask{After: start, Answer: func(hub.Recovery) { p.Deliver([]byte("answer")) }},
		func(hub.Position) [][]byte { return [][]byte{[]byte("welcome")} })
	r.Close()
	flow.Wait()
	if !first || err != nil || !got.Whole || got.Missed < before {
		t.Fatalf("first %v, %+v, %v", first, got, err)
	}
	var want []string
	for n := 1; n <= all; n++ {
		want = append(want, fmt.Sprintf("e%03d", n))
	}
	want = slices.Insert(want, got.Missed, "answer")
	want = slices.Insert(want, 0, "welcome")
	seen := slices.DeleteFunc(p.take(), func(s string) bool { return s == "passing" })
	if !slices.Equal(seen, want) {
		t.Errorf("seen\n %s\nwant\n %s", strings.Join(seen, " "), strings.Join(want, " "))
	}
	head, x := h.Kept("", []hub.Span{{Room: "news", UpTo: 1 << 40}})
	if len(x.List) != all+1 || head.Number != all+1 || time.Since(x.List[0].Entered) > time.Hour {
		t.Errorf("%d kept, head %v", len(x.List), head)
	}
	h.Leave(sub, "news")
	trail.Forget("news")
}

// TestFormerly: who is back under another id gets nothing that excepts the one it had.
func TestFormerly(t *testing.T) {
	h, _ := site(t, Config{})
	start, _ := h.Kept("", nil)
	for _, except := range []string{"", "old", "other"} {
		h.Publish(&hub.Publication{Room: "news", Event: "not-" + except, Except: except})
	}
	c := connect(h, "new")
	got, err := h.Recover(c.sub, &c.trail, &hub.Ask{Rooms: []string{"news"}, After: start, Formerly: "old"})
	if seen := c.take(); err != nil || !got.Whole || !slices.Equal(seen, []string{"not-", "not-other"}) {
		t.Errorf("%+v, %v: %q", got, err, seen)
	}
}
