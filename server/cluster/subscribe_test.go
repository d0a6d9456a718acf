package cluster

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"poosh/server/hub"
)

// Who enters waits until the room is subscribed to, for a fence behind that, and for another one
// when the link that was asked is lost. No engine is needed to see that.
func TestEntryWaitsForSubscriptionAndFence(t *testing.T) {
	p := New(Config{Prefix: "test", Timeout: time.Minute}).parts[3]
	answers := 0
	s := p.want(p.channel(app, "r", false))
	p.subs.entering = append(p.subs.entering, &entry{sub: s, since: time.Now(), answer: func(_ hub.Position, err error) {
		if err != nil {
			t.Error(err)
		}
		answers++
	}})
	if _, some := p.fenceEntries(); some {
		t.Fatal("a fence is asked for before the room is subscribed to")
	}
	asked := p.subs.toAsk(1)
	if len(asked) != 1 || asked[0] != s {
		t.Fatalf("asked for is %v", asked)
	}
	p.subs.confirm(s, 1)
	first, some := p.fenceEntries()
	if !some {
		t.Fatal("no fence is asked for")
	}
	if again, some := p.fenceEntries(); some {
		t.Fatalf("fence %d is asked for by nobody", again)
	}
	p.subs.lose()
	p.answerEntries(first, hub.Position{})
	if answers != 0 {
		t.Fatal("answered by the fence of a link that is lost")
	}
	if list := p.subs.all(2); len(list) != 1 {
		t.Fatalf("the next link is asked for %q", list)
	}
	p.subs.confirmAll(2)
	second, some := p.fenceEntries()
	if !some || second == first {
		t.Fatalf("fence %d, %v", second, some)
	}
	p.answerEntries(second, hub.Position{})
	p.answerEntries(second, hub.Position{})
	if answers != 1 {
		t.Errorf("answered %d times", answers)
	}
	if s.refs != 0 {
		t.Errorf("the room is wanted by %d, want nobody: it was not seated", s.refs)
	}
	if !p.subs.had(s.channel) || len(p.subs.before(2)) != 1 || len(p.subs.before(1)) != 0 {
		t.Error("it is not known which link had the room first")
	}
}

// Somebody whose answer fails is in nobody's way: others are answered, and the room is left.
func TestEntryThatFails(t *testing.T) {
	c := New(Config{Prefix: "test", Timeout: time.Minute})
	c.log = discard
	p := c.parts[3]
	s := p.channel(app, "r", false)
	var answered []int
	for i := range 3 {
		e := &entry{sub: p.want(s), since: time.Now(), answer: func(hub.Position, error) {
			answered = append(answered, i)
			if i == 1 {
				panic("a dialect that fails")
			}
		}}
		p.subs.entering = append(p.subs.entering, e)
	}
	p.failEntries(time.Time{})
	if want := []int{0, 1, 2}; !slices.Equal(answered, want) {
		t.Errorf("answered are %v, want %v", answered, want)
	}
	if s.refs != 0 {
		t.Errorf("the room is wanted by %d, want nobody", s.refs)
	}
}

// Who enters as the node ends is answered, once.
func TestEnterAtTheEnd(t *testing.T) {
	for range 3000 {
		c := New(Config{Prefix: "test", Timeout: time.Minute})
		p := c.partition(app, "r", false)
		answers := make(chan error, 2)
		var ending sync.WaitGroup
		ending.Go(p.stop)
		c.Fence(app, "r", false, func(_ hub.Position, err error) { answers <- err })
		ending.Wait()
		if len(answers) != 1 {
			t.Fatalf("answered %d times, want once", len(answers))
		}
	}
}

// Who is let in though the engine did not answer, and is not subscribed for by the link that comes, is told
// behind the first fence behind the subscription. Who came before the link is not: that brings what was missed.
func TestLetInUnseen(t *testing.T) {
	c := New(Config{Prefix: "test", Timeout: time.Minute})
	c.log = discard
	var missed []string
	c.opt.Missed = func(_, room string, _ bool, _ hub.Position) { missed = append(missed, room) }
	p := c.partition(app, "r", false)
	p.subs.all(1)
	p.since = time.Now().Add(-time.Hour) // it is away
	letIn := func() {
		c.Fence(app, "r", false, func(_ hub.Position, err error) {
			if !errors.Is(err, hub.ErrAway) {
				t.Error(err)
			}
			c.Occupied(app, "r", false)
		})
	}
	letIn()
	asked := p.subs.toAsk(1)
	if len(asked) != 1 {
		t.Fatalf("asked for is %v", asked)
	}
	p.confirm(asked, 1)
	request, some := p.fenceEntries()
	if !some || len(missed) != 0 {
		t.Fatalf("%v before a fence, which is asked for: %v", missed, some)
	}
	p.answerEntries(request, hub.Position{})
	if !slices.Equal(missed, []string{"r"}) || asked[0].refs != 1 {
		t.Errorf("missed in %v, and %d want it", missed, asked[0].refs)
	}
	p.subs.lose()
	letIn()
	p.subs.all(2)
	p.subs.confirmAll(2)
	if _, some := p.fenceEntries(); some || !p.subs.had(asked[0].channel) {
		t.Error("who was there before the link is told, though that brings what was missed")
	}
}
