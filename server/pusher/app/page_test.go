package app

import (
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"poosh/server/hub"
	"poosh/server/hub/history"
)

// TestPagesAreWhatIsAskedFor reads pages of a channel as whoever looks at each of its events
// would, and takes no more of the log than a page has.
func TestPagesAreWhatIsAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const app, channel, all = "app", "news", 300
		log, began := history.New(history.Config{Age: time.Hour, Events: all}, app), time.Now()
		for range 2 * all {
			for _, room := range []string{channel, "other"}[:1+rand.IntN(2)] {
				log.Append(&hub.Publication{App: app, Room: room, Event: "e", Data: []byte("12")}, func(hub.Position) {})
			}
			time.Sleep(time.Duration(rand.IntN(3)) * time.Millisecond)
		}
		kept := log.Read(app, []hub.Span{{Room: channel, UpTo: 1 << 40}}, func(bool, int, int) bool { return true }).List
		if len(kept) != all {
			t.Fatalf("%d are kept", len(kept))
		}
		limit, most := 0, 0
		l := looker{channel, func(ask []hub.Span, wanted hub.Wanted) hub.Excerpt {
			x := log.Read(app, ask, wanted)
			most = max(most, len(x.List))
			return x
		}}
		serial := func() uint64 { return kept[rand.IntN(all)].At.Number + rand.Uint64N(3) - 1 }
		moment := func() time.Time { return began.Add(time.Duration(rand.IntN(3*all)) * time.Millisecond) }
		for range 2000 {
			limit = 1 + rand.IntN(100)
			ask := PageAsk{UpTo: 1 << 60, OldestFirst: rand.IntN(2) == 0, Limit: limit}
			for _, set := range []func(){
				func() { ask.After = serial() }, func() { ask.UpTo = serial() },
				func() { ask.From = moment() }, func() { ask.Before = moment() },
			} {
				if rand.IntN(2) == 0 {
					set()
				}
			}
			var want []*hub.Kept
			for _, k := range kept {
				if k.At.Number > ask.After && k.At.Number <= ask.UpTo && !k.Entered.Before(ask.From) && (ask.Before.IsZero() || k.Entered.Before(ask.Before)) {
					want = append(want, k)
				}
			}
			more := len(want) > limit
			switch {
			case more && ask.OldestFirst:
				want = want[:limit]
			case more:
				want = want[len(want)-limit:]
			}
			most = 0
			got, gotMore := l.pick(ask)
			if !slices.Equal(got, want) || gotMore != more {
				t.Fatalf("%+v: %d and more %v, want %d and %v", ask, len(got), gotMore, len(want), more)
			}
			if most > limit+1 {
				t.Fatalf("%+v: %d are read", ask, most)
			}
		}
	})
}
