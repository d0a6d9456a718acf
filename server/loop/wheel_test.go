package loop

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestWheel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWheel()
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
