package command

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A client is a connection whose messages are numbers: it notes what it handles, and
// has a command of each number that ask says is one.
type client struct {
	line Line
	ask  func(n int, answer func()) // nil asks nothing
	deaf bool                       // it cannot be paused

	mu      sync.Mutex // guards what follows
	handled []int
	at      int // how many handle right now
	paused  bool
	pauses  int
	wrong   []string
}

func (c *client) Handle(n int) {
	c.mu.Lock()
	if c.at++; c.at > 1 {
		c.wrong = append(c.wrong, fmt.Sprint(n, " is handled beside another"))
	}
	c.handled = append(c.handled, n)
	c.mu.Unlock()
	if c.ask != nil {
		c.ask(n, func() { c.line.End(c) })
	}
	c.mu.Lock()
	c.at--
	c.mu.Unlock()
}

func (c *client) Full(messages, bytes int) bool { return Full(messages, bytes) }

func (c *client) Pause() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.deaf {
		c.paused = true
		c.pauses++
	}
	return !c.deaf
}

func (c *client) Resume() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.paused = false
}

func (c *client) isPaused() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.paused
}

func (c *client) seen() []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.handled)
}

// say is what a connection does with what it has read.
func (c *client) say(n, size int) Verdict {
	if c.line.Busy() {
		if v := c.line.Wait(c, size, func() { c.Handle(n) }); v != Now {
			return v
		}
	}
	c.Handle(n)
	return Now
}

// commands asks for the answer to every number that may be divided by step, and keeps
// the answers.
func (c *client) commands(step int) (answers chan func()) {
	answers = make(chan func(), 100)
	c.ask = func(n int, answer func()) {
		if n%step == 0 {
			c.line.Begin()
			answers <- answer
		}
	}
	return answers
}

func numbers(from, to int) (list []int) {
	for n := from; n <= to; n++ {
		list = append(list, n)
	}
	return list
}

// Bounds of [Full].
const (
	maxMessages = 64
	maxBytes    = 16 << 10
)

func TestLineWaitsForAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c client
		answers := c.commands(3)
		for n := 1; n <= 8; n++ {
			if v, want := c.say(n, 1), Verdict(0); n <= 3 && v != want || n > 3 && v != Waits {
				t.Errorf("message %d: %d", n, v)
			}
		}
		for _, want := range []int{3, 6, 8} {
			synctest.Wait()
			if got := c.seen(); !slices.Equal(got, numbers(1, want)) {
				t.Errorf("handled %v, want up to %d", got, want)
			}
			if want < 8 {
				(<-answers)()
			}
		}
		if c.line.Busy() || len(answers) > 0 {
			t.Error("the line is busy with nothing")
		}
		if c.say(10, 1) != Now {
			t.Error("a message waits for nothing")
		}
	})
}

// An answer that is there before the handling of its command returns costs nobody
// a wait.
func TestLineAnsweredAtOnce(t *testing.T) {
	var c client
	c.ask = func(_ int, answer func()) {
		c.line.Begin()
		answer()
	}
	for n := 1; n <= 100; n++ {
		if c.say(n, 1) != Now || c.line.Busy() {
			t.Fatalf("message %d waits", n)
		}
	}
	if got := testing.AllocsPerRun(100, func() {
		c.line.Begin()
		c.line.End(&c)
	}); got != 0 {
		t.Errorf("a command costs %v allocations", got)
	}
}

func TestLinePausesAtItsBound(t *testing.T) {
	for _, tt := range []struct {
		name            string
		size, taken     int
		deaf, resumed   bool
		verdict, beyond Verdict
	}{
		{"in number", 1, maxMessages, false, true, Waits, Waits},
		{"in bytes", maxBytes / 4, 4, false, true, Waits, Waits},
		{"of one message", maxBytes + 1, 1, false, true, Waits, Waits},
		{"that cannot be stopped", 1, maxMessages, true, false, TooMuch, Waits},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := client{deaf: tt.deaf}
				answers := c.commands(1000)
				c.say(1000, 1)
				for n := 1; n < tt.taken; n++ {
					if v := c.say(n, tt.size); v != Waits || c.isPaused() {
						t.Fatalf("message %d: %d", n, v)
					}
				}
				if v := c.say(tt.taken, tt.size); v != tt.verdict || c.isPaused() == tt.deaf {
					t.Errorf("at the bound: %d, paused %v", v, c.isPaused())
				}
				// What was read already comes all the same.
				if v := c.say(tt.taken+1, tt.size); v != tt.beyond || c.pauses > 1 {
					t.Errorf("beyond the bound: %d, paused %d times", v, c.pauses)
				}
				(<-answers)()
				synctest.Wait()
				want := append([]int{1000}, numbers(1, tt.taken+1)...)
				if tt.deaf {
					want = want[:1]
				}
				if got := c.seen(); !slices.Equal(got, want) || c.isPaused() {
					t.Errorf("handled %d of %d, paused %v", len(got), len(want), c.isPaused())
				}
			})
		})
	}
}

