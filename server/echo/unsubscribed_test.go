package echo

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"poosh/server/logtest"
)

// TestUnsubscribed has pages that subscribe to nothing be told of, once in a while, and no others: those
// that have just come, those that are or were in a channel, those that have gone, and those of socket.io 1
// and 2, which subscribe again by themselves.
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
	p.old(2)
	p.old(3)
	p.page("40")
	p.page("40")
	gone := p.page("40")
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
	if got := said.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "pages=2") || !strings.Contains(got, "update laravel-echo to 2.x, or set HISTORY where socket.io-client is 4.6 or newer") {
		t.Errorf("the log says %q", got)
	}
}

// TestUnsubscribedWithHistory has pages be told of that are given nothing back where events are kept, and
// those not that are in their channels again, whose laravel-echo has not subscribed.
func TestUnsubscribedWithHistory(t *testing.T) {
	p := keptPlace(t, nil)
	late := func() int { return p.unsubscribed(time.Now().Add(time.Second)) }
	cut := p.goes("127.0.0.1")
	if !p.isBack(cut) {
		t.Fatal("a page is given nothing back")
	}
	if n := late(); n != 0 {
		t.Errorf("a page that is back in its channel is one of %d that are in none", n)
	}
	p.page(`40{"pid":"of-another-time"}`)
	until(t, "one subscribes to nothing", func() bool { return late() == 1 })
}
