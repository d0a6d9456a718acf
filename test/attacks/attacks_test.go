package attacks_test

import (
	"context"
	"runtime"
	"testing"
	"time"
)

// An attack is one row of the tables.
type attack struct {
	name     string
	settings []string
	run      func(*assault) // returns when everything is open, or the time is over

	least  int64         // of assault.done and refused together: what the attack must have come to
	holds  int           // input_bytes while the strangers are there, at least
	time   time.Duration // it goes on at least, on a slow machine until it has come to least; 2 s
	whole  bool          // it goes on until it returns
	memory int           // what it may have had at the most; memoryLimit
	before func(*assault)
	during func(*assault, status)
	after  func(*assault) // when the strangers are gone
	tls    bool           // all ports speak it
	closed bool           // strangers hold real clients' places, so that no new one is to be had
}

// try runs an attack against a server of its own.
func (x attack) try(t *testing.T, files int) {
	begin := start
	if x.tls {
		begin = startOverTLS
	}
	s := begin(t, files, x.settings...)
	g := newGood(t, s)
	a := &assault{t: t, s: s, good: g, ctx: t.Context()}
	defer a.hangUp()
	if x.before != nil {
		x.before(a)
	}
	first := s.status()
	g.work()
	limit := x.time
	if limit == 0 {
		limit = 2 * time.Second
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit+patience)
	defer cancel()
	a.begin(ctx)
	if !x.whole {
		go func() { // ends with ctx
			for end := time.Now().Add(limit); ctx.Err() == nil; time.Sleep(5 * time.Millisecond) {
				if time.Now().After(end) && a.tried() >= x.least {
					cancel()
				}
			}
		}()
	}
	x.run(a)
	s.alive()
	a.checkHeld(x.holds)

	// The strangers still have what they opened.
	g.checkGoesOn()
	if !x.closed {
		g.checkNewcomers()
	}
	during := s.status()
	if x.during != nil {
		x.during(a, during)
	}
	cancel()
	a.hangUp()
	t.Logf("%d done, %d refused, %d MB sent; %d connections, %d input bytes, %d queued bytes then",
		a.done.Load(), a.refused.Load(), a.written.Load()>>20, during.count(t, "connections")+during.count(t, "sender_connections"), during.count(t, "input_bytes"), during.count(t, "queued_bytes"))
	if n := a.done.Load() + a.refused.Load(); n < x.least {
		t.Errorf("the attack came to %d, want %d at least: it shows nothing", n, x.least)
	}
	s.alive()
	if x.after != nil {
		x.after(a)
	}
	g.settle()
	checkGivenBack(t, s, first)
	g.checkNewcomers()
	s.alive()
	peak := s.peakMemory()
	t.Logf("memory: %d MiB at the most", peak>>20)
	most := memoryLimit
	if x.memory > 0 {
		most = x.memory
	}
	if peak >= most {
		t.Errorf("it had %d bytes of memory, and may have %d", peak, most)
	}
}

// checkHeld waits until the server has read of the strangers' input what it must hold, which
// is before it gives any of them up.
func (a *assault) checkHeld(least int) {
	a.t.Helper()
	for end := time.Now().Add(patience); least > 0; time.Sleep(5 * time.Millisecond) {
		held := a.s.status().count(a.t, "input_bytes")
		if held >= least {
			return
		}
		if time.Now().After(end) {
			a.t.Errorf("strangers hold %d bytes of input, want %d at least: it shows nothing", held, least)
			return
		}
	}
}

// checkGivenBack waits until the server has what it had before the strangers came.
func checkGivenBack(t *testing.T, s *server, first status) {
	t.Helper()
	slack := map[string]int{
		"connections": 1, "sender_connections": 1, // of good senders, kept alive or not any more
		"websockets": 0, "sessions": 0, "queued_bytes": 0, "input_bytes": 0, "room_bytes": 0,
		"goroutines": 10, "fds": 10, // workers and files that come and go
	}
	var last status
	wrong := ""
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		last, wrong = s.status(), ""
		for name, more := range slack {
			if last.count(t, name) > first.count(t, name)+more {
				wrong = name
			}
		}
		if wrong == "" {
			return
		}
		if time.Now().After(end) {
			t.Errorf("%v after the strangers went, %s is %d and was %d", patience, wrong, last[wrong], first[wrong])
			return
		}
	}
}

func tryAll(t *testing.T, files int, attacks []attack) {
	if runtime.GOOS != "linux" {
		t.Fatal("these tests need Linux: /proc and prlimit")
	}
	for _, x := range attacks {
		t.Run(x.name, func(t *testing.T) { x.try(t, files) })
	}
}
