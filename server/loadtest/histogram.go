package loadtest

import (
	"math/bits"
	"time"
)

const (
	subBits    = 7 // a bucket is at most 1/128 of its values wide
	subBuckets = 1 << subBits
)

// A Histogram counts durations in buckets whose width grows with the value, so
// that a quantile is right to within one percent at any size. Its zero value is
// empty. It is not for concurrent use.
type Histogram struct {
	buckets [(64 - subBits) * subBuckets]uint64
	count   uint64
	max     time.Duration
}

// Record counts d; negative durations count as zero.
func (h *Histogram) Record(d time.Duration) {
	d = max(d, 0)
	h.buckets[bucket(uint64(d))]++
	h.count++
	h.max = max(h.max, d)
}

// Max returns the largest duration recorded.
func (h *Histogram) Max() time.Duration { return h.max }

// Count returns how many durations were recorded.
func (h *Histogram) Count() uint64 { return h.count }

// Quantile returns the duration that a share q (0 to 1) of all recorded ones do
// not exceed, or zero when there are none.
func (h *Histogram) Quantile(q float64) time.Duration {
	if h.count == 0 {
		return 0
	}
	rank := max(uint64(q*float64(h.count)+0.5), 1)
	var seen uint64
	for i, n := range h.buckets {
		if seen += n; seen >= rank {
			return min(time.Duration(upper(i)), h.max)
		}
	}
	return h.max
}

// bucket returns the index for a value: below 2*subBuckets the value itself, above
// its highest set bit and the subBits after that.
func bucket(v uint64) int {
	shift := max(bits.Len64(v)-subBits-1, 0)
	return shift<<subBits + int(v>>shift)
}

// upper returns the largest value of a bucket.
func upper(i int) uint64 {
	if i < 2*subBuckets {
		return uint64(i)
	}
	shift := i>>subBits - 1
	return (uint64(i&(subBuckets-1)|subBuckets)+1)<<shift - 1
}

// Add counts what another one has counted too.
func (h *Histogram) Add(other *Histogram) {
	for i, n := range other.buckets {
		h.buckets[i] += n
	}
	h.count += other.count
	h.max = max(h.max, other.max)
}
