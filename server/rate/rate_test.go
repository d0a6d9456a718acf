package rate

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestRateText(t *testing.T) {
	for text, want := range map[string]Rate{"100/60s": {100, time.Minute}, "5/s": {5, time.Second}, "1/1h30m": {1, 90 * time.Minute}, "off": {Limit: -1}} {
		var r, again Rate
		if err := r.UnmarshalText([]byte(text)); err != nil || r != want {
			t.Errorf("%s: %+v, %v", text, r, err)
		}
		if err := again.UnmarshalText([]byte(r.String())); err != nil || again != r {
			t.Errorf("%s: printed as %s", text, r)
		}
	}
	for _, text := range []string{"", "5", "/s", "0/s", "-1/s", "5/0s", "5/48h", "5/x", "on"} {
		if err := new(Rate).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}

func TestPace(t *testing.T) {
	var p Pace
	r := Rate{10, time.Second}
	took := 0
	for ms := range 5000 {
		if p.Allow(r, 20, time.Duration(ms)*time.Millisecond) {
			took++
		}
	}
	if took < 20+49 || took > 20+50 {
		t.Errorf("%d in 5 s", took)
	}
	for i := range 30 { // after a rest
		if ok := p.Allow(r, 20, time.Hour); ok != (i < 20) {
			t.Errorf("number %d: %v", i, ok)
		}
	}
	if off := (Rate{Limit: -1}); !p.Allow(off, 0, 0) {
		t.Error("off is a limit")
	}
}

// TestAllowances looks at what is said of each of several requests in a row.
func TestAllowances(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, l := range map[string]*Limiter{"together": New(Rate{2, time.Hour}), "by address": PerAddress(Rate{2, time.Hour})} {
			for i, want := range []Allowance{
				{OK: true, Limit: 2, Remaining: 1, Reset: 30 * time.Minute},
				{OK: true, Limit: 2, Remaining: 0, Reset: time.Hour},
				{Limit: 2, Remaining: 0, Reset: time.Hour, Retry: 30 * time.Minute},
			} {
				if got := l.Take("192.0.2.1:1"); got != want {
					t.Errorf("%s, number %d: %+v, want %+v", name, i, got, want)
				}
			}
			time.Sleep(30 * time.Minute)
			if got, want := l.Take("192.0.2.1:1"), (Allowance{OK: true, Limit: 2, Reset: time.Hour}); got != want {
				t.Errorf("%s, later: %+v, want %+v", name, got, want)
			}
		}
	})
}

// TestNoLimit has no limiter allow everything.
func TestNoLimit(t *testing.T) {
	for _, off := range []Rate{{}, {Limit: -1}} {
		for _, l := range []*Limiter{New(off), PerAddress(off)} {
			for range 3 {
				if a := l.TakeOf("192.0.2.1:1", "x"); l != nil || a != (Allowance{OK: true}) {
					t.Errorf("%v: %+v", off, a)
				}
			}
		}
	}
}

// TestAddresses tells networks and things apart.
func TestAddresses(t *testing.T) {
	l := PerAddress(Rate{1, time.Hour})
	for _, test := range []struct {
		remote, of string
		ok         bool
	}{
		{"192.0.2.1:1", "", true}, {"192.0.2.1:2", "", false}, {"192.0.2.2:1", "", true}, {"[::ffff:192.0.2.2]:1", "", false},
		{"[2001:db8::1]:1", "", true}, {"[2001:db8::ffff:1]:1", "", false}, {"[2001:db8:0:1::1]:1", "", true},
		{"192.0.2.1:1", "key", true}, {"192.0.2.1:1", "key", false}, {"192.0.2.1:1", "other", true},
	} {
		if a := l.TakeOf(test.remote, test.of); a.OK != test.ok {
			t.Errorf("%s %s: %+v", test.remote, test.of, a)
		}
	}
	together := New(Rate{1, time.Hour})
	if !together.TakeOf("192.0.2.1:1", "a").OK || together.TakeOf("192.0.2.2:1", "b").OK {
		t.Error("all together are told apart")
	}
}

// TestLimiterForgets bounds the addresses that are known.
func TestLimiterForgets(t *testing.T) {
	l := PerAddress(Rate{1, time.Hour})
	for i := range maxAddresses + 10 {
		l.Take(fmt.Sprintf("[2001:db8:%x:%x::1]:5", i>>16, i&0xffff))
	}
	if n := l.byAddr.Len(); n != maxAddresses {
		t.Errorf("%d addresses are kept", n)
	}
}

// TestLimiterIsShared has many ask at once.
func TestLimiterIsShared(t *testing.T) {
	const askers, rate = 8, 100
	for _, l := range []*Limiter{New(Rate{rate, 24 * time.Hour}), PerAddress(Rate{rate, 24 * time.Hour})} {
		var all sync.WaitGroup
		allowed := make(chan int, askers)
		for range askers {
			all.Go(func() {
				n := 0
				for range rate {
					if l.Take("192.0.2.1:1").OK {
						n++
					}
				}
				allowed <- n
			})
		}
		all.Wait()
		close(allowed)
		sum := 0
		for n := range allowed {
			sum += n
		}
		if sum != rate {
			t.Errorf("%d are allowed", sum)
		}
	}
}

// TestReturn: what was taken for nothing can be taken again, and no more than that.
func TestReturn(t *testing.T) {
	for name, l := range map[string]*Limiter{"together": New(Rate{2, time.Hour}), "by address": PerAddress(Rate{2, time.Hour})} {
		const from = "192.0.2.1:80"
		l.Return(from) // a full bucket stays as it is
		l.Take(from)
		l.Take(from)
		if l.Take(from).OK {
			t.Fatalf("%s: three of two", name)
		}
		l.Return(from)
		if a := l.Take(from); !a.OK {
			t.Errorf("%s: what was given back is gone", name)
		}
		if l.Take(from).OK {
			t.Errorf("%s: more came back than was taken", name)
		}
	}
	(*Limiter)(nil).Return("192.0.2.1:80")
}
