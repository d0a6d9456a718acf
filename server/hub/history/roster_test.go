package history

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"poosh/server/hub"
)

// headOf is the position of the last publication.
func headOf(h *hub.Hub) (head hub.Position) {
	h.Hold("", func(at hub.Position, _ hub.Reader) { head = at })
	return head
}

// TestJoinKept has a member come back while events flow: its welcome, what it missed, and
// what is new, each once and in order.
func TestJoinKept(t *testing.T) {
	h, l := site(t, Config{})
	publish := func(n int) {
		h.Publish(&hub.Publication{Room: "news", Event: fmt.Sprintf("e%03d", n), Data: []byte("1")})
		h.Publish(&hub.Publication{Room: "news", Event: "passing", Passing: true})
	}
	publish(0)
	start := headOf(h)
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
	head := headOf(h)
	x := l.Read("", []hub.Span{{Room: "news", UpTo: 1 << 40}}, always)
	if len(x.List) != all+1 || head.Number != all+1 || time.Since(x.List[0].Entered) > time.Hour {
		t.Errorf("%d kept, head %v", len(x.List), head)
	}
	h.Leave(sub, "news")
	trail.Forget("news")
}

// A welcomed is a subscriber that publishes as it gets its welcome, and goes on soon after that
// has begun.
type welcomed struct {
	page
	publish func()
	over    sync.WaitGroup
}

func (w *welcomed) Deliver(frame []byte) bool {
	if string(frame) == "welcome" {
		begun := make(chan struct{})
		w.over.Go(func() { // ends once it is published
			close(begun)
			w.publish()
		})
		<-begun
		time.Sleep(20 * time.Millisecond) // to where it waits for the seat, or the log
	}
	return w.page.Deliver(frame)
}

// TestJoinKeptIsOneStep: what is published between the seat and what was missed comes behind that.
func TestJoinKeptIsOneStep(t *testing.T) {
	h, _ := site(t, Config{})
	publish(h, "news", "e0")
	start := headOf(h)
	publish(h, "news", "e1", "e2")
	w := &welcomed{publish: func() { publish(h, "news", "e3") }}
	sub := h.Register("", "me", 10, plain{}, w)
	var trail hub.Trail
	r := h.Open("", "news")
	_, _, err := r.JoinKept(sub, &trail, hub.Member{ID: "anna"}, &hub.Ask{After: start, Answer: func(hub.Recovery) { w.page.Deliver([]byte("answer")) }},
		func(hub.Position) [][]byte { return [][]byte{[]byte("welcome")} })
	r.Close()
	w.over.Wait()
	if got := strings.Join(w.take(), " "); err != nil || got != "welcome e1 e2 answer e3" {
		t.Errorf("%q, %v", got, err)
	}
}

// TestFormerly: who is back under another id gets nothing that excepts one that it had.
func TestFormerly(t *testing.T) {
	h, _ := site(t, Config{})
	start := headOf(h)
	for _, except := range []string{"", "older", "old", "other"} {
		h.Publish(&hub.Publication{Room: "news", Event: "not-" + except, Except: except})
	}
	c := connect(h, "new")
	got, err := h.Recover(c.sub, &c.trail, &hub.Ask{Rooms: []string{"news"}, After: start, Formerly: []string{"older", "old"}})
	if seen := c.take(); err != nil || !got.Whole || !slices.Equal(seen, []string{"not-", "not-other"}) {
		t.Errorf("%+v, %v: %q", got, err, seen)
	}
}

// TestSeated: who asks for rooms that it is in is never seated by that: not in one that it was
// never in, and not in one that it leaves while what it asks for is made.
func TestSeated(t *testing.T) {
	h, _ := site(t, Config{})
	start := headOf(h)
	publish(h, "r", "1")
	c := connect(h, "me")
	looked := 0
	ask := &hub.Ask{Rooms: []string{"r"}, After: start, Seated: true, Fits: func(int, int) bool {
		if looked++; looked == 1 { // nothing is held up for it yet
			h.Leave(c.sub, "r")
		}
		return true
	}}
	if got, err := h.Recover(c.sub, &c.trail, ask); err != hub.ErrNotIn || got.Missed != 0 || looked > 0 {
		t.Errorf("of a room that it is not in: %+v, %v", got, err)
	}
	if err := h.JoinKept(c.sub, &c.trail, "r"); err != nil {
		t.Fatal(err)
	}
	if got, err := h.Recover(c.sub, &c.trail, ask); err != hub.ErrNotIn || got.Missed != 0 || looked == 0 {
		t.Errorf("of a room that it leaves: %+v, %v, looked %d times", got, err, looked)
	}
	if rooms, seen := c.sub.Rooms(), c.take(); len(rooms) > 0 || len(seen) > 0 {
		t.Errorf("it is in %q and saw %q", rooms, seen)
	}
	if n, _ := h.Count("", "r"); n != 0 {
		t.Errorf("%d in the room", n)
	}
}

