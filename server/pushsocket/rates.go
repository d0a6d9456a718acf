package pushsocket

import (
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"

	"poosh/server/peers"
)

// A Rate is how many things are allowed in a span of time. A negative Limit is no
// limit; the zero Rate is the default of where it stands.
type Rate struct {
	Limit int
	Per   time.Duration
}

// maxAddresses bounds how many a limiter tells apart. The one not seen for longest
// is forgotten, and starts afresh if it comes back.
const maxAddresses = 1 << 16

// A limiter holds each address to a rate: an IPv4 address, or an IPv6 network as
// [peers.Of] has it. Its methods may be called from any goroutine; a nil limiter
// allows everything.
type limiter struct {
	rate    Rate
	buckets *lru.Cache[asker, *rate.Limiter]
}

// An asker is an address, and what it asks for if that counts by itself.
type asker struct {
	from netip.Addr
	what string
}

// newLimiter returns a limiter, nil for no limit.
func newLimiter(r Rate) *limiter {
	if r.Limit <= 0 {
		return nil
	}
	buckets, err := lru.New[asker, *rate.Limiter](maxAddresses)
	if err != nil {
		panic(err) // for a size that is not positive
	}
	return &limiter{r, buckets}
}

// take asks for one more of something, or of anything when what is empty, for an
// address with its port. It returns 0, or how long to wait.
func (l *limiter) take(remote, what string) time.Duration {
	if l == nil {
		return 0
	}
	who := asker{peers.Of(remote), what}
	bucket, known := l.buckets.Get(who)
	if !known {
		bucket = rate.NewLimiter(rate.Limit(float64(l.rate.Limit)/l.rate.Per.Seconds()), l.rate.Limit)
		if other, there, _ := l.buckets.PeekOrAdd(who, bucket); there {
			bucket = other
		}
	}
	now := time.Now() // its monotonic reading is what counts
	if bucket.AllowN(now, 1) {
		return 0
	}
	missing := 1 - bucket.TokensAt(now)
	return max(time.Duration(missing*l.rate.Per.Seconds()/float64(l.rate.Limit)*float64(time.Second)), time.Millisecond)
}

// within asks a limiter for a request, for something as [limiter.take] has it, or
// answers 429 by itself.
func (d *Dialect) within(l *limiter, w http.ResponseWriter, r *http.Request, of, what string) bool {
	wait := l.take(r.RemoteAddr, of)
	if wait == 0 {
		return true
	}
	w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
	d.reject(w, http.StatusTooManyRequests, "too many "+what, "too many "+what+" from this address, please try again later")
	return false
}
