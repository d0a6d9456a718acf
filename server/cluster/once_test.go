//go:build unix

package cluster

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"poosh/server/cluster/redistest"
)

func TestOnce(t *testing.T) {
	redis := redistest.Start(t)
	r := new(radio)
	ears := three(t, r, onceConfig(t, redis.Addr), redis.Addr)
	for _, e := range ears {
		e.enter("a", "b")
	}
	leader(t, ears...)
	var a, b []string
	for i := range 300 {
		r.say(fmt.Sprintf("a:%d", i), "a,b:same")
		a, b = append(a, fmt.Sprint(i), "same"), append(b, "same")
	}
	for _, e := range ears {
		e.wantIn("a", a)
		e.wantIn("b", b)
	}
}

// TestOnceLeaderDies: its messages are taken by another node, each once and in order, with texts that are
// all equal too.
func TestOnceLeaderDies(t *testing.T) {
	for _, c := range []struct {
		how string
		do  func(e *ear)
	}{
		{"killed", func(e *ear) { e.wire.Cut(); e.tune(false) }},
		{"paused", func(e *ear) { e.stand(true) }},
		{"cut off from the cluster", func(e *ear) { e.wire.Cut() }},
		{"cut off from the source", func(e *ear) { e.tune(false) }},
		{"resigns", func(e *ear) { e.source.Resign() }},
	} {
		t.Run(c.how, func(t *testing.T) {
			t.Parallel()
			redis := redistest.Start(t)
			r := new(radio)
			ears := three(t, r, onceConfig(t, redis.Addr), redis.Addr)
			for _, e := range ears {
				e.enter("a", "b")
			}
			leader(t, ears...)
			known(t, ears...)
			var a, b []string
			say := func(from, to int) {
				for i := from; i < to; i++ {
					r.say(fmt.Sprintf("a:%d", i), "b:same")
					a, b = append(a, fmt.Sprint(i)), append(b, "same")
					if i%10 == 0 {
						time.Sleep(time.Millisecond)
					}
				}
			}
			say(0, 500)
			first, others := leader(t, ears...) // a busy machine may have had another one lead meanwhile
			c.do(first)
			say(500, 1000)
			leader(t, others...)
			say(1000, 1200)
			for _, e := range others {
				e.wantIn("a", a)
				e.wantIn("b", b)
			}
			// It comes back, and is as the others are.
			first.wire.Heal()
			first.tune(true)
			first.stand(false)
			say(1200, 1500)
			for _, e := range others {
				e.wantIn("a", a)
				e.wantIn("b", b)
			}
		})
	}
}

// TestOnceEngineForgets: a FLUSHALL costs nothing and doubles nothing, as long as who leads is there.
func TestOnceEngineForgets(t *testing.T) {
	redis := redistest.Start(t)
	r := new(radio)
	ears := three(t, r, config(t, at(redis.Addr)), redis.Addr) // of whom none is given up for a stall of the machine
	for _, e := range ears {
		e.enter("a", "b")
	}
	leader(t, ears...)
	known(t, ears...)
	var a, b []string
	for i := range 600 {
		if i%200 == 100 {
			redis.Do("FLUSHALL")
		}
		if i == 550 { // with what was taken since in the log
			for _, e := range ears {
				e.wantIn("a", a)
				e.wantIn("b", b)
			}
			first, _ := leader(t, ears...)
			first.tune(false) // and another one goes on in what is left
		}
		r.say(fmt.Sprintf("a:%d", i), "b:same")
		a, b = append(a, fmt.Sprint(i)), append(b, "same")
		time.Sleep(time.Millisecond)
	}
	for _, e := range ears {
		e.wantIn("a", a)
		e.wantIn("b", b)
	}
}

// TestOnceEngineAway: what is read while the engine stands still, or is gone and comes back empty, is
// published when it is back.
func TestOnceEngineAway(t *testing.T) {
	for _, how := range []string{"stands still", "restarted"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			redis := redistest.Start(t)
			r := new(radio)
			ears := three(t, r, onceConfig(t, redis.Addr), redis.Addr)
			for _, e := range ears {
				e.enter("a")
			}
			leader(t, ears...)
			var want []string
			say := func(n int) {
				for range n {
					r.say(fmt.Sprintf("a:%d", len(want)))
					want = append(want, fmt.Sprint(len(want)))
				}
			}
			say(100)
			for _, e := range ears {
				e.wantIn("a", want)
			}
			level(t, ears...) // else what had no answer yet is published again
			if how == "restarted" {
				redis.Kill()
			} else {
				redis.Signal(syscall.SIGSTOP)
			}
			say(100)
			time.Sleep(onceConfig(t, redis.Addr).Lease + time.Second)
			say(100)
			if how == "restarted" {
				redis.Run()
			} else {
				redis.Signal(syscall.SIGCONT)
			}
			leader(t, ears...)
			say(100)
			for _, e := range ears {
				e.wantIn("a", want)
			}
		})
	}
}

// TestOnceIsBounded: what can be given to nobody is kept up to a bound, and counted past that.
func TestOnceIsBounded(t *testing.T) {
	redis := redistest.Start(t)
	cfg := config(t, at(redis.Addr)) // with a lease that outlasts what follows: what is dropped by others counts for nothing
	cfg.QueueBytes = 1 << 20
	r := new(radio)
	e := three(t, r, cfg, redis.Addr)[0]
	e.enter("a")
	for _, other := range r.ears[1:] {
		other.tune(false)
	}
	until(t, "it leads", e.source.Leads)
	e.wire.Cut()
	for i := range 400 {
		r.say(fmt.Sprintf("a:%d %s", i, strings.Repeat("x", 10_000)))
	}
	until(t, "some were dropped", func() bool { return e.source.Stats().Full > 250 })
	if n := e.source.Stats().Waiting; n > cfg.QueueBytes {
		t.Errorf("%d bytes wait", n)
	}
	e.wire.Heal()
	until(t, "the last comes", func() bool {
		list := e.in("a")
		return len(list) > 0 && strings.HasPrefix(list[len(list)-1], "399 ")
	})
	if n := len(e.in("a")); n < 80 || n > 150 || n+int(e.source.Stats().Full) != 400 {
		t.Errorf("%d came, and %d were dropped", n, e.source.Stats().Full)
	}
}

// TestOnceRefused: an engine that takes nothing more is in the log and counted, and what waited comes when it does.
func TestOnceRefused(t *testing.T) {
	redis := redistest.Start(t)
	r := new(radio)
	e := r.listen(t, config(t, at(redis.Addr)), redistest.NewWire(t, redis.Addr))
	e.enter("a")
	leader(t, e)
	known(t, e)
	redis.Do("CONFIG", "SET", "maxmemory", "1")
	r.say("a:1")
	until(t, "it is in the log", func() bool { return strings.Contains(e.log.String(), "are not published") })
	if text := e.log.String(); !strings.Contains(text, "OOM") || strings.Count(text, "are not published") > 1 {
		t.Errorf("the log says\n%s", text)
	}
	if n := e.source.Stats().Failed; n < 2 {
		t.Errorf("%d attempts failed", n)
	}
	redis.Do("CONFIG", "SET", "maxmemory", "0")
	e.wantIn("a", []string{"1"})
}
