package rate

import (
	"net/netip"
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
}

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
	return &Limiter{rate: r, whole: r.bucket()}
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
	return &Limiter{rate: r, byAddr: buckets}
}

// bucket returns a full token bucket of the rate.
func (r Rate) bucket() *tokens.Limiter {
	return tokens.NewLimiter(tokens.Limit(float64(r.Limit)/r.Per.Seconds()), r.Limit)
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
	if !a.OK {
		a.Retry = max(time.Duration((1-left)*each*float64(time.Second)), time.Millisecond)
	}
	return a
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
