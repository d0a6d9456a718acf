package conformance_test

import (
	"strconv"
	"sync"
	"testing"
	"time"

	"poosh/test/process"
)

// A gauge pings a server all the while, for who wants to know how busy it is, and this
// process too.
type gauge struct {
	mu     sync.Mutex // guards rounds
	rounds []round
}

// A round is a ping and its answer, whose end is zero while it is waited for.
type round struct{ begin, end time.Time }

// pause is between two pings.
const pause = 10 * time.Millisecond

// watch has all dialects, which are one server's, measured until the test ends.
func watch(t *testing.T, all []*dialect) {
	t.Helper()
	g := new(gauge)
	p := all[0].open(t)
	done, ended := make(chan struct{}), make(chan struct{})
	go func() { // ends with the test
		defer close(ended)
		for n := 0; ; n++ {
			select {
			case <-done:
				return
			case <-time.After(pause):
			}
			g.begin()
			_ = p.SetDeadline(time.Now().Add(process.Patience))
			if _, err := p.Write(ping(strconv.Itoa(n))); err != nil {
				t.Errorf("the gauge: %v", err)
				return
			}
			for op := byte(0); op != opPong; { // there are pings of the server too
				var text string
				var err error
				if op, text, err = p.next(); err != nil {
					t.Errorf("the gauge: %v", err)
					return
				}
				if op == opText && text == "2" {
					_, _ = p.Write(frame(fin|opText, "3"))
				}
			}
			g.end()
		}
	}()
	t.Cleanup(func() {
		close(done)
		<-ended
	})
	for _, d := range all {
		d.gauge = g
	}
}

func (g *gauge) begin() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.rounds = append(g.rounds, round{begin: time.Now()})
}

func (g *gauge) end() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.rounds[len(g.rounds)-1].end = time.Now()
}

// longest is the longest time that an answer took of those that were waited for meanwhile.
func (g *gauge) longest(from, to time.Time) (longest time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, r := range g.rounds {
		end := r.end
		if end.IsZero() {
			end = time.Now()
		}
		if r.begin.Before(to) && end.After(from) {
			longest = max(longest, end.Sub(r.begin))
		}
	}
	return longest
}
