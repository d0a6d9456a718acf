package rate

import (
	"net/netip"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	tokens "golang.org/x/time/rate"

	"poosh/server/peers"
)

// maxAddresses bounds the addresses that a limiter tells apart. The one not seen
// for longest is forgotten, and starts afresh if it comes back.
const maxAddresses = 1 << 16

// A Limiter holds things to a rate, all together or by address. Its methods may be
// called from any goroutine; a nil Limiter allows everything.
type Limiter struct {
	rate   Rate
	whole  *tokens.Limiter                    // nil when by address
	byAddr *lru.Cache[asker, *tokens.Limiter] // nil when together

	*counts
}

// counts are what a limiter did, and those that it was made of.
type counts struct{ asked, refused atomic.Uint64 }

// An asker is an address, and what it asks for if that counts by itself.
type asker struct {
	from netip.Addr
	what string
}

// New returns a limiter for all together; nil for no limit.
func New(r Rate) *Limiter {
	if r.Limit <= 0 {
		return nil
	}
	return &Limiter{rate: r, whole: r.bucket(), counts: new(counts)}
}

// PerAddress returns a limiter for each address: an IPv4 address, or an IPv6 network
// as [peers.Of] has it. It is nil for no limit.
func PerAddress(r Rate) *Limiter {
	if r.Limit <= 0 {
		return nil
	}
	buckets, err := lru.New[asker, *tokens.Limiter](maxAddresses)
	if err != nil {
		panic(err) // for a size that is not positive
	}
	return &Limiter{rate: r, byAddr: buckets, counts: new(counts)}
}

// bucket returns a full token bucket of the rate.
func (r Rate) bucket() *tokens.Limiter {
	return tokens.NewLimiter(tokens.Limit(float64(r.Limit)/r.Per.Seconds()), r.Limit)
}

// Follow returns the limiter that next is where it has another rate than l, which it goes
// on counting for, and l otherwise, with all that it knows. Both may be nil.
func (l *Limiter) Follow(next *Limiter) *Limiter {
	if l == nil || next == nil {
		return next
	}
	if l.rate == next.rate {
		return l
	}
	next.counts = l.counts
	return next
}

// An Allowance is what a limiter says of one request. That of no limiter has OK and
// nothing else.
type Allowance struct {
	OK        bool
	Limit     int
	Remaining int
	Reset     time.Duration // until all of Limit is there again
	Retry     time.Duration // until the next is allowed; 0 when this one is
}

// Take asks for one. remote is the client's address with its port.
func (l *Limiter) Take(remote string) Allowance { return l.TakeOf(remote, "") }

// TakeOf asks for one of something that counts by itself, such as one key. A limiter
// for all together does not tell things apart.
func (l *Limiter) TakeOf(remote, what string) Allowance {
	if l == nil {
		return Allowance{OK: true}
	}
	bucket := l.whole
	if bucket == nil {
		bucket = l.of(asker{peers.Of(remote), what})
	}
	now := time.Now() // its monotonic reading is what counts
	a := Allowance{OK: bucket.AllowN(now, 1), Limit: l.rate.Limit}
	left := bucket.TokensAt(now)
	each := l.rate.Per.Seconds() / float64(l.rate.Limit)
	a.Remaining = max(0, int(left))
	a.Reset = time.Duration((float64(l.rate.Limit) - left) * each * float64(time.Second))
	l.asked.Add(1)
	if !a.OK {
		l.refused.Add(1)
		a.Retry = max(l.retry(left), time.Millisecond)
	}
	return a
}

// Wait returns how long it takes until [Limiter.Take] allows one, 0 when it would now. It
// takes nothing and keeps nothing.
func (l *Limiter) Wait(remote string) time.Duration {
	if l == nil {
		return 0
	}
	bucket := l.whole
	if bucket == nil {
		var known bool
		if bucket, known = l.byAddr.Peek(asker{peers.Of(remote), ""}); !known {
			return 0
		}
	}
	return l.retry(bucket.TokensAt(time.Now()))
}

// retry is the time until a bucket that has so many left has one.
func (l *Limiter) retry(left float64) time.Duration {
	if left >= 1 {
		return 0
	}
	each := l.rate.Per.Seconds() / float64(l.rate.Limit)
	return max(time.Duration((1-left)*each*float64(time.Second)), time.Millisecond)
}

// Counts returns how often the limiter was asked, and how often it said no.
func (l *Limiter) Counts() (asked, refused uint64) {
	if l == nil {
		return 0, 0
	}
	refused = l.refused.Load() // first: it is never more
	return l.asked.Load(), refused
}

// Return gives back what Take took for something that was not done after all.
func (l *Limiter) Return(remote string) {
	if l == nil {
		return
	}
	bucket := l.whole
	if bucket == nil {
		bucket = l.of(asker{peers.Of(remote), ""})
	}
	l.asked.Add(^uint64(0))
	bucket.AllowN(time.Now(), -1) // a bucket takes less than nothing, TestReturn
}

// of returns the bucket of an asker.
func (l *Limiter) of(who asker) *tokens.Limiter {
	bucket, known := l.byAddr.Get(who)
	if known {
		return bucket
	}
	bucket = l.rate.bucket()
	if other, there, _ := l.byAddr.PeekOrAdd(who, bucket); there {
		return other
	}
	return bucket
}
