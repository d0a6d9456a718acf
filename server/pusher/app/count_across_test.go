package app

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"poosh/server/presence"
)

// A slowCensus counts how many ask it at a time, each for long.
type slowCensus struct {
	presence.Census
	asking, most, asked atomic.Int32
}

func (s *slowCensus) Count(ctx context.Context, _, _ string) (connections, users int, err error) {
	s.asked.Add(1)
	if n := s.asking.Add(1); n > s.most.Load() {
		s.most.Store(n)
	}
	defer s.asking.Add(-1)
	select {
	case <-time.After(2 * time.Second):
		return 7, 0, nil
	case <-ctx.Done():
		return 0, 0, ctx.Err()
	}
}

// TestCountsAreAskedInTurns has many channels' numbers looked at again at once. One question is
// under way at a time, and none behind the close.
func TestCountsAreAskedInTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, desk, _ := newMoodyApp(t, Config{SubscriptionCount: true})
		census := &slowCensus{Census: desk.Node}
		a.across.Census = census
		for i := range 100 {
			a.counter.settle(fmt.Sprint(i), 1)
		}
		time.Sleep(10 * time.Second)
		a.counter.stop()
		if n, most := census.asked.Load(), census.most.Load(); n < 4 || most != 1 || census.asking.Load() != 0 {
			t.Errorf("%d were asked in 10 s, %d at once, and %d are", n, most, census.asking.Load())
		}
		time.Sleep(10 * time.Second)
		if n := census.asked.Load(); n > 6 {
			t.Errorf("%d were asked, some behind the close", n)
		}
	})
}
