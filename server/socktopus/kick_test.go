package socktopus

import (
	"testing"
	"time"

	"poosh/server/dialect"
)

// TestKickedAtOnce: of operators who kick a client at the same moment one has done it.
func TestKickedAtOnce(t *testing.T) {
	s := newSite(t, Config{})
	ws := s.join("1")
	c := s.dialect.rules.Load().apps["myapp"].all()[0]
	const operators = 4
	kicked := make(chan int, operators)
	c.mu.Lock() // all of them find it, and nobody ends it yet
	for range operators {
		go func() { kicked <- s.dialect.kickAll(dialect.Whom{ID: "1"}) }() // ends with the kick
	}
	time.Sleep(200 * time.Millisecond)
	c.mu.Unlock()
	sum := 0
	for range operators {
		sum += <-kicked
	}
	if sum != 1 {
		t.Errorf("%d kicks of one client", sum)
	}
	wantClosed(t, ws, true, 1000)
}
