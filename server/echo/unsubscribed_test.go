package echo

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"poosh/server/logtest"
)

// TestUnsubscribed has pages that subscribe to nothing be told of, once in a while, and no others: those
// that have just come, those that are or were in a channel, and those that have gone.
func TestUnsubscribed(t *testing.T) {
	p := newPlace(t, nil)
	var said logtest.Buffer
	log := slog.New(slog.NewTextHandler(&said, nil))
	in, was := p.page("40"), p.old(3)
	in.join("orders", "", 0)
	was.join("orders", "", 1)
	was.say(`42["unsubscribe",{"channel":"orders"}]`)
	now := time.Now()
	p.tellUnsubscribed(log, now.Add(2*unsubscribedAfter))
	if said.String() != "" {
		t.Fatalf("who subscribes is told of: %s", said.String())
	}
	one, other, gone := p.page("40"), p.old(2), p.page("40")
	defer one.Close()
	defer other.Close()
	late := func() int { return p.unsubscribed(time.Now().Add(time.Second)) }
	until(t, "three pages subscribe to nothing", func() bool { return late() == 3 })
	gone.Close()
	until(t, "one of them has gone", func() bool { return late() == 2 })
	p.tellUnsubscribed(log, time.Now())
	if said.String() != "" {
		t.Errorf("who has just come is told of: %s", said.String())
	}
	for range 3 {
		p.tellUnsubscribed(log, time.Now().Add(2*unsubscribedAfter))
	}
	if got := said.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "pages=2") || !strings.Contains(got, "set HISTORY") {
		t.Errorf("the log says %q", got)
	}
}