// A pause ends when nothing waits any more, not with the answer.
func TestLineResumesWhenNothingWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c client
		answers := c.commands(50)
		for n := range maxMessages + 1 {
			c.say(n, 1)
		}
		(<-answers)() // of 0; 50 is next
		synctest.Wait()
		if !c.isPaused() || len(c.seen()) != 51 {
			t.Errorf("paused %v with %d handled", c.isPaused(), len(c.seen()))
		}
		(<-answers)()
		synctest.Wait()
		if c.isPaused() || c.line.Busy() || len(c.seen()) != maxMessages+1 {
			t.Errorf("paused %v with %d handled", c.isPaused(), len(c.seen()))
		}
	})
}

func TestLineClosedAmidCommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c client
		answers := c.commands(1)
		c.say(1, 1)
		c.say(2, 1)
		c.line.Close()
		if v := c.say(3, 1); v != Waits {
			t.Errorf("a message behind the end: %d", v)
		}
		(<-answers)()
		synctest.Wait()
		c.say(4, 1)
		if got := c.seen(); !slices.Equal(got, []int{1}) {
			t.Errorf("handled %v", got)
		}
	})
}

func TestLineRefusesBugs(t *testing.T) {
	panics := func(f func()) (did bool) {
		defer func() { did = recover() != nil }()
		f()
		return false
	}
	var c client
	if !panics(func() { c.line.End(&c) }) {
		t.Error("an answer to nothing is taken")
	}
	c.line.Begin()
	if !panics(c.line.Begin) {
		t.Error("two commands are under way")
	}
}

// TestLineInEveryOrder has answers come late or at once, from everywhere, while the
// client says more and goes at some point: what is handled is always the beginning of
// what was said, one by one.
func TestLineInEveryOrder(t *testing.T) {
	for seed := range uint64(200) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			said, closeAt := 200, 100+r.IntN(200)
			var c client
			c.ask = func(n int, answer func()) {
				late := time.Duration((n*7+int(seed))%5) * time.Millisecond
				switch n % 4 {
				case 0:
					c.line.Begin()
					answer()
				case 1:
					c.line.Begin()
					time.AfterFunc(late, answer)
				case 2:
					c.line.Begin()
					go answer()
					time.Sleep(late) // its handling returns behind the answer
				}
			}
			for n := 1; n <= said; n++ {
				if n == closeAt {
					c.line.Close()
				}
				for c.isPaused() && n < closeAt {
					time.Sleep(time.Millisecond)
				}
				c.say(n, 1)
				if r.IntN(3) == 0 {
					time.Sleep(time.Duration(r.IntN(4)) * time.Millisecond)
				}
			}
			time.Sleep(time.Hour)
			got := c.seen()
			if !slices.Equal(got, numbers(1, len(got))) || len(c.wrong) > 0 {
				t.Errorf("seed %d: handled %v, %v", seed, got, c.wrong)
			}
			if len(got) != said && closeAt > said || len(got) >= closeAt && closeAt <= said {
				t.Errorf("seed %d: handled %d, closed at %d", seed, len(got), closeAt)
			}
		})
	}
}

// TestLineRace is for the race detector: a reader and many who answer.
func TestLineRace(t *testing.T) {
	var c client
	answers := c.commands(2)
	var answerers sync.WaitGroup
	for range 4 {
		answerers.Go(func() {
			for answer := range answers {
				answer()
			}
		})
	}
	const n = 20_000
	for i := range n {
		c.say(i, 0)
	}
	for len(c.seen()) < n {
		time.Sleep(time.Millisecond)
	}
	for c.line.Busy() {
		time.Sleep(time.Millisecond)
	}
	close(answers)
	answerers.Wait()
	if got := c.seen(); !slices.Equal(got, numbers(0, n-1)) || len(c.wrong) > 0 {
		t.Errorf("out of order, or at once: %v", c.wrong)
	}
}

func BenchmarkLineIdle(b *testing.B) {
	var c Line
	b.ReportAllocs()
	for b.Loop() {
		if c.Busy() {
			b.Fatal("busy")
		}
	}
}

func BenchmarkCommandAnsweredAtOnce(b *testing.B) {
	var c client
	b.ReportAllocs()
	for b.Loop() {
		c.line.Begin()
		c.line.End(&c)
	}
}
