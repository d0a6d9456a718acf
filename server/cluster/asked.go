package cluster

import (
	"maps"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"poosh/server/metric"
)

// Asked is what became of questions of nodes to each other, since the start. What a node asks
// and answers itself does not count, and neither do questions of one that is alone.
type Asked struct {
	Whole, Partly uint64 // of this node: all others answered, or not all of them in time
	Answers       uint64 // that came from others
	Heard         uint64 // of others, that this node answered

	Took *metric.Histogram // by this node's questions, in seconds
}

// askBounds are those that other servers have for the same, in seconds.
var askBounds = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

// An asked counts them.
type asked struct {
	answers, heard atomic.Uint64

	mu            sync.Mutex // guards what follows
	whole, partly uint64
	sum           time.Duration
	coarse        [12]uint64 // by askBounds, and above; not cumulated
	fine          map[int]int64
}

// perDoubling is how many exponential buckets are between one time and twice that, and lastBucket
// those of 2^-20 and of 2^8 seconds in both directions.
const (
	askSchema               = 3
	perDoubling             = 1 << askSchema
	firstBucket, lastBucket = -20 * perDoubling, 8 * perDoubling
)

// end counts a question that is over.
func (a *asked) end(took time.Duration, whole bool) {
	bucket := int(math.Ceil(math.Log2(max(took.Seconds(), 1e-9)) * perDoubling))
	i, _ := slices.BinarySearch(askBounds, took.Seconds())
	a.mu.Lock()
	defer a.mu.Unlock()
	if whole {
		a.whole++
	} else {
		a.partly++
	}
	a.sum += took
	a.coarse[i]++
	if a.fine == nil {
		a.fine = make(map[int]int64)
	}
	a.fine[min(lastBucket, max(firstBucket, bucket))]++
}

// Asked is what became of questions so far.
func (c *Cluster) Asked() Asked {
	a := &c.asks.asked
	a.mu.Lock()
	defer a.mu.Unlock()
	h := &metric.Histogram{Count: a.whole + a.partly, Sum: a.sum.Seconds(), Bounds: askBounds, Schema: askSchema, Fine: maps.Clone(a.fine)}
	below := uint64(0)
	for i := range askBounds {
		below += a.coarse[i]
		h.Below = append(h.Below, below)
	}
	return Asked{a.whole, a.partly, a.answers.Load(), a.heard.Load(), h}
}

// askReadings are the numbers of that.
func (c *Cluster) askReadings() []metric.Reading {
	n := c.Asked()
	return []metric.Reading{
		metric.Counters("", "cluster_asks_total", "Questions of this node to the others, by whether all of them answered in time.", "outcome",
			[]metric.Sample{metric.Of(n.Whole, "answered"), metric.Of(n.Partly, "incomplete")}),
		metric.Counter("", "cluster_answers_received_total", "Answers of other nodes to questions of this one.", n.Answers),
		metric.Counter("", "cluster_asks_received_total", "Questions of other nodes that this one answered.", n.Heard),
		{Name: "cluster_ask_duration_seconds", Help: "Time from a question to the other nodes until all had answered, or none was waited for any more.", Kind: metric.IsHistogram, Histogram: n.Took},
	}
}
