package server

import (
	"cmp"
	"testing"
	"testing/synctest"
	"time"

	"poosh/server/dialect"
)

// A leaving client notes when it was sent away. Some take their time, as if the process
// stood still.
type leaving struct {
	began time.Time
	at    *[]time.Duration
	takes time.Duration
}

func (l leaving) Leave() {
	*l.at = append(*l.at, time.Since(l.began))
	time.Sleep(l.takes)
}

// busiest returns how many of the times, which are sorted, are within one second.
func busiest(times []time.Duration) (most int) {
	from := 0
	for i, at := range times {
		for at-times[from] >= time.Second {
			from++
		}
		most = max(most, i-from+1)
	}
	return most
}

// Clients leave evenly, and in time, and never much faster than that: not after the process
// stood still, either.
func TestPace(t *testing.T) {
	for _, c := range []struct {
		name          string
		clients       int
		over          time.Duration
		limit         time.Duration         // an eighth more than over, if it is 0
		stalls        map[int]time.Duration // what some of them take
		least, within time.Duration         // that it took
	}{
		{name: "many", clients: 5000, over: 20 * time.Second, least: 19 * time.Second, within: 20100 * time.Millisecond},
		{name: "few", clients: 7, over: 3500 * time.Millisecond, least: 2900 * time.Millisecond, within: 3600 * time.Millisecond},
		{name: "one", clients: 1, over: time.Second, within: 1100 * time.Millisecond},
		{name: "at once", clients: 100, within: 40 * time.Millisecond},
		{name: "nobody", within: 0},
		{name: "a process that stands still", clients: 5000, over: 20 * time.Second, least: 19 * time.Second, within: 21 * time.Second,
			stalls: map[int]time.Duration{1000: 700 * time.Millisecond, 2000: 300 * time.Millisecond}},
		{name: "few in a process that stands still", clients: 100, over: 500 * time.Millisecond, limit: 4 * time.Second, within: time.Second,
			stalls: map[int]time.Duration{30: 200 * time.Millisecond}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				var times []time.Duration
				all := make([]dialect.Leaver, c.clients)
				for i := range all {
					all[i] = leaving{began, &times, c.stalls[i]}
				}
				if left := pace(all, c.over, cmp.Or(c.limit, c.over+c.over/8)); left > 0 || len(times) != c.clients {
					t.Errorf("%d left, and %d remain", len(times), left)
				}
				if took := time.Since(began); took < c.least || took > c.within {
					t.Errorf("took %v, want %v to %v", took, c.least, c.within)
				}
				if c.over < time.Second {
					return
				}
				// One more than even may be due in a second.
				if most, even := busiest(times), float64(c.clients)/c.over.Seconds(); float64(most) > 1.12*even+1 {
					t.Errorf("%d in one second, the pace is %v", most, even)
				}
			})
		})
	}
}

// A process that cannot keep the pace does not take for ever.
func TestPaceThatCannotBeKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var times []time.Duration
		all := make([]dialect.Leaver, 1000)
		for i := range all {
			all[i] = leaving{began, &times, 50 * time.Millisecond}
		}
		left := pace(all, 10*time.Second, 11*time.Second)
		if took := time.Since(began); left != len(all)-len(times) || left < 700 || took > 12*time.Second {
			t.Errorf("%d left in %v, and %d remain", len(times), took, left)
		}
	})
}
