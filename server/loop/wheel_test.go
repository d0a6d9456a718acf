package loop

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestWheel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWheel(slog.New(slog.DiscardHandler))
		defer w.stop()
		begin := time.Now()
		fired := make(map[string]time.Duration)
		timer := func(name string) *Timer {
			return &Timer{Fire: func() { fired[name] = time.Since(begin) }}
		}
		soon, long, cancelled, moved := timer("soon"), timer("long"), timer("cancelled"), timer("moved")
		w.schedule(soon, time.Second)
		w.schedule(long, 85*time.Second) // more than a turn of the wheel
		w.schedule(cancelled, time.Second)
		w.schedule(moved, time.Second)
		w.schedule(moved, 3*time.Second)
		w.cancel(cancelled)
		w.cancel(cancelled)
		var again *Timer
		n := 0
		again = &Timer{Fire: func() {
			if n++; n < 5 {
				w.schedule(again, time.Second)
			}
		}}
		w.schedule(again, time.Second)
		time.Sleep(100 * time.Second)
		synctest.Wait()
		for name, want := range map[string]time.Duration{"soon": time.Second, "long": 85 * time.Second, "moved": 3 * time.Second} {
			if got := fired[name]; got < want || got > want+2*tick {
				t.Errorf("%s fired after %v, want %v", name, got, want)
			}
		}
		if _, ok := fired["cancelled"]; ok {
			t.Error("a cancelled timer fired")
		}
		if n != 5 {
			t.Errorf("a timer that sets itself again fired %d times", n)
		}
	})
}

// TestPanicOfATimer costs that call alone: it is told of and counted, and the others fire.
func TestPanicOfATimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text strings.Builder
		w := newWheel(slog.New(slog.NewTextHandler(&text, nil)))
		fired := 0
		one := func() { fired++ }
		for _, fire := range []func(){one, func() { panic("asked to") }, one} {
			w.schedule(&Timer{Fire: fire}, time.Second)
		}
		w.schedule(&Timer{Fire: one}, 2*time.Second)
		time.Sleep(3 * time.Second)
		w.stop()
		if n := w.panics.Load(); fired != 3 || n != 1 {
			t.Errorf("%d fired, %d panics are counted", fired, n)
		}
		if got := text.String(); !strings.Contains(got, "asked to") || !strings.Contains(got, "wheel_test.go") {
			t.Errorf("the log has %q", got)
		}
	})
}
