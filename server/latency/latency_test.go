package latency

import (
	"math"
	"testing"
	"testing/synctest"
	"time"
)

func TestBuckets(t *testing.T) {
	for _, took := range []time.Duration{0, 1, time.Microsecond, 999 * time.Microsecond, time.Millisecond, time.Second, 1300 * time.Millisecond, time.Minute, time.Hour} {
		i := bucketOf(took)
		if i < firstBucket || i > lastBucket {
			t.Fatalf("%v is in bucket %d", took, i)
		}
		if took > upTo(i)+1 && i < lastBucket || took < upTo(i-1) && i > firstBucket {
			t.Errorf("%v is in bucket %d, from %v to %v", took, i, upTo(i-1), upTo(i))
		}
	}
	// A bound belongs to what is below it, as Prometheus has it.
	if i := bucketOf(time.Second); i != 0 {
		t.Errorf("a second is in bucket %d", i)
	}
	if i := bucketOf(time.Second + 1); i != 1 {
		t.Errorf("a little more than a second is in bucket %d", i)
	}
}

func TestHistogram(t *testing.T) {
	m := New()
	for _, took := range []time.Duration{100 * time.Microsecond, 101 * time.Microsecond, 2 * time.Second, time.Hour} {
		m.end(took, true)
	}
	m.end(time.Millisecond, false)
	h := m.Histogram()
	if h.Count != 4 || math.Abs(h.Sum-3602.000201) > 1e-9 {
		t.Errorf("%d, in all %v s", h.Count, h.Sum)
	}
	for i, want := range map[int]uint64{0: 1, 1: 2, 12: 2, 13: 3, 17: 3} { // up to 0.1 ms, 0.25 ms, 1 s, 2.5 s, 60 s
		if h.Below[i] != want {
			t.Errorf("%d are up to %v s, want %d", h.Below[i], h.Bounds[i], want)
		}
	}
	all := int64(0)
	for _, n := range h.Fine {
		all += n
	}
	if all != 4 || h.Fine[lastBucket] != 1 || h.Fine[8] != 1 { // 8 buckets to a doubling
		t.Errorf("%v", h.Fine)
	}
	if none := (*Meter)(nil).Histogram(); none.Count != 0 || len(none.Below) != len(none.Bounds) {
		t.Errorf("no meter has %+v", none)
	}
}

func TestLately(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := New()
		near := func(got, want time.Duration) bool { return got >= want && got <= want*11/10 }
		if got := m.Lately(); got != (Recent{}) {
			t.Errorf("of nothing %+v", got)
		}
		for range 98 {
			m.end(time.Millisecond, true)
		}
		m.end(time.Second, true)
		m.end(time.Second, true)
		if got := m.Lately(); got.Count != 100 || !near(got.P50, time.Millisecond) || !near(got.P90, time.Millisecond) || !near(got.P99, time.Second) || !near(got.Max, time.Second) {
			t.Errorf("%+v", got)
		}
		time.Sleep(window) // what was now is before
		m.Lately()
		m.end(10*time.Millisecond, true)
		if got := m.Lately(); got.Count != 101 || !near(got.P50, time.Millisecond) || !near(got.P99, time.Second) {
			t.Errorf("a while later %+v", got)
		}
		time.Sleep(window)
		if got := m.Lately(); got.Count != 1 || !near(got.P50, 10*time.Millisecond) || got.P50 != got.Max {
			t.Errorf("long after %+v", got)
		}
		time.Sleep(2 * window)
		if got := m.Lately(); got != (Recent{}) {
			t.Errorf("very long after %+v", got)
		}
	})
}

