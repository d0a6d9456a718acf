package pusher

import (
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"

	"poosh/server/peers"
	"poosh/server/setting"
)

// A Rate is how many things are allowed in a span of time. A negative Limit is no
// limit; the zero Rate is the default of where it stands.
type Rate struct {
	Limit int
	Per   time.Duration
}

// UnmarshalText reads "100/60s", the short form "100/s", or "off".
func (r *Rate) UnmarshalText(text []byte) error {
	limit, per, ok := setting.ParseRatio(string(text))
	if !ok {
		return fmt.Errorf("%q: want a number and a time such as 100/60s, or off", text)
	}
	*r = Rate{limit, per}
	return nil
}

// String is the form that UnmarshalText reads.
func (r Rate) String() string {
	if r.Limit <= 0 {
		return "off"
	}
	return strconv.Itoa(r.Limit) + "/" + r.Per.String()
}

// bucket returns a full token bucket of the rate.
func (r Rate) bucket() *rate.Limiter {
	return rate.NewLimiter(rate.Limit(float64(r.Limit)/r.Per.Seconds()), r.Limit)
}

// A pace holds one thing to a rate, in eight bytes: each connection has one. It is
// the time at which all that was allowed would have been used up at an even pace (the
// generic cell rate algorithm). The zero pace is at rest.
type pace time.Duration

// allow reports whether one more is allowed at now, of which burst may come at once.
func (p *pace) allow(r Rate, burst int, now time.Duration) bool {
	if r.Limit <= 0 {
		return true
	}
	each := r.Per / time.Duration(r.Limit)
	next := max(time.Duration(*p), now) + each
	if next-now > each*time.Duration(burst) {
		return false
	}
	*p = pace(next)
	return true
}

// maxAddresses bounds the addresses that a limiter tells apart. The one not seen
// for longest is forgotten, and starts afresh if it comes back.
const maxAddresses = 1 << 16

// A limiter holds things to a rate, all together or by address.
type limiter struct {
	rate   Rate
	whole  *rate.Limiter                         // nil when by address
	byAddr *lru.Cache[netip.Addr, *rate.Limiter] // nil when together
}

// newLimiter returns a limiter for all together; nil for no limit.
func newLimiter(r Rate) *limiter {
	if r.Limit <= 0 {
		return nil
	}
	return &limiter{rate: r, whole: r.bucket()}
}

// newAddressLimiter returns a limiter for each address; nil for no limit.
func newAddressLimiter(r Rate) *limiter {
	if r.Limit <= 0 {
		return nil
	}
	cache, err := lru.New[netip.Addr, *rate.Limiter](maxAddresses)
	if err != nil {
		panic(err) // for a size that is not positive
	}
	return &limiter{rate: r, byAddr: cache}
}

// An allowance is what a limiter says of one request.
type allowance struct {
	ok        bool
	limit     int
	remaining int
	reset     time.Duration // until all of limit is there again
	retry     time.Duration // until the next is allowed
}

// take asks for one. remote is the client's address with its port. It is nil-safe:
// no limiter has no say, which is an allowance without a limit.
func (l *limiter) take(remote string) allowance {
	if l == nil {
		return allowance{ok: true}
	}
	bucket := l.whole
	if bucket == nil {
		who := peers.Of(remote)
		var known bool
		if bucket, known = l.byAddr.Get(who); !known {
			bucket = l.rate.bucket()
			if other, there, _ := l.byAddr.PeekOrAdd(who, bucket); there {
				bucket = other
			}
		}
	}
	now := time.Now()
	a := allowance{ok: bucket.AllowN(now, 1), limit: l.rate.Limit}
	tokens := bucket.TokensAt(now)
	each := l.rate.Per.Seconds() / float64(l.rate.Limit)
	a.remaining = max(0, int(tokens))
	a.reset = time.Duration((float64(l.rate.Limit) - tokens) * each * float64(time.Second))
	if !a.ok {
		a.retry = time.Duration((1 - tokens) * each * float64(time.Second))
	}
	return a
}

// tell writes the headers of an allowance, unless a tighter one has been written.
// Sockudo has the names; seconds are rounded up.
func (a allowance) tell(h http.Header) {
	if a.limit == 0 {
		return
	}
	if old, err := strconv.Atoi(h.Get("X-RateLimit-Remaining")); err == nil && old < a.remaining {
		return
	}
	h.Set("X-RateLimit-Limit", strconv.Itoa(a.limit))
	h.Set("X-RateLimit-Remaining", strconv.Itoa(a.remaining))
	h.Set("X-RateLimit-Reset", seconds(a.reset))
}

func seconds(d time.Duration) string {
	return strconv.Itoa(max(0, int(math.Ceil(d.Seconds()))))
}

// err is what a request over the limit is answered with; nil within it.
func (a allowance) err() error {
	if a.ok {
		return nil
	}
	return &apiError{status: http.StatusTooManyRequests, code: "rate_limited",
		text: "too many requests", retry: max(a.retry, time.Second)}
}
