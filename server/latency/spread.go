package latency

import (
	"math"
	"slices"
	"time"

	"poosh/server/metric"
)

const (
	// schema says how fine the exponential buckets are, as Prometheus counts it: eight to
	// each doubling, so that one is 9 % wide.
	schema      = 3
	perDoubling = 1 << schema
	// Buckets reach from a microsecond to four minutes; what is shorter or longer is in the
	// first or the last.
	firstBucket = -20 * perDoubling
	lastBucket  = 8 * perDoubling
	buckets     = lastBucket - firstBucket + 1
)

// bounds are those of the buckets that older collectors read, in seconds.
var bounds = [...]float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}

// bucketOf returns the exponential bucket of a duration: bucket i has those up to
// 2^(i/perDoubling) seconds that are above the bound before.
func bucketOf(took time.Duration) int {
	return min(lastBucket, max(firstBucket, int(math.Ceil(math.Log2(max(took.Seconds(), 1e-9))*perDoubling))))
}

// upTo is the upper bound of an exponential bucket.
func upTo(bucket int) time.Duration {
	return time.Duration(math.Exp2(float64(bucket)/perDoubling) * float64(time.Second))
}

// A spread is how many took how long, since the start.
type spread struct {
	count  uint64
	sum    time.Duration
	fine   [buckets]uint64
	coarse [len(bounds) + 1]uint64 // by bounds; not cumulated
}

func (s *spread) add(took time.Duration) {
	s.count++
	s.sum += took
	s.fine[bucketOf(took)-firstBucket]++
	i, _ := slices.BinarySearch(bounds[:], took.Seconds())
	s.coarse[i]++
}

// Histogram returns how long measured publications took, in seconds, since the start; of no
// meter nothing.
func (m *Meter) Histogram() *metric.Histogram {
	s := new(spread)
	if m != nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		s = &m.spread
	}
	h := &metric.Histogram{Count: s.count, Sum: s.sum.Seconds(), Bounds: bounds[:], Schema: schema, Fine: make(map[int]int64)}
	below := uint64(0)
	for i := range bounds {
		below += s.coarse[i]
		h.Below = append(h.Below, below)
	}
	for i, n := range s.fine {
		if n > 0 {
			h.Fine[i+firstBucket] = int64(n)
		}
	}
	return h
}

// window is for how long recent keeps what took how long, at least.
const window = 5 * time.Second

// recent is how many took how long lately: since the last turn, and between the two before
// it.
type recent struct {
	now, before [buckets]uint32
	turned      time.Time
}

func (r *recent) add(took time.Duration) { r.now[bucketOf(took)-firstBucket]++ }

// turn forgets what was before the last turn, if that is long ago.
func (r *recent) turn(now time.Time) {
	switch since := now.Sub(r.turned); {
	case since < window:
		return
	case since < 2*window:
		r.before = r.now
	default:
		clear(r.before[:])
	}
	clear(r.now[:])
	r.turned = now
}

// A Recent is how long what ended lately took: of Count publications half took no longer
// than P50, and so on, to about a tenth.
type Recent struct {
	Count              uint64
	P50, P90, P99, Max time.Duration
}

// sum adds up what is kept.
func (r *recent) sum() (all Recent) {
	for i := range r.now {
		all.Count += uint64(r.now[i]) + uint64(r.before[i])
	}
	below := uint64(0)
	for i := range r.now {
		here := uint64(r.now[i]) + uint64(r.before[i])
		if here == 0 {
			continue
		}
		for _, q := range []struct {
			part float64
			of   *time.Duration
		}{{0.5, &all.P50}, {0.9, &all.P90}, {0.99, &all.P99}, {1, &all.Max}} {
			if wanted := uint64(math.Ceil(q.part * float64(all.Count))); below < wanted && below+here >= wanted {
				*q.of = upTo(i + firstBucket)
			}
		}
		below += here
	}
	return all
}

// Lately returns how long what ended in the last five to ten seconds took; zero where nothing
// did, and for no meter. Somebody should ask about once a second: then it also sees whether
// more publications can be measured.
func (m *Meter) Lately() Recent {
	if m == nil {
		return Recent{}
	}
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.adapt(now)
	m.recent.turn(now)
	return m.recent.sum()
}