// A mark ends with the last of those who carry it, and not before its publisher has done
// with it; who carries it on does so before the one before passes it.
func TestMark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := New()
		k := m.Begin()
		k.Carry()
		k.Pass()
		k.Carry()
		k.End()
		time.Sleep(time.Second)
		k.Carry()
		k.Pass()
		if marks, outboxes := m.UnderWay(); marks != 1 || outboxes != 1 || m.Histogram().Count != 0 {
			t.Errorf("%d marks wait for %d outboxes", marks, outboxes)
		}
		time.Sleep(time.Second)
		k.Pass()
		if h := m.Histogram(); h.Count != 1 || h.Sum != 2 {
			t.Errorf("%d, in all %v s", h.Count, h.Sum)
		}
		m.Begin().End() // whom nobody gets
		marks, outboxes := m.UnderWay()
		if marks != 0 || outboxes != 0 || m.Histogram().Count != 1 {
			t.Errorf("%d marks wait for %d outboxes, %d have ended", marks, outboxes, m.Histogram().Count)
		}
	})
}

// carryAway publishes so many a second for some seconds, to so many outboxes each that
// write at once, and returns how many of them were measured. Somebody asks once a second.
func carryAway(m *Meter, n *uint64, rate, seconds, outboxes int) (measured int) {
	for range seconds {
		for range rate {
			*n++
			if m.Picks(*n) {
				if k := m.Begin(); k != nil {
					measured++
					for range outboxes {
						k.Carry()
						k.Pass()
					}
					k.End()
				}
			}
			time.Sleep(time.Second / time.Duration(rate))
		}
		m.Lately()
	}
	return measured
}

// Of few publications all are measured, of many some, and of few again many.
func TestHowManyAreMeasured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, n := New(), uint64(0)
		if got := carryAway(m, &n, 10, 10, 1); got != 100 {
			t.Errorf("%d of 100", got)
		}
		if got := carryAway(m, &n, 5000, 20, 1); got < perSecond*20/4 || got > perSecond*21 {
			t.Errorf("%d of many", got)
		}
		if odds := m.odds.Load(); odds > math.MaxUint32/16 {
			t.Errorf("as many as one of %d are chosen", math.MaxUint32/odds)
		}
		// The more have to be told, the fewer: one of ten thousand copies every five seconds.
		if got := carryAway(m, &n, 20, 30, 10_000); got < 5 || got > 7 {
			t.Errorf("%d to a crowd", got)
		}
		carryAway(m, &n, 10, 20, 1)
		if got := carryAway(m, &n, 10, 10, 1); got != 100 {
			t.Errorf("%d of 100 long after", got)
		}
	})
}

// Those of a burst are measured from its first to its last.
func TestBurstIsMeasuredToItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, n := New(), uint64(0)
		var quarters [4]int
		for range 60 {
			const burst = 2000
			for i := range burst {
				n++
				if m.Picks(n) {
					if k := m.Begin(); k != nil {
						quarters[i*4/burst]++
						k.End()
					}
				}
			}
			time.Sleep(time.Second)
			m.Lately()
		}
		t.Log(quarters)
		for _, got := range quarters {
			if got < 60*perSecond/32 {
				t.Errorf("measured by quarters: %v", quarters)
				break
			}
		}
	})
}

// Marks that do not end, since a client takes nothing for a minute, leave some for others,
// and are bounded.
func TestMarksOfAStalledRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, n := New(), uint64(0)
		stuck, lately := 0, 0
		for i := range 60 * 1000 {
			n++
			if m.Picks(n) {
				if k := m.Begin(); k != nil {
					k.Carry()
					k.End()
					stuck++
					if i >= 55*1000 {
						lately++
					}
				}
			}
			time.Sleep(time.Millisecond)
			if i%1000 == 0 {
				m.Lately()
			}
		}
		if marks, outboxes := m.UnderWay(); marks != stuck || int(outboxes) != stuck || stuck > maxUnderWay {
			t.Errorf("%d wait, %d were begun", marks, stuck)
		}
		if lately == 0 {
			t.Errorf("none of %d in the last seconds of a minute", stuck)
		}
	})
}

func TestPickingAllocatesNothing(t *testing.T) {
	m, n := New(), uint64(0)
	if got := testing.AllocsPerRun(1000, func() { n++; m.Picks(n) }); got != 0 {
		t.Error(got)
	}
}

func BenchmarkPicks(b *testing.B) {
	m, n := New(), uint64(0)
	m.odds.Store(leastOdds)
	picked := 0
	for b.Loop() {
		if n++; m.Picks(n) {
			picked++
		}
	}
}
