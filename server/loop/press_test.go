package loop

import (
	"testing"
	"testing/synctest"
	"time"
)

// stillLoop runs a test with a loop in a bubble, where times are exact.
func stillLoop(t *testing.T, test func(t *testing.T, l *Loop)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l, err := New(Config{Goroutines: true})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		test(t, l)
	})
}

// waits is how long a publisher has to wait now.
func waits(l *Loop) time.Duration {
	began := time.Now()
	for again := l.CaughtUp(); again != nil; again = l.CaughtUp() {
		<-again
	}
	return time.Since(began)
}

// Publishers wait for who presses until it is relieved.
func TestPress(t *testing.T) {
	stillLoop(t, func(t *testing.T, l *Loop) {
		if l.Relieve(0) {
			t.Error("one that never pressed is relieved")
		}
		one, other := l.Press(0), l.Press(0)
		if one == 0 || l.Press(one) != one {
			t.Fatal("it does not count, or changes its round")
		}
		if l.Late() || l.Behind() {
			t.Error("the server is late for who presses")
		}
		time.AfterFunc(5*time.Millisecond, func() { l.Relieve(one) })
		time.AfterFunc(7*time.Millisecond, func() {
			if !l.Relieve(other) {
				t.Error("relieved in vain")
			}
		})
		if got := waits(l); got != 7*time.Millisecond {
			t.Errorf("publishers waited %v for two", got)
		}
		l.Press(0) // the same round
		if got := waits(l); got != pressTime-7*time.Millisecond {
			t.Errorf("publishers waited %v for what is left of a round", got)
		}
		if l.Relieve(one) || l.Relieve(other) {
			t.Error("relieved after the end of its round")
		}
	})
}

// However many press, again and again, half of the time is the publishers'.
func TestManyPress(t *testing.T) {
	stillLoop(t, func(t *testing.T, l *Loop) {
		const crowd, events = 1000, 2000
		rounds := make([]uint32, crowd)
		began := time.Now()
		var waited, worst time.Duration
		for range events {
			for i := range rounds {
				if round := l.Press(rounds[i]); round != 0 {
					rounds[i] = round
				}
			}
			w := waits(l)
			waited, worst = waited+w, max(worst, w)
			time.Sleep(time.Millisecond) // what publishing costs
		}
		if all := time.Since(began); waited > all/2 || waited < all/3 {
			t.Errorf("publishers waited %v of %v, want half", waited, all)
		}
		if worst != pressTime {
			t.Errorf("one waited %v, want %v", worst, pressTime)
		}
	})
}

// Nobody waits for who presses when the loop has ended.
func TestPressAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, err := New(Config{Goroutines: true})
		if err != nil {
			t.Fatal(err)
		}
		l.Press(0)
		l.Close()
		if l.CaughtUp() != nil {
			t.Error("publishers wait when all is over")
		}
		time.Sleep(time.Second)
		if l.Press(0) != 0 || l.CaughtUp() != nil {
			t.Error("somebody presses when all is over")
		}
	})
}
