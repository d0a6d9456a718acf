package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"
)

// checkTold looks at what a survivor saw, and says what of the accepted events
// is missing where the client was not told so.
func (n *numbering) checkTold(c *client) error {
	last, told := -1, false
	upTo := func(number int) error {
		at, _ := slices.BinarySearch(n.accepted, last+1)
		if at < len(n.accepted) && n.accepted[at] < number && !told {
			return fmt.Errorf("event %d was accepted and never came, behind %d came %d, and it was not told", n.accepted[at], last, number)
		}
		return nil
	}
	states := 0
	for _, r := range c.all() {
		switch {
		case r.Saw == c.back():
			if states++; states > 1 && c.isTold(r) {
				told = true
			}
		case r.Saw == "event" && r.Name == "n":
			var args []any
			if err := json.Unmarshal([]byte(r.Text), &args); err != nil || len(args) != 2 {
				return fmt.Errorf("it saw %s", r.Text)
			}
			number := int(args[0].(float64))
			if number <= last {
				return fmt.Errorf("%d came behind %d", number, last)
			}
			if err := upTo(number); err != nil {
				return err
			}
			last, told = number, false
		}
	}
	if newest := n.accepted[len(n.accepted)-1]; last < newest {
		return fmt.Errorf("%d is the last that came, of %d", last, newest)
	}
	return nil
}

// A server that is killed while events are sent takes what it kept with it. Whoever is back has
// what was accepted before, or is told that something is missing; from there on nothing is, over
// an end in order too.
func TestKilledWhileEventsFlow(t *testing.T) {
	s := start(t, lasting...)
	all := survivors(t, s, drive(t, "node.js"))
	sending := number(s, 5*time.Millisecond, "a", "b")
	more := func() {
		t.Helper()
		before := sending.count.Load()
		eventually(t, patience, "events to be accepted", func() bool { return sending.count.Load() >= before+50 })
	}
	more()
	s.crash()
	s.restart()
	for _, c := range all {
		c.waitFor(t, "to be told that something is missing", func() []report {
			if found := c.seenLocked(c.back()); len(found) > 1 && slices.ContainsFunc(found[1:], c.isTold) {
				return found
			}
			return nil
		})
	}
	more()
	told := make(map[*client]int)
	for _, c := range all {
		told[c] = len(c.seen(c.back()))
	}
	s.again(t)
	for _, c := range all {
		for _, r := range c.wait(t, c.back(), told[c]+1)[told[c]:] {
			if c.isTold(r) {
				t.Errorf("%s: after an end in order it was told %s", c.id, r.Text)
			}
		}
	}
	more()
	sending.end()
	s.send(t, "a", "end", "1")
	for _, c := range all {
		c.events(t, "end", 1)
		if err := sending.checkTold(c); err != nil {
			t.Errorf("%s: %v", c.id, err)
		}
	}
	t.Logf("%d events accepted, of %d nobody knows", len(sending.accepted), len(sending.unknown))
}