// TestSince asks for what was published from a time on: all of it or not is known by when what
// is gone was published, of a room with something in the log and of one without.
func TestSince(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, l := site(t, Config{Age: time.Minute, Events: 3})
		publish(h, "other", "0")
		time.Sleep(50 * time.Second)
		for _, e := range []string{"1", "2", "3", "4"} {
			publish(h, "r", e)
			time.Sleep(10 * time.Second)
		}
		// Kept are 2 to 4, 30 to 10 s old. 1 is 40 s old and gone, as is 0, of 90 s.
		l.Stats() // which drops it
		none, _ := l.apps[""].quiet.apart("other")
		for _, tt := range []struct {
			room   string
			within time.Duration
			want   string
			whole  bool
		}{
			{"r", 5 * time.Second, "", true},
			{"r", 25 * time.Second, "3 4", true},
			{"r", 30 * time.Second, "2 3 4", true},
			{"r", 35 * time.Second, "2 3 4", true},
			{"r", 40 * time.Second, "2 3 4", false},
			{"r", time.Hour, "2 3 4", false},
			{"other", 80 * time.Second, "", true},
			{"other", 90 * time.Second, "", false},
			{none, time.Hour, "", true},
		} {
			c := connect(h, "c")
			r := h.Open("", tt.room)
			_, got, err := r.JoinKept(c.sub, &c.trail, hub.Member{}, &hub.Ask{Since: time.Now().Add(-tt.within)}, func(hub.Position) [][]byte { return nil })
			r.Close()
			if seen := strings.Join(c.take(), " "); err != nil || seen != tt.want || got.Whole != tt.whole || got.More || got.Missed != len(got.List) {
				t.Errorf("%s of %v: %q, %+v, %v; want %q, %v", tt.room, tt.within, seen, got, err, tt.want, tt.whole)
			}
			h.Unregister(c.sub)
		}
		l.check(t)
	})
}

// TestMore: whether there were more than the last that were asked for is known of the moment in
// which these are handed over, and nothing that is handed over makes it untrue.
func TestMore(t *testing.T) {
	h, _ := site(t, Config{})
	publish(h, "r", "1", "2", "3")
	for last, want := range map[int]bool{-1: false, 2: true, 3: false, 4: false} {
		c := connect(h, "c")
		if got, err := h.Recover(c.sub, &c.trail, &hub.Ask{Rooms: []string{"r"}, Last: last}); err != nil || got.More != want || !got.Whole {
			t.Errorf("the last %d: %+v, %v", last, got, err)
		}
		h.Unregister(c.sub)
	}
	c := connect(h, "c")
	meanwhile := &encoding{once: sync.OnceFunc(func() { publish(h, "r", "4") })}
	got, err := h.Recover(c.sub, &c.trail, &hub.Ask{Rooms: []string{"r"}, Last: 3, Encoder: meanwhile})
	if seen := c.take(); err != nil || !got.More || !slices.Equal(seen, []string{"2", "3", "4"}) {
		t.Errorf("%q, %+v, %v", seen, got, err)
	}
}

// An encoding encoder calls once as it writes the first frame, behind the first look.
type encoding struct{ once func() }

func (e *encoding) Encode(p *hub.Publication) []byte {
	e.once()
	return plain{}.Encode(p)
}

// TestJoinKeptWithoutRoom: for one who may be in no room more nothing is made of what it asks for.
func TestJoinKeptWithoutRoom(t *testing.T) {
	h, l := site(t, Config{})
	start := hub.Position{Epoch: l.apps[""].epoch}
	publish(h, "more", "1", "2")
	var p page
	var trail hub.Trail
	sub := h.Register("", "me", 1, plain{}, &p)
	join := func(room string, ask *hub.Ask) error {
		r := h.Open("", room)
		defer r.Close()
		_, got, err := r.JoinKept(sub, &trail, hub.Member{}, ask, func(hub.Position) [][]byte { return nil })
		if err != nil && (got.Missed > 0 || len(got.List) > 0) {
			t.Errorf("%q: %+v, %v", room, got, err)
		}
		return err
	}
	if err := join("one", &hub.Ask{}); err != nil {
		t.Fatal(err)
	}
	looked := 0
	fits := func(int, int) bool { looked++; return true }
	for _, ask := range []*hub.Ask{{After: start, Fits: fits}, {Last: -1, Fits: fits}} {
		if err := join("more", ask); err != hub.ErrTooManyRooms || looked > 0 {
			t.Errorf("it is looked %d times for whether that fits, %v", looked, err)
		}
	}
	if rooms, seen := sub.Rooms(), p.take(); !slices.Equal(rooms, []string{"one"}) || len(seen) > 0 {
		t.Errorf("it is in %q and saw %q", rooms, seen)
	}
	h.Leave(sub, "one")
	trail.Forget("one")
	err := join("more", &hub.Ask{After: start, Fits: fits})
	if seen := p.take(); err != nil || looked == 0 || !slices.Equal(seen, []string{"1", "2"}) {
		t.Errorf("with a place again it saw %q, %v", seen, err)
	}
}
