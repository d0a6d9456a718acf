// Package rate bounds how often something may happen: all together, for each address,
// or for each of a great many connections. It knows no protocol; who asks says no in
// its own words.
//
// # Why
//
// Token buckets are golang.org/x/time/rate's, which has what an answer to a client
// needs (how many are left, and until when) and a lock of its own. A bucket for each
// of a hundred thousand connections would be too much: they have a [Pace], which is
// eight bytes and no lock.
package rate

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A Rate is how many things are allowed in a span of time. A negative Limit is no
// limit; the zero Rate is the default of where it stands.
type Rate struct {
	Limit int
	Per   time.Duration
}

// UnmarshalText reads "100/60s", the short form "100/s", or "off".
func (r *Rate) UnmarshalText(text []byte) error {
	if string(text) == "off" {
		*r = Rate{Limit: -1}
		return nil
	}
	number, span, _ := strings.Cut(string(text), "/")
	n, err := strconv.ParseUint(number, 10, 31)
	if span == "s" || span == "m" || span == "h" {
		span = "1" + span
	}
	per, err2 := time.ParseDuration(span)
	if err != nil || err2 != nil || n == 0 || per < time.Millisecond || per > 24*time.Hour {
		return fmt.Errorf("%q: want a number and a time such as 100/60s, or off", text)
	}
	*r = Rate{int(n), per}
	return nil
}

// String is the form that UnmarshalText reads, as one would write it: 600/60s.
func (r Rate) String() string {
	switch {
	case r.Limit <= 0:
		return "off"
	case r.Per%time.Second == 0:
		return fmt.Sprintf("%d/%ds", r.Limit, r.Per/time.Second)
	}
	return strconv.Itoa(r.Limit) + "/" + r.Per.String()
}

// A Pace holds one thing to a rate, in eight bytes. It is the time at which all that
// was allowed would have been used up at an even pace (the generic cell rate
// algorithm). The zero Pace is at rest. Its owner locks.
type Pace time.Duration

// Allow reports whether one more is allowed at now, of which burst may come at once.
// now is any clock that does not go back.
func (p *Pace) Allow(r Rate, burst int, now time.Duration) bool {
	if r.Limit <= 0 {
		return true
	}
	if p.Spent(r, burst, now) {
		return false
	}
	*p = Pace(p.next(r, now))
	return true
}

// Spent reports whether [Pace.Allow] would not allow one more, and takes nothing.
func (p *Pace) Spent(r Rate, burst int, now time.Duration) bool {
	return r.Limit > 0 && p.next(r, now)-now > r.each()*time.Duration(burst)
}

func (p *Pace) next(r Rate, now time.Duration) time.Duration {
	return max(time.Duration(*p), now) + r.each()
}

func (r Rate) each() time.Duration { return r.Per / time.Duration(r.Limit) }
